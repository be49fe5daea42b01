"""The dialog for choosing a driver if a graph root has the stores of several drivers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import Button, OptionList, Static
from textual.widgets.option_list import Option

from layerstore.config.detect import DriverStore
from layertui.dialogs.dialog import LIST_BINDINGS, ChoiceList, Dialog
from layertui.text.format import plural, time_text
from layertui.text.safe import safe
from layertui.widgets.text import MUTED


class DriverDialog(Dialog[str]):
    """Asks which store to open. The result is the name of its driver.

    The cursor starts on the driver `first`. Stores that layertui cannot open are listed but cannot be chosen.
    """

    DEFAULT_CSS = """
    DriverDialog {
        #where { margin-bottom: 1; }
        OptionList { height: auto; }
    }
    """

    AUTO_FOCUS = "#stores"

    BINDINGS: ClassVar[list[BindingType]] = [*LIST_BINDINGS]

    def __init__(self, graph_root: str, stores: Sequence[DriverStore], first: str | None, now: datetime) -> None:
        super().__init__("Choose a store")
        self._root = graph_root
        self._stores = stores
        self._first = first
        self._now = now

    def compose_body(self) -> ComposeResult:
        """Yield the graph root and its stores."""
        drivers = f"{self._names()} stores" if len(self._stores) > 1 else f"only a store of {self._names()}"
        where = f"{safe(self._root)} has {drivers}. Select one with the arrow keys and press Enter to open it."
        yield Static(where, id="where", markup=False)
        yield ChoiceList(*self._options(), id="stores", markup=False)

    def compose_buttons(self) -> ComposeResult:
        """Yield Cancel and Open."""
        yield from super().compose_buttons()
        yield Button("Open", id="open", variant="primary", compact=True)

    def on_mount(self) -> None:
        """Put the cursor on the first choice."""
        drivers = [store.driver for store in self._stores]
        self.query_one(OptionList).highlighted = drivers.index(self._first) if self._first in drivers else None

    def _names(self) -> str:
        names = [safe(store.driver) for store in self._stores]
        return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]

    def _options(self) -> list[Option]:
        width = max(len(safe(store.driver)) for store in self._stores)
        return [Option(self._label(store, width), disabled=not store.known) for store in self._stores]

    def _label(self, store: DriverStore, width: int) -> Content:
        layers = "records cannot be read" if store.layers is None else plural(store.layers, "layer")
        written = f"last write {time_text(store.last_write, self._now)}" if store.last_write else "never written"
        more = "" if store.known else " (layertui cannot open it)"
        return Content.assemble(
            (f"{safe(store.driver):<{width}}", "bold"),
            f"  {layers}, {written}\n",
            (f"{'':<{width}}  {safe(store.path)}{more}", MUTED),
        )

    @on(OptionList.OptionSelected)
    @on(Button.Pressed, "#open")
    def action_open(self) -> None:
        """Close with the driver under the cursor."""
        highlighted = self.query_one(OptionList).highlighted
        if highlighted is not None:
            self.dismiss(self._stores[highlighted].driver)
