"""Edits that nobody has saved yet: ask before they are lost."""

from __future__ import annotations

from typing import Any

from layertui.dialogs.confirm import ConfirmDialog
from layertui.dialogs.dialog import Dialog


def leave(dialog: Dialog[Any], *, edited: bool) -> None:
    """Close the dialog without a result; where something was edited, ask first."""
    if not edited:
        dialog.dismiss(None)
        return

    def answer(sure: bool | None) -> None:
        if sure:
            dialog.dismiss(None)

    body = "What was edited here is not saved yet.\n\nKeep editing, and save with ctrl+s; or discard it."
    dialog.app.push_screen(
        ConfirmDialog("Discard the changes?", body, confirm_label="Discard", cancel_label="Keep editing", danger=True),
        answer,
    )
