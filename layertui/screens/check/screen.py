"""The check screen: findings as they come, the details of each, and their repair."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from layerstore import Finding, LayerStore, RepairResult, Severity
from layertui.dialogs.error import ErrorDialog
from layertui.dialogs.repair import RepairDialog, ResultsDialog
from layertui.jobs.check import RepairPlan, check_job, plan_repair_job, repair_job
from layertui.jobs.runner import Job, JobChanged, JobFailed, JobRunner, JobState
from layertui.jobs.strip import JobsStrip
from layertui.keys.actions import Action, bindings
from layertui.keys.keymap import all_actions
from layertui.keys.sentences import key_of, with_keys
from layertui.keys.typed_ahead import WholeScreen
from layertui.model.view import StoreView
from layertui.screens.check.actions import CHECK_ACTIONS
from layertui.screens.check.model import TITLES
from layertui.screens.check.tree import FindingsTree
from layertui.text.format import plural
from layertui.text.safe import safe
from layertui.widgets.cells import broken
from layertui.widgets.key_bar import KeyBar
from layertui.widgets.text import MUTED
from layertui.widgets.tree.tree import VirtualTree

_TITLE = 8
_AROUND = 4  # cells beside the text: the padding, the scroll bar and a blank
_LEAST = 20

_BROKEN_OFF = (JobState.CANCELLED, JobState.FAILED)

_QUICK = (
    "Checked: the records of all layers, their names, parents, images and containers, their folders, links and files, "
    "leftovers on disk, and mounts.\nNot checked: the contents of the layers. {deep} reads "
    "every layer and compares it with its original tar."
)
_DEEP = (
    "Checked: the records of all layers, their folders and links, leftovers, mounts, and the content, owner, mode and "
    "times of every file in the layers that were created from a tar."
)
_COPIES = "\nNot checked: the copies in vfs layers of files from the layers below."


class CheckScreen(WholeScreen[bool]):
    """Checks the store as soon as it is shown, and returns whether anything was repaired.

    `view` provides the names of layers.
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings(CHECK_ACTIONS)
    AUTO_FOCUS = "#findings"
    DEFAULT_CSS = """
    CheckScreen {
        background: $background;
        #check-head { height: auto; background: $panel; padding: 0 1; }
        FindingsTree { height: 1fr; }
        #check-nothing { height: 1fr; padding: 1 2; display: none; }
        &.-nothing { FindingsTree, #check-detail { display: none; } #check-nothing { display: block; } }
        #check-detail { height: 40%; border-top: solid $border-blurred; padding: 0 1; scrollbar-size-vertical: 1; }
        #check-detail:focus { border-top: solid $border; }
        #check-text { height: auto; }
    }
    """

    def __init__(self, store: LayerStore, view: StoreView, jobs: JobRunner) -> None:
        super().__init__()
        self._store = store
        self._view = view
        self._jobs = jobs
        self._findings: list[Finding] = []
        self._deep = False
        self._check: Job[Any] | None = None
        self._complete = False
        self._repaired = False

    def compose(self) -> ComposeResult:
        """Yield the findings, and the details of one below them."""
        yield Static(id="check-head", markup=False)
        yield FindingsTree(id="findings")
        yield Static(id="check-nothing", markup=False)
        with VerticalScroll(id="check-detail"):
            yield Static(id="check-text", markup=False)
        yield JobsStrip()
        yield KeyBar(self.refusal)

    def on_mount(self) -> None:
        """Start with the quick check."""
        self.start(deep=False)

    @property
    def findings(self) -> FindingsTree:
        """The list of findings."""
        return self.query_one(FindingsTree)

    @property
    def checking(self) -> bool:
        """Whether the check is running."""
        return not self._complete and self._check is not None and self._check.state not in _BROKEN_OFF

    @property
    def running(self) -> list[Job[Any]]:
        """The jobs that can be stopped, the newest last."""
        return self.query_one(JobsStrip).running

    def refusal(self, action_id: str) -> str:
        """Return why an action is not possible now, "" if it is."""
        action: Action[CheckScreen] | None = all_actions().get(action_id)
        return with_keys(action.refusal(self)) if action is not None and action.refusal is not None else ""

    def action_perform(self, action_id: str) -> None:
        """Run an action of the registry, or say why it is refused."""
        refusal, run = self.refusal(action_id), all_actions()[action_id].run
        if refusal:
            self.notify(refusal, severity="warning", markup=False)
        elif callable(run):
            run(self)

    # The check

    def start(self, *, deep: bool) -> None:
        """Start a check. Findings of an earlier one that still runs are dropped."""
        self._deep, self._complete = deep, False
        found: list[Finding] = []
        self._findings = found

        def more(findings: tuple[Finding, ...]) -> None:
            if self._findings is found and not self.going:
                found.extend(findings)
                self._show()

        def ended(_: None) -> None:
            if self._findings is found:
                self._complete = True
                self._show()

        job = check_job(self._store, partial(self.call_later, more), deep=deep)
        self._check = self._jobs.submit(job, self, ended)
        self._show()

    def on_job_changed(self, event: JobChanged) -> None:
        """Draw the job."""
        self.query_one(JobsStrip).update(event.job)
        if event.job is self._check and event.job.state in _BROKEN_OFF:
            self._show()
        self.query_one(KeyBar).refresh()

    def on_job_failed(self, event: JobFailed) -> None:
        """Show the error."""
        self.app.push_screen(ErrorDialog(event.error))

    def _show(self) -> None:
        self.findings.show(self._findings)
        nothing = self._complete and not self._findings
        self.set_class(nothing, "-nothing")
        if not nothing and self.focused is None:  # the tree lost the focus when it was hidden
            self.findings.focus()
        if nothing:
            what = (_DEEP if self._deep else _QUICK).format(deep=key_of("check.deep"))
            what += _COPIES if self._deep and self._store.copies_lower else ""
            found = Content.assemble(("✓ No problems found", "bold $text-success"), "\n\n", what)
            self.query_one("#check-nothing", Static).update(found)
        self.query_one("#check-head", Static).update(self._head())
        self._show_detail()
        self.query_one(KeyBar).refresh()

    def _head(self) -> Content:
        counts = [
            plural(count, noun, noun if severity is Severity.DAMAGE else "")
            for severity, (_, noun, _) in TITLES.items()
            if (count := sum(finding.severity is severity for finding in self._findings))
        ]
        state = self._check.state if self._check is not None else JobState.WAITING
        how = {
            JobState.CANCELLED: "stopped; these findings are valid",
            JobState.FAILED: "failed; these findings are valid",
        }.get(state, "done" if self._complete else "checking…")
        marked = len(self.findings.marks)
        return Content.assemble(
            ("Deep check" if self._deep else "Check", "bold"),
            f" of {safe(str(self._store.graph_root))} · {how}",
            (f" · {', '.join(counts)}" if counts else ""),
            (f" · {marked} marked" if marked else ""),
        )

    # A finding

    @on(VirtualTree.CursorMoved)
    def _show_detail(self) -> None:
        finding = self.findings.cursor_finding
        self.query_one("#check-text", Static).update(self._detail(finding) if finding is not None else "")
        self.query_one(KeyBar).refresh()

    def _detail(self, finding: Finding) -> Content:
        width = max(self.size.width - _AROUND, _LEAST)
        lines = [Content.styled(line, "bold") for line in broken(safe(finding.text), width)]
        for title, text, style in self._facts(finding):
            for number, line in enumerate(broken(text, width - _TITLE)):
                lines.append(Content.assemble((f"{'' if number else title:{_TITLE}}", MUTED), (line, style)))
        return Content("\n").join(lines)

    def _facts(self, finding: Finding) -> Iterator[tuple[str, str, str]]:
        """Yield the details of a finding: a title, an escaped text and its style."""
        repair = safe(finding.repair or "No automatic fix.")
        if finding.hint:
            repair += f" To fix: {safe(finding.hint)}. Press {key_of('layer.apply')} in the list of layers."
        yield "Repair", repair, ""
        for number, user in enumerate(finding.users):
            yield "" if number else "Affects", safe(user), "$text-error"
        if finding.layer:
            row = self._view.get(finding.layer)
            yield "Layer", safe(finding.layer), "bold $text-primary"
            if row is not None and row.names:
                yield "", safe(row.title), ""
        if finding.path:
            yield "Path", safe(finding.path), ""
        yield "Kind", finding.kind.value, ""

    def on_resize(self) -> None:
        """Wrap the details to the new width."""
        self._show_detail()

    def on_findings_tree_marks_changed(self) -> None:
        """Show the number of marks."""
        self.query_one("#check-head", Static).update(self._head())
        self.query_one(KeyBar).refresh()

    # Repair

    def on_virtual_tree_chosen(self) -> None:
        """Plan the repair of the finding that was chosen."""
        self.action_perform("check.plan")

    def plan(self) -> None:
        """Plan the repair of the marked findings, or of the one under the cursor."""
        job = plan_repair_job(self._store, self.findings.chosen, force=False)
        self._jobs.submit(job, self, self._show_plan)

    def _show_plan(self, plan: RepairPlan) -> None:
        """Show a plan. The dialog asks for sizes, which are measured while it is open."""
        dialog = RepairDialog(plan, self._replan, read_only=self._store.read_only)
        self.app.push_screen(dialog, self._repair)

    def _replan(self, plan: RepairPlan, dialog: RepairDialog, *, force: bool, sizes: bool) -> None:
        job = plan_repair_job(self._store, plan.findings, force=force, sizes=sizes)
        self._jobs.submit(job, dialog, dialog.take_plan)

    def _repair(self, plan: RepairPlan | None) -> None:
        self._jobs.cancel_key("measure repair")
        if plan is not None:
            self._jobs.submit(repair_job(self._store, plan.steps), self, self._show_results)

    def _show_results(self, results: tuple[RepairResult, ...]) -> None:
        """Show the outcome of each step, and check again."""
        self._repaired = True
        self.app.push_screen(ResultsDialog(results))
        self.start(deep=False)

    # Keys

    def cancel_job(self) -> None:
        """Stop the newest job."""
        self._jobs.cancel(self.running[-1])

    def action_close(self) -> None:
        """Go back to the layers. This stops a running check, but not a repair."""
        if self._check is not None:
            self._jobs.cancel(self._check)
        self.dismiss(self._repaired)

    def on_jobs_strip_cancel_wanted(self, event: JobsStrip.CancelWanted) -> None:
        """Stop the job."""
        self._jobs.cancel(event.job)
