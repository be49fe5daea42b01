"""The dialog for deleting layers. It shows a `DeletePlan`, which decides what is deleted and in which order."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar, overload

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Button, Input, Static

from layertui.dialogs.dialog import Dialog
from layertui.dialogs.labels import label, short_id
from layertui.model.deletion import DeletePlan, PlannedLayer, Reason
from layertui.text.format import plural, size_text
from layertui.text.safe import safe
from layertui.widgets.inputs import Field, SafeInput
from layertui.widgets.lines import LinesView
from layertui.widgets.text import MUTED

FORCE_WORD = "force"
_MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    """The layers that the user agreed to delete, in this order. `force` also deletes layers that are in use."""

    ids: tuple[str, ...]
    force: bool = False


class PlanLines(Sequence[Content]):
    """The lines of a plan, created on access: each layer, followed by one line per user of it."""

    def __init__(self, plan: DeletePlan) -> None:
        self._layers = plan.layers
        self._ends = list(accumulate(1 + sum(_line_count(layer)) for layer in plan.layers))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> Content: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Content]: ...
    def __getitem__(self, index: int | slice) -> Content | Sequence[Content]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = bisect_right(self._ends, index)
        layer = self._layers[number]
        below = index - (self._ends[number - 1] if number else 0)
        return _layer_line(layer) if below == 0 else _consequence(layer, below - 1)


def _line_count(layer: PlannedLayer) -> list[int]:
    """Return how many lines each refusal takes: one per holder, or one if it has no holders."""
    return [len(refusal.holders) or 1 for refusal in layer.refusals]


def _layer_line(layer: PlannedLayer) -> Content:
    return Content.assemble((f"{size_text(layer.size):>8}  ", MUTED), label(layer.id, layer.names, layer.image))


def _consequence(layer: PlannedLayer, below: int) -> Content:
    for refusal, count in zip(layer.refusals, _line_count(layer), strict=True):
        if below < count:
            holder = refusal.holders[below] if refusal.holders else ""
            return _consequence_text(refusal.reason, holder, layer)
        below -= count
    raise IndexError(below)


def _consequence_text(reason: Reason, holder: str, layer: PlannedLayer) -> Content:
    who = safe(holder)
    times = f" {plural(layer.mount_count, 'time')}" if layer.mount_count else ""
    text = {
        Reason.CHILDREN: f"child layer {short_id(holder)} would lose its parent",
        Reason.READ_ONLY: "its store is read-only",
        Reason.IMAGES: f"image {who} becomes unusable",
        Reason.CONTAINERS: f"container {who} loses its files",
        Reason.MOUNTS: f"mounted{times}; will be unmounted first unless in use",
    }[reason]
    sign, style = ("✗", "$text-error") if reason.final else ("!", "$text-warning")
    return Content.assemble(" " * 10, (f"{sign} {text}", style))


Measure = Callable[[tuple[str, ...], "DeleteDialog"], None]
"""Measures layers and looks for processes in them.

