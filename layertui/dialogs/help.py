"""The help: all keys in groups, and a legend of symbols and colours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from textwrap import wrap
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Button, Input

from layertui.dialogs.dialog import Dialog
from layertui.widgets.inputs import SafeInput
from layertui.widgets.lines import LinesView
from layertui.widgets.text import MUTED

Entry = tuple[str, str, str, str]
"""The key as displayed, its action, a description, and the ID for remapping it."""

Section = tuple[str, Sequence[Entry]]
"""The title and the keys of a group."""

_GAP = 2
_INDENT = 2
_MAX_KEYS = 12  # cells of the columns; longer text wraps
_MAX_ACTION = 14
_MIN_DESCRIPTION = 20
_WIDE = 1000
_TALL = 30
"""The least height of a screen on which the dialog has buttons and padding."""


class HelpLines(LinesView):
    """Lines that `make` creates for a given width."""

    def __init__(self, make: Callable[[int], list[Content]], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._make = make
        self._made_for = 0

    def on_resize(self) -> None:
        """Create the lines again for a new width."""
        if self.content_size.width != self._made_for:
            self.make(keep_place=True)

    def make(self, *, keep_place: bool = False) -> None:
        """Create the lines, leaving one cell between the text and the scroll bar."""
        place = self.scroll_offset.y
        self._made_for = self.content_size.width
        self.lines = self._make(self._made_for - 1 - self.styles.scrollbar_size_vertical)
        if keep_place:
            self.scroll_to(y=place, animate=False)


class HelpScreen(Dialog[None]):
    """Shows sections of keys and a legend. `/` filters them, and `i` shows the IDs of the keys.

    The legend is a list of pairs of a symbol, as the screen draws it, and its meaning.
    """

    DEFAULT_CSS = """
    HelpScreen {
        .dialog-box { width: 108; height: 92%; max-height: 50; }
        .dialog-body { height: 1fr; }
        #needle { margin-bottom: 1; display: none; }
        &.-filtering #needle { display: block; }
        &.-low {
            .dialog-box { height: 100%; }
            .dialog-body { padding-top: 0; }
            ButtonRow { display: none; }
        }
        LinesView, LinesView:focus { height: 1fr; background-tint: $surface 0%; }
    }
    """

    AUTO_FOCUS = "#lines"
    VERTICAL_BREAKPOINTS = [(0, "-low"), (_TALL, "-tall")]  # noqa: RUF012 - typed so by Textual

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "cancel", "Close", key_display="esc", id="help.close"),
        Binding("slash", "filter", "Filter", key_display="/", tooltip="Show only matching lines", id="help.filter"),
        Binding("i", "ids", "IDs", tooltip="Show the IDs for remapping keys in config.toml", id="help.ids"),
    ]

    def __init__(self, sections: Sequence[Section], legend: Sequence[tuple[Content, str]] = ()) -> None:
        super().__init__("Help")
        self._sections = sections
        self._legend = legend
        self._needle = ""
        self._ids = False

    def rows_around_body(self, height: int) -> int:
        """Return fewer rows on a low screen, where only the lines and the footer are shown."""
        return super().rows_around_body(height) if height >= _TALL else 3

    def compose_body(self) -> ComposeResult:
        """Yield the filter and the lines."""
        yield SafeInput(placeholder="Part of a key or a description", id="needle")
        yield HelpLines(self._lines, id="lines")

    def compose_buttons(self) -> ComposeResult:
        """Yield Close."""
        yield Button("Close", id="cancel", variant="primary", compact=True)

    def _lines(self, width: int) -> list[Content]:
        return help_lines(self._sections, self._legend, self._needle, ids=self._ids, width=width)

    def action_ids(self) -> None:
        """Switch between descriptions and IDs."""
        self._ids = not self._ids
        self.query_one(HelpLines).make(keep_place=True)

    def action_filter(self) -> None:
        """Open the filter."""
        self.add_class("-filtering")
        self.query_one("#needle").focus()

    @on(Input.Changed, "#needle")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._needle = event.value
        self.query_one(HelpLines).make()

    @on(Input.Submitted, "#needle")
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one(HelpLines).focus()

    def action_cancel(self) -> None:
        """Close the filter if it is open, else the help."""
        if not self.has_class("-filtering"):
            self.dismiss(None)
            return
        self.query_one("#needle", SafeInput).put("")
        self.remove_class("-filtering")
        self.query_one(HelpLines).focus()


def help_lines(
    sections: Iterable[Section],
    legend: Sequence[tuple[Content, str]] = (),
    needle: str = "",
    *,
    ids: bool = False,
    width: int = _WIDE,
) -> list[Content]:
    """Return the lines of the help that match `needle`, in columns aligned across all sections.

    Columns are as wide as their content up to a limit; longer text wraps. `ids` shows IDs instead of descriptions.
    """
    wanted = needle.strip().casefold()
    kept = [
        (title, [entry for entry in entries if wanted in " ".join((title, *entry)).casefold()])
        for title, entries in sections
    ]
    signs = [(sign, meaning) for sign, meaning in legend if wanted in f"{sign.plain} {meaning}".casefold()]
    every = [entry for _, entries in kept for entry in entries]
    keys = min(max((len(key) for key, _, _, _ in every), default=0), _MAX_KEYS)
    keys = max([keys, *(sign.cell_length for sign, _ in signs)])
    actions = min(max((len(action) for _, action, _, _ in every), default=0), _MAX_ACTION)
    room = width - _INDENT - keys - _GAP
    lines: list[Content] = []
    for title, entries in kept:
        if entries:
            lines += [Content(""), Content.styled(title, "bold $text-primary")]
            for entry in entries:
                lines += _key_lines(entry, keys, actions, max(room - actions - _GAP, _MIN_DESCRIPTION), ids=ids)
    if signs:
        lines += [Content(""), Content.styled("Symbols", "bold $text-primary")]
        for sign, meaning in signs:
            lines += _sign_lines(sign, meaning, keys, max(room, _MIN_DESCRIPTION))
    return lines[1:] or [Content.styled("Nothing matches.", MUTED)]


def _key_lines(entry: Entry, keys: int, actions: int, room: int, *, ids: bool) -> list[Content]:
    key, action, sentence, name = entry
    columns = wrap(key, max(keys, 1)), wrap(action, actions), wrap(name if ids else sentence, room)
    return [
        Content.assemble(
            " " * _INDENT,
            (f"{key:<{keys + _GAP}}", "bold $text-accent"),
            f"{action:<{actions + _GAP}}",
            (more, MUTED),
        )
        for key, action, more in zip_longest(*columns, fillvalue="")
    ]


def _sign_lines(sign: Content, meaning: str, keys: int, room: int) -> list[Content]:
    first, *more = wrap(meaning, room) or [""]
    before = " " * _INDENT
    lines = [Content.assemble(before, sign, " " * (keys - sign.cell_length + _GAP), first)]
    return lines + [Content(before + " " * (keys + _GAP) + text) for text in more]
