"""The dialog for errors."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.cells import chop_cells
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Button, Static

from layertui.dialogs.dialog import Dialog
from layertui.dialogs.explain import explain
from layertui.log import log_file as current_log_file
from layertui.text.safe import safe
from layertui.widgets.lines import LinesView
from layertui.widgets.text import MUTED, safe_lines


class ErrorDialog(Dialog[None]):
    """Shows what went wrong, the facts and the remedy. `log_file` holds the details of an unexpected error."""

    DEFAULT_CSS = """
    ErrorDialog {
        .dialog-box { width: 84; }
        Static { height: auto; }
        #way-out, #facts { margin-top: 1; }
    }
    """

    AUTO_FOCUS = "#cancel"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "cancel", "Close", key_display="esc", id="error.close"),
        Binding("y", "copy", "Copy", tooltip="Copy the whole message", id="error.copy"),
    ]

    def __init__(self, error: BaseException, log_file: Path | None = None) -> None:
        self._error = error
        self._explanation = explain(error)
        super().__init__(self._explanation.headline, danger=True)
        self._log_file = log_file or current_log_file()

    def compose_body(self) -> ComposeResult:
        """Yield the text, the remedy and the facts."""
        yield Static(safe_lines(self._explanation.text), id="text", markup=False)
        if self._explanation.way_out:
            way_out = Content.assemble(("→ ", "bold $text-success"), safe(self._explanation.way_out))
            yield Static(way_out, id="way-out", markup=False)
        facts = list(self._explanation.facts)
        if self._explanation.is_bug and self._log_file is not None:
            facts.append(("Details in", str(self._log_file)))
        if facts:
            yield FactLines(facts, id="facts")

    def compose_buttons(self) -> ComposeResult:
        """Yield Copy and Close."""
        yield Button("Copy", id="copy", compact=True)
        yield Button("Close", id="cancel", variant="primary", compact=True)

    @on(Button.Pressed, "#copy")
    def action_copy(self) -> None:
        """Copy everything that is shown, and for a bug its traceback."""
        report = self._explanation.as_text()
        if self._explanation.is_bug:
            trace = "".join(traceback.format_exception(self._error))
            report += "\n\n" + "\n".join(map(safe, trace.rstrip().split("\n")))
        self.app.copy_to_clipboard(report)
        self.notify("Copied", markup=False)


class FactLines(LinesView):
    """Labelled values in two columns. Long values wrap, and a repeated label is shown only once."""

    def __init__(self, facts: Sequence[tuple[str, str]], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(share=44, id=id)
        self._facts = facts
        self._wrapped_at = 0

    def on_resize(self) -> None:
        """Wrap the values to the new width."""
        width = self.scrollable_content_region.width
        if width != self._wrapped_at:
            self._wrapped_at = width
            self.lines = fact_lines(self._facts, width)


def fact_lines(facts: Sequence[tuple[str, str]], width: int) -> list[Content]:
    """Return the lines of the facts in two columns of `width` cells together."""
    indent = max((len(label) for label, _ in facts), default=0) + 2
    lines: list[Content] = []
    before = ""
    for label, value in facts:
        parts = chop_cells(safe(value), max(1, width - indent)) or [""]
        heads = [label if label != before else "", *[""] * (len(parts) - 1)]
        lines += [Content.assemble((head.ljust(indent), MUTED), part) for head, part in zip(heads, parts, strict=True)]
        before = label
    return lines
