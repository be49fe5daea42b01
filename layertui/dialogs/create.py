"""The dialog for creating a layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Button, Input, Static

from layerstore.errors import LayerStoreError
from layerstore.operations.create import check_id
from layertui.dialogs.dialog import FormDialog
from layertui.dialogs.labels import label, short_id
from layertui.dialogs.pick import LayerPicker, Named
from layertui.dialogs.tar_field import tar_field
from layertui.jobs.write import CreateRequest
from layertui.keys.sentences import with_keys
from layertui.text.safe import safe
from layertui.widgets.inputs import Choice, Field, SafeInput
from layertui.widgets.path_field import PathField
from layertui.widgets.text import MUTED

NOTHING = ""
"""The ID that stands for no parent: the new layer is a base layer."""

_EMPTY, _FROM_TAR = 0, 1


class CreateDialog(FormDialog[CreateRequest]):
    """Asks for the content, the parent, the names and the ID of a layer.

    `candidates` are the possible parents, `known` holds all layers by ID, and `parent` is the ID of the initial parent.
    `taken` maps each name in the store to the ID of its layer.
    """

    DEFAULT_CSS = """
    CreateDialog #parent {
        width: 1fr;
        text-align: left;
        content-align: left middle;
        background: $panel;
        text-style: none;
    }
    """

    AUTO_FOCUS = "#content"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "create", "Create", tooltip="Create the layer", id="create.start"),
        Binding("ctrl+o", "browse", "Browse", tooltip="Choose the tar in a file picker", id="create.browse"),
    ]

    def __init__(
        self,
        candidates: Sequence[Named],
        known: Mapping[str, Named],
        parent: str,
        taken: Mapping[str, str],
        default_dir: Path,
    ) -> None:
        super().__init__("New layer")
        self._candidates = candidates
        self._known = known
        self._parent_id = parent
        self._taken = taken
        self._base = default_dir

    def compose_body(self) -> ComposeResult:
        """Yield the form."""
        yield Field("Content", Choice(["empty", "from a tar"], id="content"))
        yield tar_field(self._base, "Create a layer from")
        yield Field("Parent", Button(self._parent_label(), id="parent", compact=True))
        yield Field("Names", SafeInput(placeholder="none; separate several with spaces", id="names"))
        yield Field("ID", SafeInput(placeholder="random", id="id"))
        yield Static("", id="note", markup=False)

    def compose_buttons(self) -> ComposeResult:
        """Yield Browse, Cancel and Create."""
        yield from super().compose_buttons()
        yield Button("Create", id="create", variant="primary", compact=True)

    def on_mount(self) -> None:
        """Start with an empty layer."""
        self._show_content()

    # The fields

    @property
    def from_tar(self) -> bool:
        """Whether the layer gets its content from a tar."""
        return self.query_one("#content", Choice).index == _FROM_TAR

    @property
    def names(self) -> tuple[str, ...]:
        """The typed names without duplicates."""
        return tuple(dict.fromkeys(self.query_one("#names", Input).value.split()))

    @property
    def layer_id(self) -> str:
        """The typed ID, "" for a random one."""
        return self.query_one("#id", Input).value.strip()

    def _parent_label(self) -> Content:
        parent = self._known.get(self._parent_id)
        if parent is None:
            return Content.assemble("▾ none ", ("a base layer", MUTED))
        return Content.assemble("▾ ", label(parent.id, parent.names))

    @on(Choice.Changed, "#content")
    def _show_content(self) -> None:
        self.query_one(PathField).display = self.from_tar
        self.query_one("#browse").display = self.from_tar
        note = (
            "The layer gets the content of the tar. An export returns the same bytes."
            if self.from_tar
            else with_keys(
                "The layer has no files at first. To add some, mount it ({layer.mount}), open a shell in it "
                "({layer.shell}) or apply a tar to it ({layer.apply})."
            )
        )
        self.query_one("#note", Static).update(note)
        self.show_problem()
        self.refresh_bindings()

    def offers(self, action: str) -> bool | None:
        """Offer the file picker only for a layer from a tar."""
        return not (action == "browse" and not self.from_tar)

    @on(Button.Pressed, "#parent")
    def _pick_parent(self, event: Button.Pressed) -> None:
        event.stop()
        extra = [(NOTHING, Content.assemble("none ", ("a base layer", MUTED)))]
        if self._parent_id:
            extra.insert(0, (self._parent_id, label(self._parent_id, self._known[self._parent_id].names)))
        self.app.push_screen(LayerPicker("Parent of the new layer", self._candidates, extra), self._picked)

    def _picked(self, key: str | None) -> None:
        if key is not None:
            self._parent_id = key
            self.query_one("#parent", Button).label = self._parent_label()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.show_problem(self.problem())

    def problem(self) -> str:
        """Return what is wrong with the names or the ID, "" if they are valid."""
        for name in self.names:
            if name in self._taken:
                return f"The name {safe(name)} is already used by {short_id(self._taken[name])}"
        if self.layer_id in self._known:
            return "A layer with this ID already exists"
        if self.layer_id:
            try:
                check_id(self.layer_id)
            except LayerStoreError as error:
                return safe(str(error))
        return ""

    # Closing

    @on(Input.Submitted)
    @on(Button.Pressed, "#create")
    @work(exclusive=True, group="create")
    async def action_create(self) -> None:
        """Check the form again and close with the request."""
        problem = self.problem()
        self.show_problem(problem)
        if problem:
            return
        path = None
        if self.from_tar:
            tar = await self.query_one(PathField).usable()
            if tar is None:
                return
            path = tar.path
        self.dismiss(CreateRequest(path, self._parent_id, self.names, self.layer_id or None))
