"""The base class of the dialogs for names and flags, which edit a list line by line."""

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
from layertui.dialogs.dialog import LIST_BINDINGS, Dialog, ResultT

_NEW = -1


class ListEditor(Dialog[ResultT], Generic[ResultT]):
    """Adds, edits and removes the lines of a list. Changes take effect only when the dialog is saved.

    While a line is being edited, its fields are below the list; Enter accepts them and Escape discards them. Subclasses
    hold the lines and validate the fields.
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
        *LIST_BINDINGS,
    ]

    NOUN: ClassVar[str] = "line"

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self._editing: int | None = None

    # To be implemented by subclasses

    def rows(self) -> Iterable[Content]:
        """Return the lines."""
        raise NotImplementedError

    def compose_editor(self) -> ComposeResult:
        """Yield the fields of one line. The first enabled one gets the focus."""
        raise NotImplementedError

    def fill_editor(self, number: int | None) -> None:
        """Fill the fields with line `number`, or clear them for a new line."""
        raise NotImplementedError

    def problem(self, number: int | None) -> str:
        """Return what is wrong with the fields for line `number`, "" if they are valid."""
        raise NotImplementedError

    def take(self, number: int | None) -> int:
        """Store the fields in line `number` or in a new line, and return its number."""
        raise NotImplementedError

    def drop(self, number: int) -> None:
        """Remove a line."""
        raise NotImplementedError

    def note(self) -> Content:
        """Return a text to show below the list, such as what saving would do."""
        return Content("")

    @property
    def edited(self) -> bool:
        """Whether saving would change anything."""
        raise NotImplementedError

    def save(self) -> None:
        """Close with the result."""
        raise NotImplementedError

    # Display

    def compose_body(self) -> ComposeResult:
        """Yield the list, the fields for one line and the note."""
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
        """Show the lines."""
        self.show_rows(0)

    @property
    def _list(self) -> OptionList:
        return self.query_one("#rows", OptionList)

    def show_rows(self, cursor: int) -> None:
        """Update the list, with the cursor on line `cursor` or the last one."""
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
        """Offer no changes of the list while a line is being edited, and no editing of an empty list."""
        if action in ("add", "edit", "remove") and self._editing is not None:
            return False
        if action in ("edit", "remove") and self._list.highlighted is None:
            return None
        return True

    # Editing

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
        """Store the line that is being edited and return whether it is valid."""
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
        """Store the line that is being edited and save."""
        if self._finish_line():
            self.save()

    def action_cancel(self) -> None:
        """Leave the fields if a line is being edited, or else close the dialog after a confirmation."""
        if self._editing is None:
            close_or_ask(self, edited=self.edited)
        else:
            self._leave_line(self._list.highlighted or 0)
