"""The actions of the check screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layertui.keys.actions import Action, Actions

if TYPE_CHECKING:
    from typing import Protocol

    class _Findings(Protocol):
        """The list of findings."""

        @property
        def markable(self) -> bool:
            """Whether the finding under the cursor can be marked."""
            ...

        @property
        def chosen(self) -> Any:
            """The repairable findings among the marked ones, or else under the cursor."""
            ...

    class Checking(Protocol):
        """The part of the check screen that its actions use."""

        @property
        def findings(self) -> _Findings:
            """The list of findings."""
            ...

        @property
        def checking(self) -> bool:
            """Whether a check is running."""
            ...

        @property
        def running(self) -> list[Any]:
            """The jobs that can be stopped."""
            ...

        def start(self, *, deep: bool) -> None:
            """Start a check."""
            ...

        def plan(self) -> None:
            """Plan a repair."""
            ...

        def cancel_job(self) -> None:
            """Stop the newest job."""
            ...


def _checking(screen: Checking) -> str:
    return "A check is running: {check.cancel} stops it" if screen.checking else ""


FINDINGS_ACTIONS: Actions = (
    Action(
        "findings.mark",
        "space",
        "Mark",
        "Mark or unmark the finding, or all findings of a group",
        "mark",
        refusal=lambda screen: "" if screen.findings.markable else "There is no automatic fix for this",
        shown=True,
    ),
    Action("findings.open", "enter", "Plan", "Show what a repair would do; on a group, fold it", "toggle_fold"),
)

CHECK_ACTIONS: Actions = (
    Action(
        "check.cancel",
        "ctrl+x",
        "Stop",
        "Stop the check, or the running job",
        lambda screen: screen.cancel_job(),
        refusal=lambda screen: "" if screen.running else "Nothing is running",
        shown=True,
        written="^x",
    ),
    Action(
        "check.plan",
        "f",
        "Repair…",
        "Show what a repair of the marked findings would do",
        lambda screen: screen.plan(),
        refusal=lambda screen: "" if screen.findings.chosen else "There is no automatic fix for this",
        shown=True,
    ),
    Action(
        "check.deep",
        "D",
        "Deep check",
        "Read every layer and compare it with its tar",
        lambda screen: screen.start(deep=True),
        refusal=_checking,
        shown=True,
    ),
    Action(
        "check.again",
        "R,f5,c",
        "Check again",
        "Check again, without reading the layers",
        lambda screen: screen.start(deep=False),
        refusal=_checking,
        shown=True,
        written="R",
    ),
    Action("check.next-pane", "tab", "Next pane", "Go to the next pane", "app.focus_next"),
    Action("check.previous-pane", "shift+tab", "Previous pane", "Go to the previous pane", "app.focus_previous"),
    Action("check.close", "escape", "Back", "Go back to the layers", "close", shown=True, written="esc"),
)
