"""The base classes of all dialogs."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Footer, OptionList, Static

from layertui.keys.typed_ahead import WholeScreen
from layertui.text.safe import safe
from layertui.widgets.path_field import PathField

ResultT = TypeVar("ResultT")

LIST_BINDINGS: list[BindingType] = [
    Binding("j", "cursor(1)", "Down", show=False),
    Binding("k", "cursor(-1)", "Up", show=False),
]
"""The keys for `Dialog.action_cursor`."""


class ButtonRow(Horizontal):
    """The buttons at the bottom of a dialog. The arrow keys move between them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "step(-1)", "Previous button", show=False),
        Binding("right,l", "step(1)", "Next button", show=False),
    ]

    def action_step(self, by: int) -> None:
        """Move the focus to a neighbouring button, wrapping around."""
        buttons = [button for button in self.query(Button) if button.focusable]
        focused = self.screen.focused
        if isinstance(focused, Button) and focused in buttons:
            buttons[(buttons.index(focused) + by) % len(buttons)].focus()


class ChoiceList(OptionList):
    """A list to choose from. It adds the key for choosing to the footer of the dialog."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select", "Choose", key_display="⏎")]


class Dialog(ModalScreen[ResultT], WholeScreen[ResultT], Generic[ResultT]):
    """A box in the middle of the screen with a title, a body, buttons, and a footer with the active keys.

    Subclasses compose the body and the buttons. Escape and the button with the ID "cancel" close the dialog with None
    unless `action_cancel` is overridden.
    """

    DEFAULT_CSS = """
    Dialog {
        align: center middle;

        .dialog-box {
            width: 76;
            max-width: 100%;
            height: auto;
            max-height: 100%;
            background: $surface;
            border: round $primary;
            border-title-color: $primary;
            border-title-style: bold;
            padding: 0 1;
        }
        &.-danger .dialog-box {
            border: round $error;
            border-title-color: $text-error;
        }
        .dialog-body {
            height: auto;
            padding: 1 1 0 1;
            scrollbar-size-vertical: 1;
        }
        .dialog-problem {
            height: auto;
            padding: 0 1;
            margin-top: 1;
            color: $text-error;
        }
        ButtonRow {
            height: 1;
            margin: 1 1;
            align-horizontal: right;
        }
        ButtonRow Button {
            margin-left: 2;
            min-width: 10;
            &.-style-default {
                color: $foreground;
                background: $panel-lighten-1;
                background-tint: $foreground 0%;
                text-style: none;
                &.-primary { background: $primary-muted; }
                &.-error { background: $error-muted; }
                &:hover { background-tint: $foreground 12%; }
                &:disabled { color: $foreground 50%; text-opacity: 100%; background: $panel; }
                &:focus { color: $background; background: $accent; text-style: bold; }
                &.-error:focus { background: $error; }
            }
        }
        OptionList, OptionList:focus {
            border: none;
            padding: 0;
            background: $surface;
            background-tint: $surface 0%;
            scrollbar-size-vertical: 1;
            & > .option-list--option-highlighted {
                background: $primary 20%;
                color: $foreground;
                text-style: none;
            }
        }
        OptionList:focus > .option-list--option-highlighted { background: $primary 45%; text-style: bold; }
        Footer {
            dock: none;
            padding-left: 1;
            background: $surface;
            &.-compact FooterKey { margin-right: 2; }
            FooterKey, .footer-key--key, .footer-key--description { background: $surface; }
        }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", tooltip="Close without changing anything", id="dialog.cancel"),
        Binding("pageup", "scroll_body(-1)", "Scroll up", show=False),
        Binding("pagedown", "scroll_body(1)", "Scroll down", show=False),
    ]

    def __init__(self, title: str | Content, *, danger: bool = False) -> None:
        super().__init__(classes="-danger" if danger else "")
        self._heading = title if isinstance(title, Content) else Content(safe(title))

    def compose(self) -> ComposeResult:
        """Yield the box with its parts."""
        with Vertical(classes="dialog-box") as box:
            box.border_title = self._heading
            with VerticalScroll(classes="dialog-body", can_focus=False):
                yield from self.compose_body()
            problem = Static(classes="dialog-problem", markup=False)
            problem.display = False
            yield problem
            with ButtonRow():
                yield from self.compose_buttons()
            yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Clear the notifications, which would cover the buttons."""
        self.app.clear_notifications()

    def on_resize(self, event: events.Resize) -> None:
        """Limit the height of the body, so that the rest of the box fits on the screen.

        The limit is in cells because a box with automatic height ignores percentages.
        """
        around = self.rows_around_body(event.size.height)
        self.query_one(".dialog-body").styles.max_height = max(3, event.size.height - around)

    def rows_around_body(self, height: int) -> int:
        """Return how many rows the box needs beside its body, on a screen of this height."""
        del height
        return 8

    def compose_body(self) -> ComposeResult:
        """Yield the body."""
        yield from ()

    def compose_buttons(self) -> ComposeResult:
        """Yield the buttons from left to right."""
        yield Button("Cancel", id="cancel", compact=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return the result of `offers`, or True while the dialog opens or closes."""
        del parameters
        return self.offers(action) if self.is_mounted and not self.going else True

    def offers(self, action: str) -> bool | None:
        """Return whether an action is available now, or None to show its key dimmed."""
        del action
        return True

    def action_scroll_body(self, pages: int) -> None:
        """Scroll the body by pages."""
        body = self.query_one(".dialog-body")
        body.scroll_relative(y=pages * body.size.height, animate=False)

    def show_problem(self, problem: str | Content = "") -> None:
        """Show an error above the buttons, or hide the line if it is empty."""
        line = self.query_one(".dialog-problem", Static)
        line.display = bool(problem)
        line.update(Content.assemble(("✗ ", "bold"), problem) if problem else "")

    def set_heading(self, title: str) -> None:
        """Change the title."""
        self.query_one(".dialog-box", Vertical).border_title = Content(safe(title))

    @on(Button.Pressed, "#cancel")
    def _cancel_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.action_cancel()

    def action_cancel(self) -> None:
        """Close the dialog without a result."""
        self.dismiss(None)

    def action_cursor(self, step: int) -> None:
        """Move the cursor of the list in the body. Dialogs with a list add `LIST_BINDINGS` for this."""
        options = self.query_one(OptionList)
        if step > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()


class FormDialog(Dialog[ResultT], Generic[ResultT]):
    """A form with one path among its fields, for which it has a Browse button."""

    DEFAULT_CSS = """
    FormDialog {
        .dialog-box { width: 84; }
        .dialog-body > Field { margin-bottom: 1; }
        .one-line { width: 1fr; height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        #note { color: $text-muted; height: auto; }
    }
    """

    def compose_buttons(self) -> ComposeResult:
        """Yield Browse and Cancel. Subclasses add the button that accepts the form."""
        yield Button("Browse…", id="browse", compact=True)
        yield from super().compose_buttons()

    @on(Button.Pressed, "#browse")
    def action_browse(self) -> None:
        """Open the file picker."""
        self.query_one(PathField).browse()
