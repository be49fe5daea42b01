"""Fields of a form that Textual does not have: a safe input, one choice out of a few, and a field with its label."""

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
    """A line of a form: a label, and what belongs to it."""

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
        """Point to the field that the keys go to."""
        self.add_class("-active")

    def on_descendant_blur(self) -> None:
        """Stop pointing."""
        self.remove_class("-active")


class SafeInput(Input):
    """An input into which nothing can be pasted that a terminal would obey."""

    DEFAULT_CSS = """
    SafeInput { width: 1fr; background: $panel; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "OK", tooltip="Take what is typed", id="input.ok"),
    ]

    def __init__(self, value: str = "", placeholder: str = "", *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(typable(value), placeholder, id=id, compact=True, select_on_focus=False)

    def put(self, value: str) -> None:
        """Change the text and go to its end."""
        self.value = typable(value)
        self.cursor_position = len(self.value)

    def on_paste(self, event: events.Paste) -> None:
        """Take the first line of what the terminal pastes, without control characters."""
        event.prevent_default()
        event.stop()
        self.replace(typable(event.text), *sorted(self.selection))

    def action_paste(self) -> None:
        """Do the same with what was copied inside the program."""
        self.replace(typable(self.app.clipboard), *sorted(self.selection))


class Choice(Widget, can_focus=True):
    """One value out of a few, all in sight on one line; the arrow keys move it."""

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
    """Which of the values is chosen."""

    @dataclass
    class Changed(Message):
        """Another value was chosen."""

        choice: Choice
        index: int

        @property
        def control(self) -> Choice:
            """The widget that posts it."""
            return self.choice

    def __init__(self, labels: Sequence[str], index: int = 0, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._labels = tuple(labels)
        self.set_reactive(Choice.index, index)

    def render(self) -> Content:
        """Draw the values, the chosen one with a full dot, and reversed where the keys go to it."""
        chosen = "bold reverse" if self.has_focus else "bold"
        parts = [
            Content.styled(f" ● {label} ", chosen) if number == self.index else Content(f" ○ {label} ")
            for number, label in enumerate(self._labels)
        ]
        return Content.assemble(*parts)

    def watch_index(self, index: int) -> None:
        """Tell the form."""
        self.post_message(self.Changed(self, index))

    def action_step(self, by: int) -> None:
        """Choose a neighbour, round the ends."""
        self.index = (self.index + by) % len(self._labels)

    def on_click(self, event: events.Click) -> None:
        """Choose what was clicked on."""
        ends = accumulate(len(label) + 4 for label in self._labels)
        self.index = next((number for number, end in enumerate(ends) if event.x < end), self.index)
