"""The top line: the store, how much is in it, and whether the screen is up to date."""

from __future__ import annotations

from enum import Enum
from typing import ClassVar

from rich.cells import cell_len
from rich.style import Style
from textual import events
from textual.content import Content
from textual.reactive import reactive

from layertui.keys.sentences import key_of
from layertui.model.view import StoreView
from layertui.text.format import plural, size_text
from layertui.text.safe import safe
from layertui.widgets.cells import ELLIPSIS, Line
from layertui.widgets.one_line import OneLine

_DOT = " · "
_LISTED = 8  # problems in the tooltip


class Following(Enum):
    """Whether the screen follows changes of the store, as text for the header."""

    ON = "● following"
    READING = "◌ reading"
    FAILED = "! not following"


class HeaderBar(OneLine):
    """Shows facts about the store. If they do not fit, the last ones are dropped, then the path loses its beginning."""

    DEFAULT_CSS = """
    HeaderBar {
        background: $panel;
        color: $foreground;
        & .header--brand { color: $accent; text-style: bold; }
        & .header--path { text-style: bold; }
        & .header--dim { color: $foreground 60%; }
        & .header--good { color: $text-success; }
        & .header--bad { color: $text-error; text-style: bold; }
        & .header--badge { background: $warning; color: $background; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "header--brand",
        "header--path",
        "header--dim",
        "header--good",
        "header--bad",
        "header--badge",
    }

    view: reactive[StoreView | None] = reactive(None)
    following: reactive[Following] = reactive(Following.READING)
    marked: reactive[int] = reactive(0)

    def __init__(self) -> None:
        super().__init__()
        self._problems_at = range(0)

    def fill(self, line: Line, base: Style) -> None:
        """Draw the facts that fit."""
        line.put(" layertui ", self.style_of("header--brand"))
        view = self.view
        if view is None:
            return
        failed = self.following is Following.FAILED
        right = [(self.following.value, "header--bad" if failed else "header--good")]
        if view.info.read_only:
            right.insert(0, (" READ-ONLY ", "header--badge"))
        problems = self._problems(view)
        if problems:
            right.insert(0, (problems, "header--bad"))
        end = line.width - sum(len(text) + 1 for text, _ in right)
        self._put_store(line, view, end - 1, base)
        line.fill_to(end, base)
        self._problems_at = range(line.used, line.used + len(problems))
        for text, name in right:
            line.put(text, self.style_of(name))
            line.put(" ", base)

    def _put_store(self, line: Line, view: StoreView, end: int, base: Style) -> None:
        facts = self._facts(view)
        path = safe(str(view.info.graph_root))
        room = end - line.used
        while len(facts) > 1 and cell_len(path) + _cells(facts) > room:
            facts.pop()
        path_room = max(8, room - _cells(facts))
        line.put(path if len(path) <= path_room else ELLIPSIS + path[1 - path_room :], self.style_of("header--path"))
        for fact in facts:
            line.put(_DOT, self.style_of("header--dim"))
            line.put(fact, base)

    def _facts(self, view: StoreView) -> list[str]:
        facts = [view.info.driver, plural(len(view.rows), "layer")]
        if view.disk_use:
            facts.append(size_text(view.disk_use))
        if self.marked:
            facts.insert(0, f"{self.marked} marked")
        if view.mounted:
            facts.append(f"{view.mounted} mounted")
        if view.stale_mounts:
            facts.append(plural(len(view.stale_mounts), "stale mount"))
        if view.info.image_stores:
            facts.append(plural(len(view.info.image_stores), "image store"))
        return facts

    def _problems(self, view: StoreView) -> str:
        """Return the number of problems and the key that shows them, "" without problems."""
        return f"! {plural(len(view.problems), 'problem')} ({key_of('store.check')})" if view.problems else ""

    async def on_click(self, event: events.Click) -> None:
        """Open the check screen if the problems were clicked."""
        if event.x in self._problems_at:
            await self.run_action("screen.perform('store.check')")

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """List the problems in a tooltip."""
        view = self.view
        there = view is not None and event.x in self._problems_at
        lines = [text for _, text in view.problems] if view is not None and there else []
        more = [f"and {len(lines) - _LISTED:,} more"] if len(lines) > _LISTED else []
        tip = "\n".join(safe(line) for line in [*lines[:_LISTED], *more])
        if str(self.tooltip or "") != tip:
            self.tooltip = Content(tip) if tip else None


def _cells(facts: list[str]) -> int:
    return sum(len(fact) + len(_DOT) for fact in facts)