The results go to `DeleteDialog.take_size` and `DeleteDialog.take_inhabitants`.
"""


class DeleteDialog(Dialog[DeleteRequest]):
    """Shows the plan with all refusals and asks for confirmation.

    Child layers that are not in the plan refuse it; the dialog offers to include them. Layers that images, containers
    or mounts use are deleted only after the user types "force".
    """

    DEFAULT_CSS = """
    DeleteDialog {
        .dialog-box { width: 84; }
        #plan { margin-bottom: 1; }
        #sum, #advice { height: auto; }
        #advice { margin-top: 1; }
        #force-field { margin-top: 1; }
        #force-field .field-label { width: auto; margin-right: 1; }
    }
    """

    AUTO_FOCUS = "#cancel"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("i", "include", "Include descendants", tooltip="Also delete the descendants", id="delete.include"),
        Binding("y", "delete", "Delete", tooltip="Delete the listed layers", id="delete.go"),
        Binding("n", "cancel", "Keep", tooltip="Close without deleting", show=False, id="delete.keep"),
    ]

    def __init__(self, plan: DeletePlan, measure: Measure | None = None) -> None:
        super().__init__("Delete", danger=True)
        self._plan = plan
        self._measure = measure
        self._above = plan.descendants() if plan.blocked else ()
        self._living: tuple[tuple[str, str], ...] = ()
        self._on_disk: int | None = None

    def compose_body(self) -> ComposeResult:
        """Yield the plan, its total size, the advice and the field for "force"."""
        yield LinesView(share=38, id="plan")
        yield Static(id="sum", markup=False)
        yield Static(id="advice", markup=False)
        field = Field(f'Type "{FORCE_WORD}" to delete it anyway:', SafeInput(id="force"))
        field.id = "force-field"
        yield field

    def compose_buttons(self) -> ComposeResult:
        """Yield Include, Cancel and Delete."""
        yield Button("Include", id="include", compact=True)
        yield from super().compose_buttons()
        yield Button("Delete", id="delete", variant="error", compact=True)

    def on_mount(self) -> None:
        """Show the plan."""
        self._show_plan()
        self._focus_answer()

    def _show_plan(self) -> None:
        plan = self._plan
        self.set_heading(f"Delete {plural(len(plan.layers), 'layer')}?" if plan.layers else "Nothing to delete")
        lines = self.query_one("#plan", LinesView)
        lines.lines = PlanLines(plan)
        lines.display = bool(plan.layers)
        self._on_disk = None
        if self._measure is not None and plan.layers:
            self._measure(plan.ids, self)
        include = self.query_one("#include", Button)
        include.display = bool(self._above)
        include.label = f"Include {plural(len(self._above), 'descendant')}"
        self._show_advice()

    def _show_advice(self) -> None:
        total = self.query_one("#sum", Static)
        total.update(_sum(self._plan, self._on_disk, refused=self._refused))
        total.display = bool(self._plan.layers) and not any(self._plan.refused(Reason.READ_ONLY))
        advice = self._advice()
        self.query_one("#advice", Static).update(advice)
        self.query_one("#advice").display = bool(advice)
        self.query_one("#force-field").display = self._plan.needs_force and not self._refused
        self._show_agreement()

    def take_size(self, layer_ids: tuple[str, ...], size: int) -> None:
        """Show the bytes that these layers use on disk, unless the plan has changed in the meantime."""
        if layer_ids == self._plan.ids:
            self._on_disk = size
            self._show_advice()

    def take_inhabitants(self, layer_ids: tuple[str, ...], living: tuple[tuple[str, str], ...]) -> None:
        """Refuse while processes run in these layers, unless the plan has changed in the meantime."""
        if layer_ids == self._plan.ids and living != self._living:
            self._living = living
            self._show_advice()

    @property
    def _refused(self) -> bool:
        return self._plan.blocked or bool(self._living)

    def _advice(self) -> Content:
        plan = self._plan
        if not plan.layers:
            return Content(f"{plural(len(plan.missing), 'layer')} already deleted by another program.")
        if any(plan.refused(Reason.READ_ONLY)):
            text = "✗ The store is read-only. Open it for writing to delete layers."
            return Content.styled(text, "$text-error")
        if plan.blocked:
            text = "✗ Other layers are based on these. Mark them too, or press i to include them."
            return Content.styled(text, "$text-error")
        if self._living:
            shown = [f"  {short_id(layer_id)}: {safe(process)}" for layer_id, process in self._living[:_MOST_NAMED]]
            rest = len(self._living) - len(shown)
            lines = ["✗ In use by processes. Stop them first, for example with podman stop:", *shown]
            return Content.styled("\n".join([*lines, f"  and {rest} more"] if rest else lines), "$text-error")
        return _afterwards(plan)

    @property
    def agreed(self) -> bool:
        """Whether the user has agreed to everything that needs agreement."""
        if self._refused or not self._plan.layers:
            return False
        return not self._plan.needs_force or self.query_one("#force", Input).value.strip() == FORCE_WORD

    def _show_agreement(self) -> None:
        self.query_one("#delete", Button).disabled = not self.agreed
        self.refresh_bindings()

    def offers(self, action: str) -> bool | None:
        """Offer only the actions that are possible now."""
        if action == "include":
            return bool(self._above)
        if action == "delete":
            return True if self.agreed else None
        return True

    @on(Input.Changed, "#force")
    def _force_typed(self, event: Input.Changed) -> None:
        event.stop()
        self._show_agreement()

    @on(Button.Pressed, "#include")
    def action_include(self) -> None:
        """Include all descendants of the layers in the plan."""
        self._plan = self._plan.with_descendants()
        self._above = ()
        self._show_plan()
        self._focus_answer()

    def _focus_answer(self) -> None:
        """Focus the field for "force" if it is needed, else the harmless answer."""
        self.query_one("#force" if self._plan.needs_force and not self._plan.blocked else "#cancel").focus()

    @on(Input.Submitted, "#force")
    @on(Button.Pressed, "#delete")
    def action_delete(self) -> None:
        """Close with the request, if the user has agreed."""
        if self.agreed:
            self.dismiss(DeleteRequest(self._plan.ids, force=self._plan.needs_force))


def _afterwards(plan: DeletePlan) -> Content:
    """Return the commands that remove Podman's records of the images and containers that the plan breaks."""
    commands = [
        Content(
            f"  {command} {' '.join(safe(name) for name in names[:_MOST_NAMED])}{' …' * (len(names) > _MOST_NAMED)}"
        )
        for command, names in (
            ("podman rm", plan.holders(Reason.CONTAINERS)),
            ("podman rmi", plan.holders(Reason.IMAGES)),
        )
        if names
    ]
    if not commands:
        return Content("")
    text = 'Podman will still list them and fail with "layer not known" until you remove them:'
    return Content("\n").join([Content(text), *commands])


def _sum(plan: DeletePlan, on_disk: int | None, *, refused: bool) -> Content:
    frees = "Would free" if refused else "Frees"
    if on_disk is not None:
        parts = [(f"{frees} ", ""), (size_text(on_disk), "bold"), (" on disk", "")]
    elif plan.frees is not None:
        parts = [(f"{frees} ", ""), (size_text(plan.frees), "bold")]
    elif plan.known_size:
        unknown = plural(plan.unknown_sizes, "layer")
        parts = [(f"{frees} at least ", ""), (size_text(plan.known_size), "bold"), (f" ({unknown} not measured)", "")]
    else:
        parts = [("Size not measured yet", "")]
    if plan.missing:
        parts.append((f" · {plural(len(plan.missing), 'layer')} already deleted", MUTED))
    if not refused:
        parts.append((" · cannot be undone", MUTED))
    return Content.assemble(*parts)
