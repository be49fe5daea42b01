"""Fields for forms: a labelled row, an input that rejects control characters, and a choice on one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Input, Static

from layertui.widgets.text import typable


class Field(Horizontal):
    """A row of a form: a label followed by widgets."""

    DEFAULT_CSS = """
    Field {
        height: auto;
        .field-label { width: 9; color: $text-muted; }
        &.-active .field-label { color: $text-accent; text-style: bold; }
    }
    """

    def __init__(self, title: str, *content: Widget) -> None:
        super().__init__(Static(title, classes="field-label", markup=False), *content)

    def on_descendant_focus(self) -> None:
        """Highlight the label."""
        self.add_class("-active")

    def on_descendant_blur(self) -> None:
        """Clear the highlight."""
        self.remove_class("-active")


class SafeInput(Input):
    """An input that strips control characters from pasted text."""

    DEFAULT_CSS = """
    SafeInput { width: 1fr; background: $panel; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "OK", tooltip="Accept the text", id="input.ok"),
    ]

    def __init__(self, value: str = "", placeholder: str = "", *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(typable(value), placeholder, id=id, compact=True, select_on_focus=False)

    def put(self, value: str) -> None:
        """Set the text and move the cursor to its end."""
        self.value = typable(value)
        self.cursor_position = len(self.value)

    def on_paste(self, event: events.Paste) -> None:
        """Insert the first line of text pasted by the terminal."""
        event.prevent_default()
        event.stop()
        self.replace(typable(event.text), *sorted(self.selection))

    def action_paste(self) -> None:
        """Insert the first line of text copied in the browser."""
        self.replace(typable(self.app.clipboard), *sorted(self.selection))


class Choice(Widget, can_focus=True):
    """A choice of one among a few values, all on one line. The arrow keys change it."""

    DEFAULT_CSS = """
    Choice {
        width: 1fr;
        height: auto;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "step(-1)", "Previous choice", show=False),
        Binding("right,l,space", "step(1)", "Next choice", show=False),
    ]

    index: reactive[int] = reactive(0, init=False)
    """The index of the selected value."""

    @dataclass
    class Changed(Message):
        """Another value was selected."""

        choice: Choice
        index: int

        @property
        def control(self) -> Choice:
            """The widget."""
            return self.choice

    def __init__(self, labels: Sequence[str], index: int = 0, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._labels = tuple(labels)
        self.set_reactive(Choice.index, index)

    def render(self) -> Content:
        """Draw the values, the selected one with a filled dot and, with the focus, reversed."""
        chosen = "bold reverse" if self.has_focus else "bold"
        parts = [
            Content.styled(f" ● {label} ", chosen) if number == self.index else Content(f" ○ {label} ")
            for number, label in enumerate(self._labels)
        ]
        return Content.assemble(*parts)

    def watch_index(self, index: int) -> None:
        """Post `Changed`."""
        self.post_message(self.Changed(self, index))

    def action_step(self, by: int) -> None:
        """Select a neighbouring value, wrapping around."""
        self.index = (self.index + by) % len(self._labels)

    def on_click(self, event: events.Click) -> None:
        """Select the clicked value."""
        ends = accumulate(len(label) + 4 for label in self._labels)
        self.index = next((number for number, end in enumerate(ends) if event.x < end), self.index)
