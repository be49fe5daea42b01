"""The dialog for picking a layer by a part of its ID or name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from layertui.dialogs.dialog import Dialog
from layertui.dialogs.labels import label
from layertui.text.format import plural
from layertui.widgets.inputs import SafeInput

_SHOWN = 200
"""The maximum number of listed matches. Further ones are only counted."""


class Named(Protocol):
    """A layer to pick."""

    @property
    def id(self) -> str:
        """The full ID."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """The names, not escaped."""
        ...


class LayerPicker(Dialog[str]):
    """Asks for a layer. The result is its ID, or the key of one of the `extra` entries above the layers."""

    DEFAULT_CSS = """
    LayerPicker {
        SafeInput { margin-bottom: 1; }
        OptionList {
            height: 45vh;
        }
        #count { color: $text-muted; }
    }
    """

    AUTO_FOCUS = "#needle"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "move('cursor_down')", "Next", show=False),
        Binding("up", "move('cursor_up')", "Previous", show=False),
        Binding("pagedown", "move('page_down')", "Next page", show=False),
        Binding("pageup", "move('page_up')", "Previous page", show=False),
    ]

    def __init__(self, title: str, layers: Sequence[Named], extra: Sequence[tuple[str, Content]] = ()) -> None:
        super().__init__(title)
        self._layers = layers
        self._extra = extra
        self._haystacks = [f"{layer.id} {' '.join(layer.names)}".casefold() for layer in layers]
        self._keys: list[str] = []

    def compose_body(self) -> ComposeResult:
        """Yield the filter, the matches and their number."""
        yield SafeInput(placeholder="Part of an ID or name", id="needle")
        yield OptionList(id="matches", markup=False)
        yield Static(id="count", markup=False)

    def compose_buttons(self) -> ComposeResult:
        """Yield Cancel and Choose."""
        yield from super().compose_buttons()
        yield Button("Choose", id="pick", variant="primary", compact=True)

    def on_mount(self) -> None:
        """List all layers."""
        self.query_one(OptionList).can_focus = False
        self._search("")

    @on(Input.Changed, "#needle")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._search(event.value.strip().casefold())

    def _search(self, needle: str) -> None:
        found = [number for number, haystack in enumerate(self._haystacks) if needle in haystack]
        extra = [(key, text) for key, text in self._extra if needle in text.plain.casefold()]
        layers = [self._layers[number] for number in found[:_SHOWN]]
        self._keys = [*(key for key, _ in extra), *(layer.id for layer in layers)]
        matches = self.query_one(OptionList)
        matches.clear_options()
        matches.add_options([Option(text) for _, text in extra])
        matches.add_options([Option(label(layer.id, layer.names)) for layer in layers])
        matches.highlighted = 0 if self._keys else None
        hidden = len(found) - len(layers)
        count = plural(len(found), "layer") + (
            f", {hidden:,} not shown; type more to narrow the list" if hidden else ""
        )
        self.query_one("#count", Static).update(count if found or extra else "No matching layers")

    def action_move(self, action: str) -> None:
        """Move the cursor of the list while the input keeps the focus."""
        getattr(self.query_one(OptionList), f"action_{action}")()

    @on(OptionList.OptionSelected)
    @on(Input.Submitted)
    @on(Button.Pressed, "#pick")
    def action_pick(self) -> None:
        """Close with the layer under the cursor."""
        highlighted = self.query_one(OptionList).highlighted
        if highlighted is not None:
            self.dismiss(self._keys[highlighted])
