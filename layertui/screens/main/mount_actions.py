"""What the keys of the browser do about mounts: look who would notice, ask where somebody would, submit a job."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

from textual.screen import Screen

from layerstore.store import LayerStore
from layertui.dialogs.confirm import ConfirmDialog
from layertui.dialogs.error import ErrorDialog
from layertui.jobs import messages, read
from layertui.jobs.runner import Job, JobRunner
from layertui.keys.keynames import with_keys
from layertui.model.rows import LayerRow
from layertui.model.unmounting import unmount_warning
from layertui.model.view import StoreView
from layertui.panels.layers.tree import LayerTree
from layertui.text.format import plural
from layertui.text.safe import copyable, safe

BRIEF = 36  # characters that are read at a glance, and take one line of a narrow terminal
_BRIEF_SECONDS = 3.5


class MountActions(Screen[None]):
    """The actions about mounts, and what all actions need."""

    store: LayerStore
    jobs: JobRunner
    view: StoreView
    mount_note = ""
    """Who sees a mount that is made from here; "" where everybody does."""
    shell_ended_in = ""
    """The ID of the layer that is being unmounted after a shell in it; "" where it is for another reason."""
    others = 0
    """How many mounts of that layer stay."""
    asking: Job | None = None
    """The job whose answer opens a dialog, perhaps."""
    why_read_only = ""
    """Why this user can only look at the store, and the way out; "" where it is open as he asked for."""

    @property
    @abstractmethod
    def tree_widget(self) -> LayerTree:
        """The list of layers."""

    @property
    @abstractmethod
    def row(self) -> LayerRow | None:
        """The layer under the cursor."""

    @abstractmethod
    def reload(self) -> None:
        """Read everything again."""

    @abstractmethod
    def refusal(self, action: str) -> str:
        """Return why an action makes no sense now, "" when it does."""

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: Literal["information", "warning", "error"] = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """Show a message; where lines are few, instead of older ones that only inform."""
        if self.has_class("-low"):
            for older in self.query("Toast.-information"):
                older.display = False
        super().notify(message, title=title, severity=severity, timeout=timeout, markup=markup)

    def say(self, text: str, severity: Literal["information", "warning", "error"] = "information") -> None:
        """Show a short message, for less long where it only confirms; may hold names from disk."""
        brief = severity == "information" and len(text) <= BRIEF
        self.notify(safe(text), severity=severity, markup=False, timeout=_BRIEF_SECONDS if brief else None)

    def show_error(self, error: BaseException) -> None:
        """Show what went wrong."""
        self.app.push_screen(ErrorDialog(error))

    def mount_refusal(self, name: str) -> str:
        """Return why an action about mounts makes no sense now."""
        row = self.row
        if name == "unmount_marked" and not self.marked_mounted():
            return (
                "None of the marked layers is mounted"
                if self.tree_widget.marks
                else with_keys("No layer is marked: {layers.mark} marks")
            )
        if name in ("unmount", "unmount_all") and row is not None and not row.mounted:
            return "" if name == "unmount" and row.stale else "The layer is not mounted"
        if name == "clear_stale" and self.store.read_only:
            return "The store is open for reading only: cannot clear stale mounts"
        if name == "clear_stale" and not self.view.stale_mounts:
            return "No mount is stale"
        return ""

    def chosen(self, action: str) -> LayerRow | None:
        """Return the layer under the cursor, or say why the action cannot be."""
        refusal = self.refusal(action)
        if refusal:
            self.say(refusal, "warning")
            return None
        return self.row

    # Mounting

    def action_mount(self) -> None:
        """Mount the layer."""
        row = self.chosen("mount")
        if row is not None:
            self.jobs.submit(read.mount_job(self.store, row), self)

    def action_unmount(self) -> None:
        """Unmount the layer once; ask first if others would notice. Clear the record of a mount that is not there."""
        row = self.chosen("unmount")
        if row is not None and row.stale:
            self._ask_to_clear(row)
        elif row is not None:
            self.unmount_rows([row])

    def action_unmount_all(self) -> None:
        """Unmount the layer for everybody who asked for it."""
        row = self.chosen("unmount_all")
        if row is not None:
            self.unmount_rows([row], force=True)

    def action_unmount_marked(self) -> None:
        """Unmount all marked layers that are mounted, each once."""
        if self.chosen("unmount_marked") is not None:
            self.unmount_rows(self.marked_mounted())

    def action_clear_stale(self) -> None:
        """Clear the records of all mounts that are not there."""
        refusal = self.refusal("clear_stale")
        if refusal:
            self.say(refusal, "warning")
        else:
            self._ask_to_clear(None)

    def marked_mounted(self) -> list[LayerRow]:
        """Return the marked layers that are mounted, or are said to be."""
        rows = [self.view.get(mark) for mark in self.tree_widget.marks]
        return [row for row in rows if row is not None and (row.mounted or row.stale)]

    def unmount_rows(self, rows: Sequence[LayerRow], *, force: bool = False, after_shell: bool = False) -> None:
        """Unmount layers; who would notice is looked up first."""
        self.shell_ended_in = rows[0].id if after_shell else ""
        self.asking = self.jobs.submit(read.mount_users_job(self.store, rows, force=force), self)

    def on_mount_users_found(self, event: messages.MountUsersFound) -> None:
        """Unmount, or ask first."""
        self.asking = None
        users = event.users.get(self.shell_ended_in)
        self.others = users.state.count - 1 if users is not None and users.state is not None else 0
        rows = [row for layer_id in event.users if (row := self.view.get(layer_id)) is not None]
        job = read.unmount_job(self.store, rows, force=event.force)
        warning = unmount_warning(rows, event.users, force=event.force)
        if not warning:
            self.jobs.submit(job, self)
            return

        def unmount(agreed: bool | None) -> None:
            if agreed:
                self.jobs.submit(job, self)

        title = f"Unmount {rows[0].short_id if len(rows) == 1 else plural(len(rows), 'layer')}?"
        self.app.push_screen(ConfirmDialog(title, warning, confirm_label="Unmount", danger=True), unmount)

    def _ask_to_clear(self, row: LayerRow | None) -> None:
        """Ask whether to clear the stale mount of a layer, or all."""
        stale = [mount for mount in self.view.stale_mounts if row is None or mount.id == row.id]

        def clear(agreed: bool | None) -> None:
            if agreed:
                self.jobs.submit(read.clear_stale_job(self.store, row.id if row is not None else None), self)

        body = (
            f"{plural(len(stale), 'layer')} recorded as mounted, but not mounted: since a reboot or a crash, or "
            "unmounted by hand.\n\nOnly the record goes. No file of a layer changes, and it can be mounted again."
        )
        self.app.push_screen(ConfirmDialog("Clear stale mounts?", body, confirm_label="Clear"), clear)

    def on_stale_cleared(self, event: messages.StaleCleared) -> None:
        """Say how many were stale still."""
        self.say(f"Cleared {plural(len(event.layer_ids), 'stale mount')}")
        self.reload()

    def on_mounted(self, event: messages.Mounted) -> None:
        """Show and copy the path."""
        self.app.copy_to_clipboard(copyable(str(event.path)))
        text = safe(str(event.path)) + (f"\n{self.mount_note}" if self.mount_note else "")
        self.notify(text, title="Mounted; the path is copied", markup=False)
        self.reload()

    def on_unmounted(self, event: messages.Unmounted) -> None:
        """Say what is mounted still."""
        if event.still and self.shell_ended_in in event.layer_ids:
            self.say(f"Still mounted: others have mounted it as well ({plural(self.others, 'mount')} counted)")
        elif event.still:
            text = with_keys("asked for more than once. {layer.unmount-all}")
            self.say(f"{plural(event.still, 'layer')} still mounted: {text}")
        else:
            self.say(f"Unmounted {plural(len(event.layer_ids), 'layer')}")
        self.reload()
