"""A list that is edited line by line: what the dialogs of names and flags have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Generic

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from layertui.dialogs.confirm import close_or_ask
from layertui.dialogs.dialog import Dialog, ResultT

_NEW = -1


class ListEditor(Dialog[ResultT], Generic[ResultT]):
    """Shows lines; a line is added, edited or removed, and nothing leaves the dialog before it is saved.

    While a line is edited its fields stand below the list, `enter` takes the line over and `escape` goes back to the
    list. A subclass keeps the lines and says what is wrong with one.
    """

    DEFAULT_CSS = """
    ListEditor {
        #rows {
            height: auto;
            max-height: 10;
        }
        #none { color: $text-muted; }
        #editor { height: auto; margin-top: 1; display: none; }
        &.-editing #editor { display: block; }
        #note { height: auto; margin-top: 1; color: $text-muted; }
    }
    """

    AUTO_FOCUS = "#rows"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "Save", tooltip="Close and write the changes", id="list.save"),
        Binding("a", "add", "Add", id="list.add"),
        Binding("e", "edit", "Edit", id="list.edit"),
        Binding("d,delete", "remove", "Remove", key_display="d", id="list.remove"),
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
    ]

    NOUN: ClassVar[str] = "line"

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self._editing: int | None = None

    # What a subclass says.

    def rows(self) -> Iterable[Content]:
        """Return the lines."""
        raise NotImplementedError

    def compose_editor(self) -> ComposeResult:
        """Yield the fields of one line; the first that can be focused gets the cursor."""
        raise NotImplementedError

    def fill_editor(self, number: int | None) -> None:
        """Put the line with this number, or an empty one, into the fields."""
        raise NotImplementedError

    def problem(self, number: int | None) -> str:
        """Say what is wrong with the fields for the line with this number, "" if nothing is."""
        raise NotImplementedError

    def take(self, number: int | None) -> int:
        """Take the fields over as this line, or a new one; return its number."""
        raise NotImplementedError

    def drop(self, number: int) -> None:
        """Remove a line."""
        raise NotImplementedError

    def note(self) -> Content:
        """Return what stands below the list: what saving would do."""
        return Content("")

    @property
    def edited(self) -> bool:
        """Whether saving would change anything."""
        raise NotImplementedError

    def save(self) -> None:
        """Close with the result."""
        raise NotImplementedError

    # The screen.

    def compose_body(self) -> ComposeResult:
        """Yield the list, the fields of a line and the note."""
        yield OptionList(id="rows", markup=False)
        yield Static(f"No {self.NOUN}s yet: press a to add one.", id="none", markup=False)
        with Vertical(id="editor"):
            yield from self.compose_editor()
        yield Static(id="note", markup=False)

    def compose_buttons(self) -> ComposeResult:
        """Yield Add, Cancel and Save."""
        yield Button(f"Add {self.NOUN}", id="add", compact=True)
        yield from super().compose_buttons()
        yield Button("Save", id="save", variant="primary", compact=True)

    def on_mount(self) -> None:
        """Show the lines that there are."""
        self.show_rows(0)

    @property
    def _list(self) -> OptionList:
        return self.query_one("#rows", OptionList)

    def show_rows(self, cursor: int) -> None:
        """Draw the list anew, with the cursor on this line or the last one."""
        rows = list(self.rows())
        self._list.clear_options()
        self._list.add_options([Option(row) for row in rows])
        self._list.highlighted = min(cursor, len(rows) - 1) if rows else None
        self.query_one("#none").display = not rows
        note = self.note()
        self.query_one("#note", Static).update(note)
        self.query_one("#note").display = bool(note)
        self.refresh_bindings()

    def offers(self, action: str) -> bool | None:
        """Offer what works here: lines are not added while one is edited, nor edited where there are none."""
        if action in ("add", "edit", "remove") and self._editing is not None:
            return False
        if action in ("edit", "remove") and self._list.highlighted is None:
            return None
        return True

    def action_cursor_down(self) -> None:
        """Move the cursor of the list."""
        self._list.action_cursor_down()

    def action_cursor_up(self) -> None:
        """Move the cursor of the list."""
        self._list.action_cursor_up()

    # Editing.

    @on(Button.Pressed, "#add")
    def action_add(self) -> None:
        """Open the fields for a new line."""
        self._edit(_NEW)

    @on(OptionList.OptionSelected, "#rows")
    def action_edit(self) -> None:
        """Open the fields for the line under the cursor."""
        if self._list.highlighted is not None:
            self._edit(self._list.highlighted)

    def action_remove(self) -> None:
        """Remove the line under the cursor."""
        number = self._list.highlighted
        if number is not None:
            self.drop(number)
            self.show_rows(number)

    def _edit(self, number: int) -> None:
        self._editing = number
        self.add_class("-editing")
        self.fill_editor(None if number == _NEW else number)
        self.show_problem()
        first = next((field for field in self.query("#editor Input") if not field.disabled), None)
        if first is not None:
            first.focus()
        self.refresh_bindings()

    @property
    def _edited(self) -> int | None:
        return None if self._editing == _NEW else self._editing

    @on(Input.Changed)
    def _field_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self._editing is not None and event.value:
            self.show_problem(self.problem(self._edited))

    @on(Input.Submitted)
    def _field_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._finish_line()

    def _finish_line(self) -> bool:
        """Take the line that is being edited over; False when it cannot be."""
        if self._editing is None:
            return True
        problem = self.problem(self._edited)
        self.show_problem(problem)
        if problem:
            return False
        self._leave_line(self.take(self._edited))
        return True

    def _leave_line(self, cursor: int) -> None:
        self._editing = None
        self.remove_class("-editing")
        self.show_problem()
        self.show_rows(cursor)
        self._list.focus()

    @on(Button.Pressed, "#save")
    def action_save(self) -> None:
        """Take the line that is being edited over and close."""
        if self._finish_line():
            self.save()

    def action_cancel(self) -> None:
        """Go back to the list, and from there out of the dialog; ask before edits are lost."""
        if self._editing is None:
            close_or_ask(self, edited=self.edited)
        else:
            self._leave_line(self._list.highlighted or 0)
