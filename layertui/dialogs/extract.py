"""The dialogs for extracting a file or folder from a layer, and for listing the files that were skipped."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Button, Input, Static

from layerstore import Extracted, FileEntry, FileKind
from layertui.dialogs.confirm import ConfirmDialog
from layertui.dialogs.dialog import Dialog, FormDialog
from layertui.text.format import plural, size_text
from layertui.text.safe import safe
from layertui.widgets.inputs import Choice, Field
from layertui.widgets.lines import LinesView
from layertui.widgets.path_field import PathField, offer, verdict
from layertui.widgets.path_suggestions import Patient, Target, TargetState, expand, folder_problem, reason_text
from layertui.widgets.text import MUTED, typable


@dataclass(frozen=True, slots=True)
class ExtractRequest:
    """An extraction to start. `path` is the exact path of the file or folder that is written.

    `owners` keeps the owners from the layer instead of using those of this process.
    """

    path: Path
    as_tar: bool = False
    overwrite: bool = False
    owners: bool = True


def extract_target(text: str, base: Path, name: str) -> Target:
    """Return what extracting to a typed path would do. In an existing folder, the target is called `name`.

    May block on the file system.
    """
    path = expand(text, base)
    try:
        return _check(text, path, name)
    except (OSError, ValueError) as error:
        return Target(path, TargetState.REFUSED, reason_text(error))


def _check(text: str, path: Path, name: str) -> Target:
    if not text.strip():
        return Target(path, TargetState.REFUSED, "Enter a path")
    if path.is_dir():
        path /= name
    problem = folder_problem(path.parent)
    if problem:
        return Target(path, TargetState.REFUSED, problem)
    free = shutil.disk_usage(path.parent).free
    return Target(path, TargetState.EXISTS if os.path.lexists(path) else TargetState.NEW, free=free)


class ExtractDialog(FormDialog[ExtractRequest]):
    """Asks for the path, the format and, if the user is root, the owners of what is extracted."""

    AUTO_FOCUS = "#path"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "extract", "Extract", tooltip="Start extracting", id="extract.start"),
        Binding("ctrl+o", "browse", "Browse", tooltip="Choose the path in a file picker", id="extract.browse"),
    ]

    def __init__(self, entry: FileEntry, layer: str, default_dir: Path, *, is_root: bool) -> None:
        super().__init__(f"Extract from {layer}")
        self._entry = entry
        self._base = default_dir
        self._is_root = is_root
        self._patient = Patient()
        self.as_tar = False
        """Whether to write a tar."""

    def compose_body(self) -> ComposeResult:
        """Yield the form."""
        facts = f"  {size_text(self._entry.size)}" if self._entry.kind is FileKind.FILE else "  and its contents"
        path = Content.assemble(safe(self._entry.path), (facts if self._is_known else "", MUTED))
        yield Field("Path", Static(path, id="file", classes="one-line", markup=False))
        yield Field("Format", Choice(["as is", "tar"], id="form"))
        if self._is_root:
            yield Field("Owners", Choice(["as in the layer", "current user"], id="owners"))
        yield PathField(
            "To",
            self._base,
            self._suggested(),
            look=self._look,
            describe=self._describe,
            picker="Extract to",
            writes=True,
        )
        yield Static(self._note(), id="note", markup=False)

    @property
    def _is_known(self) -> bool:
        return self._entry.kind in (FileKind.FILE, FileKind.FOLDER)

    def compose_buttons(self) -> ComposeResult:
        """Yield Browse, Cancel and Extract."""
        yield from super().compose_buttons()
        yield Button("Extract", id="extract", variant="primary", compact=True)

    def _note(self) -> str:
        if self._entry.kind is FileKind.FOLDER:
            kept = "Times, modes, links and attributes are kept."
            return f"{kept} Files that cannot be read or created are skipped and listed."
        if self._entry.kind is FileKind.LINK:
            return "The link itself is extracted, not its target."
        return "Time, mode and attributes are kept."

    @property
    def _file_name(self) -> str:
        """The suggested name of the target, without characters that cannot be typed."""
        return (typable(self._entry.name).strip("/ ") or "files") + (".tar" if self.as_tar else "")

    def _suggested(self) -> str:
        folder = str(self._base)
        return os.path.join(folder, self._file_name) if safe(folder) == folder else self._file_name

    # Format and path

    @on(Choice.Changed, "#form")
    def _form_changed(self, event: Choice.Changed) -> None:
        event.stop()
        self.as_tar = event.index == 1
        self.query_one(PathField).suggest(self._suggested())

    def _look(self, text: str) -> Target:
        return extract_target(text, self._base, self._file_name)

    def _describe(self, target: Target) -> Content:
        named = target.path != expand(self.query_one(PathField).text, self._base)
        place = f": {safe(str(target.path))}" if named else ""
        return verdict(target, new=f"New{place}", exists=f"Already exists{place}")

    @on(PathField.Looked)
    def _looked(self, event: PathField.Looked) -> None:
        event.stop()
        offer(self.query_one("#extract", Button), "Extract", event.found)

    # Closing

    @on(Button.Pressed, "#extract")
    @on(Input.Submitted, "#path")
    @work(exclusive=True, group="extract")
    async def action_extract(self) -> None:
        """Check the path again, ask before overwriting anything, and close with the request."""
        target = await self.query_one(PathField).usable()
        if target is None:
            return
        overwrite = target.state is TargetState.EXISTS
        if overwrite and not await self.app.push_screen_wait(await self._patient(_question, target.path)):
            return
        owners = not self._is_root or self.query_one("#owners", Choice).index == 0
        self.dismiss(ExtractRequest(target.path, self.as_tar, overwrite, owners))


def _question(path: Path) -> ConfirmDialog:
    is_folder = os.path.lexists(path) and stat.S_ISDIR(os.lstat(path).st_mode)
    lost = "The folder and everything in it" if is_folder else "The existing file"
    body = f"{path}\n\n{lost} will be replaced once the extraction is complete."
    title = f"Overwrite this {'folder' if is_folder else 'file'}?"
    return ConfirmDialog(title, body, confirm_label="Overwrite", danger=True)


class SkippedDialog(Dialog[None]):
    """Shows what was extracted, and which files were skipped and why."""

    DEFAULT_CSS = """
    SkippedDialog {
        .dialog-box { width: 100; }
        #done { margin-bottom: 1; height: auto; }
    }
    """

    AUTO_FOCUS = "LinesView"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "cancel", "Close", key_display="esc", id="skipped.close"),
    ]

    def __init__(self, done: Extracted, numbers: str) -> None:
        super().__init__(f"Extracted, {plural(len(done.skipped), 'file')} skipped")
        self._done = done
        self._numbers = numbers

    def compose_body(self) -> ComposeResult:
        """Yield the target and one line per skipped file."""
        yield Static(Content(f"{safe(self._done.target)}\n{self._numbers}"), id="done", markup=False)
        yield LinesView(_SkippedLines(self._done), share=50)

    def compose_buttons(self) -> ComposeResult:
        """Yield Close."""
        yield Button("Close", id="cancel", variant="primary", compact=True)


class _SkippedLines(Sequence[Content]):
    """The lines of the skipped files, created on access."""

    def __init__(self, done: Extracted) -> None:
        self._skipped = done.skipped

    def __len__(self) -> int:
        return len(self._skipped)

    def __getitem__(self, number: int) -> Content:  # type: ignore[override]
        skipped = self._skipped[number]
        return Content.assemble((safe(skipped.path), "bold"), (f"  {safe(skipped.reason)}", MUTED))
