"""Ask where a file or a folder of a layer is to be extracted to, and show what was left out."""

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

from layerstore.content.extract import Extracted
from layerstore.content.files import FileEntry, FileKind
from layertui.dialogs.confirm import ConfirmDialog
from layertui.dialogs.dialog import Dialog
from layertui.text.format import plural, size_text
from layertui.text.safe import safe
from layertui.widgets.inputs import Choice, Field
from layertui.widgets.lines import LinesView
from layertui.widgets.path_field import PathField, offer, verdict
from layertui.widgets.path_suggestions import Patient, Target, TargetState, expand
from layertui.widgets.text import MUTED, typable


@dataclass(frozen=True, slots=True)
class ExtractRequest:
    """What the user decided; `path` is the exact name of what is written."""

    path: Path
    as_tar: bool = False
    overwrite: bool = False
    owners: bool = True


def extract_target(text: str, base: Path, name: str) -> Target:
    """Look what extracting to a typed path would mean. Into a folder that is there it goes under its own name.

    Blocks as long as the file system does.
    """
    path = expand(text, base)
    try:
        return _look(text, path, name)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Target(path, TargetState.REFUSED, reason)


def _look(text: str, path: Path, name: str) -> Target:
    if not text.strip():
        return Target(path, TargetState.REFUSED, "Type where it should go")
    if path.is_dir():
        path /= name
    folder = path.parent
    if not folder.is_dir():
        return Target(path, TargetState.REFUSED, f"There is no folder {safe(str(folder))}")
    if not os.access(folder, os.W_OK | os.X_OK):
        return Target(path, TargetState.REFUSED, f"You may not write in {safe(str(folder))}")
    free = shutil.disk_usage(folder).free
    return Target(path, TargetState.EXISTS if os.path.lexists(path) else TargetState.NEW, free=free)


class ExtractDialog(Dialog[ExtractRequest]):
    """Ask where to, in which form, and with whose owners."""

    DEFAULT_CSS = """
    ExtractDialog {
        .dialog-box { width: 84; }
        .dialog-body > Field { margin-bottom: 1; }
        #file { width: 1fr; height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        #note { color: $text-muted; height: auto; }
    }
    """

    AUTO_FOCUS = "#path"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "extract", "Extract", tooltip="Start extracting", id="extract.start"),
        Binding("ctrl+o", "browse", "Browse", tooltip="Choose the place in a file picker", id="extract.browse"),
    ]

    def __init__(self, entry: FileEntry, layer: str, default_dir: Path, *, is_root: bool) -> None:
        super().__init__(f"Extract from {layer}")
        self._entry = entry
        self._base = default_dir
        self._is_root = is_root
        self._patient = Patient()
        self.as_tar = False
        """Whether a tar is wanted."""

    def compose_body(self) -> ComposeResult:
        """Yield the form."""
        size = f"  {size_text(self._entry.size)}" if self._entry.kind is FileKind.FILE else "  and all that is in it"
        what = Content.assemble(safe(self._entry.path), (size if self._is_known else "", MUTED))
        yield Field("What", Static(what, id="file", markup=False))
        yield Field("As", Choice(["it is", "a tar"], id="form"))
        if self._is_root:
            yield Field("Owners", Choice(["of the layer", "yours"], id="owners"))
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
        yield Button("Browse…", id="browse", compact=True)
        yield from super().compose_buttons()
        yield Button("Extract", id="extract", variant="primary", compact=True)

    def _note(self) -> str:
        if self._entry.kind is FileKind.FOLDER:
            return "Times, modes, links and attributes come along. What cannot be read or made is skipped and listed."
        if self._entry.kind is FileKind.LINK:
            return "The link itself is extracted, not what it leads to."
        return "Time, mode and attributes come along."

    @property
    def _file_name(self) -> str:
        """A name for what is written that can be typed."""
        return (typable(self._entry.name).strip("/ ") or "files") + (".tar" if self.as_tar else "")

    def _suggested(self) -> str:
        folder = str(self._base)
        return os.path.join(folder, self._file_name) if safe(folder) == folder else self._file_name

    # Form and path

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
        return verdict(target, new=f"New{place}", exists=f"Something is there already{place}")

    @on(PathField.Looked)
    def _looked(self, event: PathField.Looked) -> None:
        event.stop()
        offer(self.query_one("#extract", Button), "Extract", event.found)

    @on(Button.Pressed, "#browse")
    def action_browse(self) -> None:
        """Open the file picker where the path points."""
        self.query_one(PathField).browse()

    # The end

    @on(Button.Pressed, "#extract")
    @on(Input.Submitted, "#path")
    @work(exclusive=True, group="extract")
    async def action_extract(self) -> None:
        """Look once more, ask before anything is overwritten, and close with the request."""
        target = await self.query_one(PathField).usable()
        if target is None:
            return
        overwrite = target.state is TargetState.EXISTS
        if overwrite and not await self.app.push_screen_wait(await self._patient(_question, target.path)):
            return
        owners = not self._is_root or self.query_one("#owners", Choice).index == 0
        self.dismiss(ExtractRequest(target.path, self.as_tar, overwrite, owners))


def _question(path: Path) -> ConfirmDialog:
    """Return the question before something is replaced."""
    is_folder = os.path.lexists(path) and stat.S_ISDIR(os.lstat(path).st_mode)
    lost = "This is a folder: all that is in it is lost." if is_folder else "What is there now is replaced"
    body = f"{path}\n\n{lost}{' It goes' if is_folder else ''} once the new one is complete."
    return ConfirmDialog("Overwrite this?", body, confirm_label="Overwrite", danger=True)


class SkippedDialog(Dialog[None]):
    """Shows what was extracted, and what was left out and why."""

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
        """Yield what was written and a line for each file that was not."""
        yield Static(Content(f"{safe(self._done.target)}\n{self._numbers}"), id="done", markup=False)
        yield LinesView(_SkippedLines(self._done), share=50)

    def compose_buttons(self) -> ComposeResult:
        """Yield Close."""
        yield Button("Close", id="cancel", variant="primary", compact=True)


class _SkippedLines(Sequence[Content]):
    """The lines, made when they are drawn."""

    def __init__(self, done: Extracted) -> None:
        self._skipped = done.skipped

    def __len__(self) -> int:
        return len(self._skipped)

    def __getitem__(self, number: int) -> Content:  # type: ignore[override]
        skipped = self._skipped[number]
        return Content.assemble((safe(skipped.path), "bold"), (f"  {safe(skipped.reason)}", MUTED))
