"""All keys that work on the screen below, by group, and what the signs and colours mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Button, Input

from layertui.screens.dialog import Dialog
from layertui.screens.fields import SafeInput
from layertui.screens.lines import LinesView
from layertui.screens.text import MUTED

Entry = tuple[str, str, str]
"""A key as it is shown, what it does, and the tooltip that says more."""

Section = tuple[str, Sequence[Entry]]
"""A group of keys with its title."""

_GAP = 2


class HelpScreen(Dialog[None]):
    """Shows sections of keys and a legend of signs; `/` narrows them to what matches.

    The legend is pairs of a sign, drawn as the screen draws it, and its meaning.
    """

    DEFAULT_CSS = """
    HelpScreen {
        .dialog-box { width: 92; height: 92%; max-height: 50; }
        .dialog-body { height: 1fr; }
        #needle { margin-bottom: 1; display: none; }
        &.-filtering #needle { display: block; }
        LinesView, LinesView:focus { height: 1fr; background-tint: $surface 0%; }
    }
    """

    AUTO_FOCUS = "#lines"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "cancel", "Close", key_display="esc", id="help.close"),
        Binding("slash", "filter", "Filter", key_display="/", tooltip="Show only what matches", id="help.filter"),
    ]

    def __init__(self, sections: Sequence[Section], legend: Sequence[tuple[Content, str]] = ()) -> None:
        super().__init__("Help")
        self._sections = sections
        self._legend = legend

    def compose_body(self) -> ComposeResult:
        """Yield the filter and the lines."""
        yield SafeInput(placeholder="Part of a key or of what it does", id="needle")
        yield LinesView(help_lines(self._sections, self._legend), id="lines")

    def compose_buttons(self) -> ComposeResult:
        """Yield Close."""
        yield Button("Close", id="cancel", variant="primary", compact=True)

    def action_filter(self) -> None:
        """Open the filter."""
        self.add_class("-filtering")
        self.query_one("#needle").focus()

    @on(Input.Changed, "#needle")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.query_one(LinesView).lines = help_lines(self._sections, self._legend, event.value)

    @on(Input.Submitted, "#needle")
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one(LinesView).focus()

    def action_cancel(self) -> None:
        """Close the filter, and then the help."""
        if not self.has_class("-filtering"):
            self.dismiss(None)
            return
        self.query_one("#needle", SafeInput).put("")
        self.remove_class("-filtering")
        self.query_one(LinesView).focus()


def help_lines(
    sections: Iterable[Section], legend: Sequence[tuple[Content, str]] = (), needle: str = ""
) -> list[Content]:
    """Return what the help says about `needle`, a line a key, with the columns aligned over all sections."""
    wanted = needle.strip().casefold()
    kept = [
        (title, [entry for entry in entries if wanted in " ".join((title, *entry)).casefold()])
        for title, entries in sections
    ]
    signs = [(sign, meaning) for sign, meaning in legend if wanted in f"{sign.plain} {meaning}".casefold()]
    every = [entry for _, entries in kept for entry in entries]
    keys = max([*(len(key) for key, _, _ in every), *(sign.cell_length for sign, _ in signs)], default=0) + _GAP
    actions = max((len(action) for _, action, _ in every), default=0) + _GAP
    lines: list[Content] = []
    for title, entries in kept:
        if entries:
            lines += [Content(""), Content.styled(title, "bold $text-primary")]
            lines += [_key_line(entry, keys, actions) for entry in entries]
    if signs:
        lines += [Content(""), Content.styled("Signs", "bold $text-primary")]
        lines += [Content.assemble("  ", sign, " " * (keys - sign.cell_length), meaning) for sign, meaning in signs]
    return lines[1:] or [Content.styled("Nothing matches.", MUTED)]


def _key_line(entry: Entry, keys: int, actions: int) -> Content:
    key, action, tooltip = entry
    return Content.assemble("  ", (f"{key:<{keys}}", "bold $text-accent"), f"{action:<{actions}}", (tooltip, MUTED))
