"""Check the store: findings as they come, what each means, and the way to a repair."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from layerstore.check.findings import Finding, Severity
from layerstore.store import LayerStore
from layertui.dialogs.error import ErrorDialog
from layertui.dialogs.repair import RepairDialog, ResultsDialog
from layertui.jobs import check, messages
from layertui.jobs.runner import Job, JobChanged, JobFailed, JobRunner, JobState
from layertui.jobs.strip import JobsStrip
from layertui.keys.actions import CHECK_BINDINGS
from layertui.keys.keynames import key_of, with_keys
from layertui.keys.whole import WholeScreen
from layertui.model.view import StoreView
from layertui.screens.check.model import TITLES
from layertui.screens.check.tree import FindingsTree
from layertui.text.format import plural
from layertui.text.safe import safe
from layertui.widgets.cells import broken
from layertui.widgets.key_bar import KeyBar
from layertui.widgets.text import MUTED
from layertui.widgets.tree.tree import VirtualTree

_TITLE = 8
_AROUND = 4  # cells beside the text: the padding, the scroll bar, a blank
_LEAST = 20

_runs = itertools.count(1)

_BROKEN_OFF = (JobState.CANCELLED, JobState.FAILED)

_QUICK = (
    "Looked at: the records of all layers, their names, parents, images and containers, the folders, links and files "
    "that belong to them, leftovers on disk, and mounts.\nNot looked at: what is in the layers' files. {deep} reads "
    "every layer and compares it with the tar that it came in as."
)
_DEEP = (
    "Looked at: the records of all layers, their folders, links, leftovers and mounts, and every file of those "
    "that came in as a tar: content, owner, mode and times are what they were."
)
_COPIES = "\nNot looked at: the copies that a vfs layer has of the files of the layers below it."


class CheckScreen(WholeScreen[bool]):
    """Checks as soon as it is shown; closes with whether something was repaired. `view` is for names."""

    BINDINGS: ClassVar[list[BindingType]] = [*CHECK_BINDINGS]
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
        self._run = 0
        self._deep = False
        self._check: Job | None = None
        self._complete = False
        self._repaired = False

    def compose(self) -> ComposeResult:
        """Yield what was found above what is known about it."""
        yield Static(id="check-head", markup=False)
        yield FindingsTree(id="findings")
        yield Static(id="check-nothing", markup=False)
        with VerticalScroll(id="check-detail"):
            yield Static(id="check-text", markup=False)
        yield JobsStrip()
        yield KeyBar(self.refusal)

    def on_mount(self) -> None:
        """Start with the quick check."""
        self._start(deep=False)

    @property
    def _tree(self) -> FindingsTree:
        return self.query_one(FindingsTree)

    @property
    def checking(self) -> bool:
        """Whether the check is under way."""
        return not self._complete and self._check is not None and self._check.state not in _BROKEN_OFF

    def refusal(self, action: str) -> str:
        """Return why an action makes no sense now."""
        name = action.partition("(")[0]
        if name == "cancel_job" and not self.query_one(JobsStrip).running:
            return "Nothing runs"
        if name == "plan" and not self._tree.chosen:
            return "Nothing can be done about it by a repair"
        if name == "mark" and not self._tree.markable:
            return "Only what a repair can mend is marked"
        if name in ("deep", "again") and self.checking:
            return with_keys("A check is under way: {check.cancel} stops it")
        return ""

    # The check

    def _start(self, *, deep: bool) -> None:
        self._run, self._deep = next(_runs), deep
        self._findings, self._complete = [], False
        self._check = self._jobs.submit(check.check_job(self._store, self.post_message, self._run, deep=deep), self)
        self._show()

    def on_findings_found(self, event: messages.FindingsFound) -> None:
        """Show them among the others."""
        if event.run == self._run:
            self._findings += event.findings
            self._show()

    def on_check_ended(self, event: messages.CheckEnded) -> None:
        """Say so: all that was found is here by now, which the state of the job does not tell."""
        if event.run == self._run:
            self._complete = True
            self._show()

    def on_job_changed(self, event: JobChanged) -> None:
        """Draw the job."""
        self.query_one(JobsStrip).update(event.job)
        if event.job is self._check and event.job.state in _BROKEN_OFF:
            self._show()
        self.query_one(KeyBar).refresh()

    def on_job_failed(self, event: JobFailed) -> None:
        """Say what went wrong."""
        self.app.push_screen(ErrorDialog(event.error))

    def _show(self) -> None:
        self._tree.show(self._findings)
        nothing = self._complete and not self._findings
        self.set_class(nothing, "-nothing")
        if not nothing and self.focused is None:  # it was lost with the tree that was taken away
            self._tree.focus()
        if nothing:
            what = (_DEEP if self._deep else _QUICK).format(deep=key_of("check.deep"))
            what += _COPIES if self._deep and self._store.copies_lower else ""
            found = Content.assemble(("✓ Nothing found", "bold $text-success"), "\n\n", what)
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
            JobState.CANCELLED: "stopped: what was found so far holds",
            JobState.FAILED: "failed: what was found so far holds",
        }.get(state, "done" if self._complete else "looking …")
        marked = len(self._tree.marks)
        return Content.assemble(
            ("Deep check" if self._deep else "Check", "bold"),
            f" of {safe(str(self._store.graph_root))} · {how}",
            (f" · {', '.join(counts)}" if counts else ""),
            (f" · {marked} marked" if marked else ""),
        )

    # A finding

    @on(VirtualTree.CursorMoved)
    def _show_detail(self) -> None:
        finding = self._tree.cursor_finding
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
        """Yield a title, what is safe to be shown behind it, and the style of that."""
        repair = safe(finding.repair or "none: nothing here can mend it")
        if finding.hint:
            repair = f"none here: {safe(finding.hint)}; a in the list of layers does it"
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
        """Break the lines anew."""
        self._show_detail()

    def on_findings_tree_marks_changed(self) -> None:
        """Count the marks."""
        self.query_one("#check-head", Static).update(self._head())
        self.query_one(KeyBar).refresh()

    # Repair

    def on_virtual_tree_chosen(self) -> None:
        """Enter on a finding."""
        self.action_plan()

    def action_plan(self) -> None:
        """Work out what a repair of the marked findings, or of the one under the cursor, would do."""
        if not self._refused("plan"):
            self._jobs.submit(check.plan_repair_job(self._store, self._tree.chosen, force=False), self)

    def on_repair_planned(self, event: messages.RepairPlanned) -> None:
        """Show the plan; measuring what it frees goes on meanwhile."""
        dialog = RepairDialog(event, self._replan, read_only=self._store.read_only)
        self.app.push_screen(dialog, self._repair)

    def _replan(self, event: messages.RepairPlanned, dialog: RepairDialog, *, force: bool, sizes: bool) -> None:
        self._jobs.submit(check.plan_repair_job(self._store, event.findings, force=force, sizes=sizes), dialog)

    def _repair(self, plan: messages.RepairPlanned | None) -> None:
        self._jobs.cancel_key("measure repair")
        if plan is not None:
            self._jobs.submit(check.repair_job(self._store, plan.steps), self)

    def on_repaired(self, event: messages.Repaired) -> None:
        """Show what became of it, and check again."""
        self._repaired = True
        self.app.push_screen(ResultsDialog(event.results))
        self._start(deep=False)

    # Keys

    def _refused(self, action: str) -> bool:
        refusal = self.refusal(action)
        if refusal:
            self.notify(refusal, severity="warning", markup=False)
        return bool(refusal)

    def action_deep(self) -> None:
        """Check again, and read every layer."""
        if not self._refused("deep"):
            self._start(deep=True)

    def action_again(self) -> None:
        """Check again, without reading the layers."""
        if not self._refused("again"):
            self._start(deep=False)

    def action_cancel_job(self) -> None:
        """Stop what runs."""
        running = self.query_one(JobsStrip).running
        if running:
            self._jobs.cancel(running[-1])

    def action_close(self) -> None:
        """Go back to the layers; a check that is under way is stopped, a repair goes on."""
        if self._check is not None:
            self._jobs.cancel(self._check)
        self.dismiss(self._repaired)

    def on_jobs_strip_cancel_wanted(self, event: JobsStrip.CancelWanted) -> None:
        """Stop the job."""
        self._jobs.cancel(event.job)
