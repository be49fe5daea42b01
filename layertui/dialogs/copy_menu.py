"""Ask what of a layer is to be copied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from layerstore.model import Layer
from layertui.dialogs.dialog import ChoiceList, Dialog
from layertui.dialogs.labels import heading
from layertui.text.safe import safe
from layertui.widgets.cells import cut
from layertui.widgets.text import MUTED

_WIDTH = 100
_AROUND = 25  # cells of the box that are not the text: border, padding, the letter and what it is called, a scroll bar


def choices(layer: Layer) -> Iterator[tuple[str, str, str]]:
    """Yield what can be copied: a key, what it is called, and the text."""
    yield "i", "ID", layer.id
    yield "s", "short ID", layer.id[:12]
    for key, name in zip("n23456789", layer.names, strict=False):
        yield key, "name", name
    for key, what, text in (
        ("p", "parent's ID", layer.parent),
        ("m", "mount path", layer.mount_point),
        ("d", "diff digest", layer.diff_digest),
        ("c", "compressed", layer.compressed_diff_digest),
        ("t", "TOC digest", layer.toc_digest),
        ("e", "metadata", layer.metadata),
    ):
        if text:
            yield key, what, text


class CopyMenu(Dialog[tuple[str, str]]):
    """Close with what was chosen, and its text; a letter chooses at once."""

    DEFAULT_CSS = """
    CopyMenu {
        .dialog-box { width: 100; }
        OptionList { height: auto; max-height: 16; border: none; padding: 0; background: $surface; }
    }
    """
    AUTO_FOCUS = "OptionList"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor(1)", "Down", show=False, id="copy.down"),
        Binding("k", "cursor(-1)", "Up", show=False, id="copy.up"),
        Binding("y", "pick", "Copy", tooltip="Copy the line under the cursor", id="copy.copy"),
    ]

    def __init__(self, layer: Layer) -> None:
        super().__init__(heading("Copy from", layer))
        self._choices = list(choices(layer))

    def compose_body(self) -> ComposeResult:
        """Yield a line a choice."""
        room = max(min(_WIDTH, self.app.size.width) - _AROUND, 8)
        options = [
            Option(
                Content.assemble(
                    (f"{key} ", "bold $text-accent"), f"{what:<14} ", (cut(safe(text[: room * 2]), room), MUTED)
                )
            )
            for key, what, text in self._choices
        ]
        yield ChoiceList(*options, markup=False)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self._close(event.option_index)

    def action_cursor(self, step: int) -> None:
        """Go to the next or the previous line."""
        options = self.query_one(OptionList)
        if step > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    def action_pick(self) -> None:
        """Copy the line under the cursor."""
        highlighted = self.query_one(OptionList).highlighted
        if highlighted is not None:
            self._close(highlighted)

    def on_key(self, event: events.Key) -> None:
        """Copy the line with this letter."""
        keys = [key for key, _, _ in self._choices]
        if event.character in keys:
            event.stop()
            self._close(keys.index(event.character))

    def _close(self, number: int) -> None:
        _, what, text = self._choices[number]
        self.dismiss((what, text))
