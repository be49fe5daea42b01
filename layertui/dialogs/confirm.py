"""Yes-or-no questions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.content import Content
from textual.widgets import Button, Static

from layertui.dialogs.dialog import Dialog
from layertui.text.safe import safe
from layertui.widgets.text import safe_lines


class ConfirmDialog(Dialog[bool]):
    """Asks for a confirmation. The result is True only if the user confirms.

    With `danger` the box is red and the focus is on Cancel, so that an accidental Enter does nothing.
    """

    DEFAULT_CSS = """
    ConfirmDialog .dialog-box { width: 60; }
    """

    AUTO_FOCUS = "#cancel"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "confirm", "Yes", tooltip="Confirm", id="confirm.yes"),
        Binding("n", "cancel", "No", tooltip="Close without changing anything", id="confirm.no"),
    ]

    def __init__(
        self,
        title: str | Content,
        body: str | Content,
        *,
        confirm_label: str = "OK",
        cancel_label: str = "Cancel",
        danger: bool = False,
    ) -> None:
        super().__init__(title, danger=danger)
        self._body = body if isinstance(body, Content) else safe_lines(body)
        self._confirm_label = confirm_label
        self._cancel_label = cancel_label
        self._danger = danger

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        """The active keys, described by the labels of the buttons."""
        words = {"confirm": safe(self._confirm_label), "cancel": safe(self._cancel_label)}
        return {
            key: active._replace(binding=replace(active.binding, description=words[active.binding.action]))
            if active.binding.action in words
            else active
            for key, active in super().active_bindings.items()
        }

    def compose_body(self) -> ComposeResult:
        """Yield the question."""
        yield Static(self._body, markup=False)

    def compose_buttons(self) -> ComposeResult:
        """Yield the two answers."""
        yield Button(Content(safe(self._cancel_label)), id="cancel", compact=True)
        yield Button(
            Content(safe(self._confirm_label)),
            id="confirm",
            variant="error" if self._danger else "primary",
            compact=True,
        )

    def on_mount(self) -> None:
        """Focus the confirming button if the action is harmless."""
        if not self._danger:
            self.query_one("#confirm").focus()

    @on(Button.Pressed, "#confirm")
    def action_confirm(self) -> None:
        """Close with True."""
        self.dismiss(True)

    def action_cancel(self) -> None:
        """Close with False."""
        self.dismiss(False)


def close_or_ask(dialog: Dialog[Any], *, edited: bool) -> None:
    """Close the dialog without a result, after a confirmation if there are unsaved edits."""
    if not edited:
        dialog.dismiss(None)
        return

    def answer(sure: bool | None) -> None:
        if sure:
            dialog.dismiss(None)

    body = "Your changes are not saved.\n\nKeep editing and save with ctrl+s, or discard them."
    dialog.app.push_screen(
        ConfirmDialog("Discard changes?", body, confirm_label="Discard", cancel_label="Keep editing", danger=True),
        answer,
    )
