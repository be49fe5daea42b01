"""The dialogs that show a repair before it runs, and its results."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import ClassVar, Protocol

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Button, Input, Static

from layerstore.check.repair import Outcome, RepairResult, RepairStep
from layertui.dialogs.dialog import Dialog
from layertui.dialogs.error import ErrorDialog
from layertui.jobs.check import RepairPlan
from layertui.jobs.runner import JobFailed
from layertui.text.format import plural, size_text
from layertui.text.safe import safe
from layertui.widgets.inputs import Field, SafeInput
from layertui.widgets.lines import LinesView

REPAIR_WORD = "repair"
"""The word to type before data is deleted."""

_WIDTH = 100
_AROUND = 7  # cells of the box beside the text


class Replan(Protocol):
    """Plans again, and passes the new plan to `RepairDialog.take_plan`."""

    def __call__(self, plan: RepairPlan, dialog: RepairDialog, *, force: bool, sizes: bool) -> None:
        """Plan a repair of the same findings, measuring freed space if `sizes` is set."""
        ...


class RepairDialog(Dialog[RepairPlan]):
    """Shows the steps and asks for confirmation. The result is the plan.

    If the repair deletes data, the user must type "repair".
    """

    DEFAULT_CSS = """
    RepairDialog {
        .dialog-box { width: 100; }
        #sum, #left-out { height: auto; margin-top: 1; }
        #left-out { color: $text-warning; }
        #word-field { margin-top: 1; }
        #word-field .field-label { width: auto; margin-right: 1; }
    }
    """

    AUTO_FOCUS = "#cancel"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("i", "include", "Include items in use", id="repair.include"),
        Binding("y", "repair", "Repair", tooltip="Carry out the listed steps", id="repair.go"),
    ]

    def __init__(self, plan: RepairPlan, replan: Replan, *, read_only: bool) -> None:
        super().__init__("Repair", danger=any(step.destructive for step in plan.steps))
        self._plan = plan
        self._replan = replan
        self._read_only = read_only

    def compose_body(self) -> ComposeResult:
        """Yield the steps, their total, the number of findings left out, and the field for "repair"."""
        yield LinesView(share=42, id="steps")
        yield Static(id="sum", markup=False)
        yield Static(id="left-out", markup=False)
        field = Field(f'Type "{REPAIR_WORD}" to delete the items above:', SafeInput(id="word"))
        field.id = "word-field"
        yield field

    def compose_buttons(self) -> ComposeResult:
        """Yield Include, Cancel and Repair."""
        yield Button("Include", id="include", compact=True)
        yield from super().compose_buttons()
        yield Button("Repair", id="repair", variant="primary", compact=True)

    def on_mount(self) -> None:
        """Show the plan and start to measure it."""
        self._show()
        self._measure()
        self._go_to_word()

    def _go_to_word(self) -> None:
        if self.query_one("#word-field").display and not self._can_include:
            self.query_one("#word").focus()

    def _measure(self) -> None:
        if self._plan.steps and not self._plan.measured:
            self._replan(self._plan, self, force=self._plan.force, sizes=True)

    @property
    def _left_out(self) -> int:
        planned = {step.finding.key for step in self._plan.steps}
        return sum(finding.key not in planned for finding in self._plan.findings)

    @property
    def _loses(self) -> bool:
        return any(step.destructive for step in self._plan.steps)

    def take_plan(self, plan: RepairPlan) -> None:
        """Show a new plan of the same findings, unless it is for an earlier choice."""
        if plan.measured and plan.force != self._plan.force:
            return
        self._plan = plan
        self._show()
        if not plan.measured:
            self._measure()
            self._go_to_word()

    def on_job_failed(self, event: JobFailed) -> None:
        """Show why the repair could not be planned or measured."""
        event.stop()
        self.app.push_screen(ErrorDialog(event.error))

    def _show(self) -> None:
        plan = self._plan
        count = plural(len(plan.steps), "step")
        self.set_heading(f"Repair: {count}" if plan.steps else "Nothing to repair")
        self.set_class(self._loses, "-danger")
        self.query_one("#steps", LinesView).lines = step_lines(plan.steps, self._width)
        self.query_one("#sum", Static).update(_sum(plan))
        left = self._left_out
        note = f"! {plural(left, 'finding')} left out: in use by images, containers or other layers."
        line = self.query_one("#left-out", Static)
        line.update(note + (" Press i to include them." if not plan.force else ""))
        line.display = bool(left)
        self.query_one("#include").display = self._can_include
        self.query_one("#word-field").display = self._loses and not self._read_only
        self.query_one("#repair", Button).variant = "error" if self._loses else "primary"
        if self._read_only:
            self.show_problem("The store is open read-only, so nothing can be repaired")
        self._show_agreement()

    @property
    def _width(self) -> int:
        return max(20, min(_WIDTH, self.app.size.width) - _AROUND)

    @property
    def _can_include(self) -> bool:
        return bool(self._left_out) and not self._plan.force

    @property
    def agreed(self) -> bool:
        """Whether the user has agreed to everything that needs agreement."""
        if self._read_only or not self._plan.steps:
            return False
        return not self._loses or self.query_one("#word", Input).value.strip() == REPAIR_WORD

    def _show_agreement(self) -> None:
        self.query_one("#repair", Button).disabled = not self.agreed
        self.refresh_bindings()

    def offers(self, action: str) -> bool | None:
        """Offer only the actions that are possible now."""
        if action == "include":
            return self._can_include
        if action == "repair":
            return True if self.agreed else None
        return True

    @on(Input.Changed, "#word")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._show_agreement()

    @on(Button.Pressed, "#include")
    def action_include(self) -> None:
        """Plan again, including items in use."""
        if self._can_include:
            self._replan(self._plan, self, force=True, sizes=False)

    @on(Input.Submitted, "#word")
    @on(Button.Pressed, "#repair")
    def action_repair(self) -> None:
        """Close with the plan, if the user has agreed."""
        if self.agreed:
            self.dismiss(self._plan)


def step_lines(steps: Sequence[RepairStep], width: int) -> list[Content]:
    """Return the wrapped lines of the steps, each followed by what it deletes and who needs that."""
    lines = []
    for step in steps:
        frees = f" · frees {size_text(step.frees.size)}" if step.frees is not None else ""
        sign, style = ("!", "bold $text-error") if step.destructive else ("·", "")
        text = f"{safe(step.text)}{frees * (not step.destructive)}"
        for number, part in enumerate(wrap(text, width - 2)):
            lines.append(Content.assemble((f"{sign} " if number == 0 else "  ", style), part))
        if step.destructive:
            style = "$text-error" if step.forced else "$text-warning"
            parts = wrap(f"loses {safe(step.loses)}{frees}", width - 4)
            lines += [Content.assemble("    ", (part, style)) for part in parts]
    return lines


def _sum(plan: RepairPlan) -> Content:
    if not plan.steps:
        return Content("None of these findings can be repaired.")
    losing = sum(step.destructive for step in plan.steps)
    parts = [f"{plural(losing, 'step')} cannot be undone" if losing else "No data is lost"]
    freed = [step.frees.size for step in plan.steps if step.frees is not None]
    if plan.measured and freed:
        parts.append(f"frees {size_text(sum(freed))}")
    elif not plan.measured:
        parts.append("measuring the space it frees…")
    return Content(" · ".join(parts))


_SIGNS: dict[Outcome, tuple[str, str]] = {
    Outcome.DONE: ("✓", "bold $text-success"),
    Outcome.GONE: ("–", ""),
    Outcome.FAILED: ("✗", "bold $text-error"),
    Outcome.SKIPPED: ("–", ""),
}
_WORDS = {Outcome.GONE: "already gone", Outcome.SKIPPED: "skipped because the repair was stopped"}


class ResultsDialog(Dialog[None]):
    """Shows the result of each step."""

    DEFAULT_CSS = "ResultsDialog .dialog-box { width: 100; }"
    AUTO_FOCUS = "#cancel"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "cancel", "Close", key_display="esc", id="results.close")
    ]

    def __init__(self, results: Sequence[RepairResult]) -> None:
        done = sum(result.outcome is Outcome.DONE for result in results)
        failed = sum(result.outcome is Outcome.FAILED for result in results)
        super().__init__(f"{done} of {plural(len(results), 'step')} done", danger=bool(failed))
        self._results = results

    def compose_body(self) -> ComposeResult:
        """Yield one line per step, followed by the reason if it was not carried out."""
        yield LinesView(result_lines(self._results), share=60, id="results")

    def compose_buttons(self) -> ComposeResult:
        """Yield Close."""
        yield Button("Close", id="cancel", variant="primary", compact=True)


def result_lines(results: Sequence[RepairResult]) -> list[Content]:
    """Return the lines of the results."""
    lines = []
    for result in results:
        sign, style = _SIGNS[result.outcome]
        lines.append(Content.assemble((f"{sign} ", style), safe(result.step.text)))
        why = _WORDS.get(result.outcome, result.text)
        if why:
            lines.append(Content.assemble("    ", (safe(why), "$text-error" if result.text else "$foreground 60%")))
    return lines
