"""The field for the path of a tar: completion, a file picker, and what the file is."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.css.query import NoMatches
from textual.message import Message
from textual.widgets import Input, Static

from layerstore.model import Compression
from layertui.format import size_text
from layertui.paths_suggest import Patient, expand
from layertui.safe import safe
from layertui.screens.fields import Field
from layertui.screens.path_input import PathInput
from layertui.tarfiles import TarFile, check_tar

_CHECK_DELAY = 0.1


class TarField(Vertical):
    """Two lines of a form: the path, and what is there. The file is looked at in a thread."""

    DEFAULT_CSS = """
    TarField {
        height: auto;
        #tar-found { width: 1fr; height: auto; max-height: 3; color: $text-muted; }
    }
    """

    @dataclass
    class Looked(Message):
        """The file was looked at."""

        field: TarField
        tar: TarFile

        @property
        def control(self) -> TarField:
            """The field."""
            return self.field

    def __init__(self, base: Path, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._base = base
        self._patient = Patient()

    def compose(self) -> ComposeResult:
        """Yield the path and what is said about it."""
        yield Field("Tar", PathInput("", self._base, self._patient, id="tar"))
        yield Field("", Static("", id="tar-found", markup=False))

    @property
    def path_input(self) -> PathInput:
        """Where the path is typed."""
        return self.query_one(PathInput)

    async def look(self) -> TarFile:
        """Look at the file now, and show what it is."""
        tar = await self._patient(check_tar, self.path_input.value, self._base)
        with suppress(NoMatches):  # the dialog is closed meanwhile
            self.query_one("#tar-found", Static).update(_found(tar))
        return tar

    @on(Input.Changed, "#tar")
    @work(exclusive=True, group="look")
    async def _look_soon(self, event: Input.Changed) -> None:
        """Look as soon as the typing pauses and the file system answers."""
        await asyncio.sleep(_CHECK_DELAY)
        with suppress(NoMatches):  # the same
            if event.value:
                self.post_message(self.Looked(self, await self.look()))
            else:
                self.query_one("#tar-found", Static).update("")

    def browse(self, title: str) -> None:
        """Open the file picker where the path points."""
        folder = expand(os.path.dirname(self.path_input.value), self._base)
        if safe(str(folder)) != str(folder) or not folder.is_dir():
            folder = self._base if safe(str(self._base)) == str(self._base) else expand("~", self._base)
        from layertui.screens.file_picker import SafeOpen  # noqa: PLC0415 - late: see there

        self.app.push_screen(SafeOpen(folder, title), self._browsed)

    def _browsed(self, path: Path | None) -> None:
        if path is not None:
            self.path_input.put(str(path))
            self.path_input.focus()


def _found(tar: TarFile) -> Content:
    if tar.problem:
        return Content.assemble((f"✗ {safe(tar.problem)}", "$text-error"))
    kind = "not compressed" if tar.compression is Compression.NONE else tar.compression.name.lower()
    facts = f"{size_text(tar.size)}, {kind}"
    if tar.odd:
        return Content.assemble(("! Does not look like a tar", "$text-warning"), f" · {facts}")
    return Content.assemble((f"✓ {facts}", "$text-success"))
