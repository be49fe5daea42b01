"""The filter line with the number of matches."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static

from layertui.keys.actions import FILTER_ACTIONS, bindings
from layertui.widgets.inputs import SafeInput

DEBOUNCE = 0.012
"""Seconds without a key before the filter is applied, so that the typed letter is drawn first."""


class FilterInput(SafeInput):
    """The input of a filter bar."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(FILTER_ACTIONS)


class FilterBar(Horizontal):
    """A filter line that is hidden until it is opened. It posts `Typed` shortly after the text changes."""

    DEFAULT_CSS = """
    FilterBar {
        height: 1;
        display: none;
        background: $surface;
        &.-open { display: block; }
        & .filter-sign { width: 3; color: $accent; text-style: bold; padding: 0 0 0 1; }
        & .filter-found { width: auto; max-width: 70%; color: $foreground 60%; padding: 0 1; }
        &.-error .filter-found { color: $text-error; }
        & FilterInput { width: 1fr; height: 1; border: none; padding: 0; background: $surface; }
    }
    """

    class Typed(Message):
        """The text of the filter has changed."""

        def __init__(self, bar: FilterBar, text: str) -> None:
            self.bar = bar
            self.text = text
            super().__init__()

        @property
        def control(self) -> FilterBar:
            """The bar."""
            return self.bar

    def __init__(self, placeholder: str, *, id: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id)
        self._placeholder = placeholder
        self._timer: Timer | None = None
        self._found = ""

    def compose(self) -> ComposeResult:
        """Yield the slash, the input and the number of matches."""
        yield Static("/", classes="filter-sign", markup=False)
        yield FilterInput("", self._placeholder)
        yield Static("", classes="filter-found", markup=False)

    @property
    def text(self) -> str:
        """The typed text."""
        return self.query_one(FilterInput).value

    def open(self) -> None:
        """Show the bar and focus it."""
        self.add_class("-open")
        self.query_one(FilterInput).focus()

    def close(self) -> None:
        """Hide the bar and clear its text."""
        self.remove_class("-open")
        self.query_one(FilterInput).value = ""

    def show_result(self, found: int, total: int, error: str = "") -> None:
        """Show the number of matches, or an error in the filter."""
        self.set_class(bool(error), "-error")
        text = error or (f"{found:,} of {total:,}".rjust(len(f"{total:,} of {total:,}")) if self.text else "")
        if text != self._found:
            same_width = len(text) == len(self._found)  # skips a layout, which is slow
            self._found = text
            self.query_one(".filter-found", Static).update(Content(text), layout=not same_width)

    @on(SafeInput.Changed)
    def _changed(self, event: SafeInput.Changed) -> None:
        event.stop()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(DEBOUNCE, self._post_typed)

    def _post_typed(self) -> None:
        self.post_message(self.Typed(self, self.text))
