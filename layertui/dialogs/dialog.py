"""What all dialogs have in common: the box, the place of the buttons, the keys and the way out."""

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

ResultT = TypeVar("ResultT")


class ButtonRow(Horizontal):
    """The buttons at the foot of a dialog; the arrow keys walk along them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "step(-1)", "Previous button", show=False),
        Binding("right,l", "step(1)", "Next button", show=False),
    ]

    def action_step(self, by: int) -> None:
        """Move the focus to a neighbour, round the ends."""
        buttons = [button for button in self.query(Button) if button.focusable]
        focused = self.screen.focused
        if isinstance(focused, Button) and focused in buttons:
            buttons[(buttons.index(focused) + by) % len(buttons)].focus()


class ChoiceList(OptionList):
    """Lines of which one is chosen; the footer of the dialog says so."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select", "Choose", key_display="⏎")]


class Dialog(ModalScreen[ResultT], WholeScreen[ResultT], Generic[ResultT]):
    """A box in the middle of the screen: a title, a body, buttons, and the keys that work in it.

    A subclass says what is in the body and which buttons there are. `escape` and the button with the ID "cancel"
    close it with None, unless `action_cancel` says something else. Nothing in a dialog talks to a store.
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
        """Put the parts into the box."""
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
        """Take away older messages: they would lie on the buttons."""
        self.app.clear_notifications()

    def on_resize(self, event: events.Resize) -> None:
        """Leave room for what is not the body: in a box that fits its content only cells can limit it."""
        around = self.rows_around_body(event.size.height)
        self.query_one(".dialog-body").styles.max_height = max(3, event.size.height - around)

    def rows_around_body(self, height: int) -> int:
        """Return how many rows of a box are not its body: border, problem, buttons and keys."""
        del height
        return 8

    def compose_body(self) -> ComposeResult:
        """Yield what the dialog is about."""
        yield from ()

    def compose_buttons(self) -> ComposeResult:
        """Yield the buttons from left to right."""
        yield Button("Cancel", id="cancel", compact=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the keys that `offers` lets through, and all while the dialog comes or goes."""
        del parameters
        return self.offers(action) if self.is_mounted and not self.going else True

    def offers(self, action: str) -> bool | None:
        """Tell whether an action does something now; None shows its key all the same, but dimmed."""
        del action
        return True

    def action_scroll_body(self, pages: int) -> None:
        """Scroll a body that is longer than the screen."""
        body = self.query_one(".dialog-body")
        body.scroll_relative(y=pages * body.size.height, animate=False)

    def show_problem(self, problem: str | Content = "") -> None:
        """Show what is wrong above the buttons, or take that line away."""
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
