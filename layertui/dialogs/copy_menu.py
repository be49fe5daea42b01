"""The menu of texts that can be copied from a layer."""

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
from layertui.dialogs.dialog import LIST_BINDINGS, ChoiceList, Dialog
from layertui.dialogs.labels import heading
from layertui.model.rows import SHORT
from layertui.text.safe import safe
from layertui.widgets.cells import cut
from layertui.widgets.text import MUTED

_WIDTH = 100
_AROUND = 25  # cells of a line beside the text: border, padding, key, label and scroll bar


def choices(layer: Layer) -> Iterator[tuple[str, str, str]]:
    """Yield a key, a label and a text for everything that can be copied."""
    yield "i", "ID", layer.id
    yield "s", "short ID", layer.id[:SHORT]
    for key, name in zip("n23456789", layer.names, strict=False):
        yield key, "name", name
    for key, name, text in (
        ("p", "parent's ID", layer.parent),
        ("m", "mount path", layer.mount_point),
        ("d", "diff digest", layer.diff_digest),
        ("c", "compressed", layer.compressed_diff_digest),
        ("t", "TOC digest", layer.toc_digest),
        ("e", "metadata", layer.metadata),
    ):
        if text:
            yield key, name, text


class CopyMenu(Dialog[tuple[str, str]]):
    """Asks what to copy. The result is the label and the text.

    The key of a line chooses it directly.
    """

    DEFAULT_CSS = """
    CopyMenu {
        .dialog-box { width: 100; }
        OptionList { height: auto; max-height: 16; border: none; padding: 0; background: $surface; }
    }
    """
    AUTO_FOCUS = "OptionList"
    BINDINGS: ClassVar[list[BindingType]] = [
        *LIST_BINDINGS,
        Binding("y", "pick", "Copy", tooltip="Copy the line under the cursor", id="copy.copy"),
    ]

    def __init__(self, layer: Layer) -> None:
        super().__init__(heading("Copy from", layer))
        self._choices = list(choices(layer))

    def compose_body(self) -> ComposeResult:
        """Yield one line per choice."""
        room = max(min(_WIDTH, self.app.size.width) - _AROUND, 8)
        options = [
            Option(
                Content.assemble(
                    (f"{key} ", "bold $text-accent"), f"{name:<14} ", (cut(safe(text[: room * 2]), room), MUTED)
                )
            )
            for key, name, text in self._choices
        ]
        yield ChoiceList(*options, markup=False)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self._close(event.option_index)

    def action_pick(self) -> None:
        """Copy the line under the cursor."""
        highlighted = self.query_one(OptionList).highlighted
        if highlighted is not None:
            self._close(highlighted)

    def on_key(self, event: events.Key) -> None:
        """Copy the line with this key."""
        keys = [key for key, _, _ in self._choices]
        if event.character in keys:
            event.stop()
            self._close(keys.index(event.character))

    def _close(self, number: int) -> None:
        _, name, text = self._choices[number]
        self.dismiss((name, text))
