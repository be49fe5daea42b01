"""What the keys do that make layers and change what is in them: create, apply, metadata, and a shell."""

from __future__ import annotations

import os
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from layertui.dialogs.confirm import ConfirmDialog
from layertui.jobs import messages, write
from layertui.keys.keynames import with_keys
from layertui.model.rows import LayerRow
from layertui.screens.main.mount_actions import MountActions
from layertui.text.format import size_text
from layertui.text.safe import safe

if TYPE_CHECKING:
    from layertui.dialogs.create import CreateRequest


class MakingActions(MountActions):
    """The actions that put something into a store."""

    new_layer: str = ""
    """The layer that the cursor goes to as soon as the list has it."""

    @abstractmethod
    def go_to_layer(self, layer_id: str) -> None:
        """Put the cursor on a layer, without the filter if that hides it."""

    def making_refusal(self, name: str) -> str:
        """Return why one of these actions makes no sense now."""
        row = self.row
        if name == "create" and self.store.read_only:
            return "The store is open for reading only: cannot create layers"
        if name == "apply" and row is not None and not self.store.copies_lower:
            if row.mounted:
                return with_keys("The layer is mounted: its files cannot be exchanged. {layer.unmount} unmounts it")
            if self.view.number(row.id) in self.view.below_mounts:
                return "A layer based on it is mounted, and would show nothing any more: unmount that first"
        return ""

    # Create

    def action_create(self) -> None:
        """Ask what the new layer is to be, on top of the one under the cursor, and make it."""
        refusal = self.refusal("create")
        if refusal:
            self.say(refusal, "warning")
            return

        from layertui.dialogs.create import CreateDialog  # noqa: PLC0415 - late: starting up does not wait for it

        def create(request: CreateRequest | None) -> None:
            if request is not None:
                self.jobs.submit(write.create_job(self.store, request), self)

        row = self.row
        parent = row.id if row is not None else ""
        dialog = CreateDialog(self.view.rows, self.view, parent, self.view.names, Path.cwd())
        self.app.push_screen(dialog, create)

    def on_created(self, event: messages.Created) -> None:
        """Say what was made, and go there."""
        facts = f"{size_text(event.size)}, {event.digest}" if event.size is not None else "empty"
        self.notify(safe(f"{event.layer_id[:12]}, {facts}"), title="Created", markup=False, timeout=10)
        self.new_layer = event.layer_id
        self.reload()

    def reach_new(self) -> None:
        """Put the cursor on the layer that was made, as soon as the store was read with it."""
        if self.new_layer and self.new_layer in self.view:
            layer_id, self.new_layer = self.new_layer, ""
            self.go_to_layer(layer_id)

    # Apply

    def action_apply(self) -> None:
        """Ask for a tar, and make it the layer's diff."""
        row = self.chosen("apply")
        if row is None:
            return

        from layertui.dialogs.apply import ApplyDialog, Concerned  # noqa: PLC0415 - late: starting up does not wait for it

        def apply(path: Path | None) -> None:
            if path is not None:
                self.jobs.submit(write.apply_job(self.store, row, path), self)

        copies = self.store.copies_lower
        concerned = Concerned(row.children, row.images, row.containers, copies=copies, mounted=row.mounted)
        self.app.push_screen(ApplyDialog(row.layer, concerned, Path.cwd()), apply)

    def on_applied(self, event: messages.Applied) -> None:
        """Say what the layer's diff is now."""
        text = f"{event.layer_id[:12]}: {size_text(event.size)}, {event.digest}"
        self.notify(safe(text), title="Applied", markup=False, timeout=10)
        self.reload()

    # Metadata

    def action_metadata(self) -> None:
        """Edit the text that is kept with the layer."""
        row = self.chosen("metadata")
        if row is None:
            return

        from layertui.dialogs.metadata import MetadataDialog  # noqa: PLC0415 - late: starting up does not wait for it

        def keep(text: str | None) -> None:
            if text is not None:
                self.jobs.submit(write.metadata_job(self.store, row, text), self)

        self.app.push_screen(MetadataDialog(row.layer), keep)

    # A shell

    def action_shell(self) -> None:
        """Open a shell in the layer; root is asked which, where the layer has one itself."""
        row = self.chosen("shell")
        if row is None:
            return
        if os.geteuid() == 0:
            self.asking = self.jobs.submit(write.find_shell_job(self.store, row.id), self)
        else:
            self._ask_for_shell(row, "")

    def on_shell_found(self, event: messages.ShellFound) -> None:
        """Ask which shell is wanted."""
        self.asking = None
        row = self.view.get(event.layer_id)
        if row is not None:
            self._ask_for_shell(row, event.inside)

    def _ask_for_shell(self, row: LayerRow, inside: str) -> None:
        from layertui.dialogs.shell import ShellDialog  # noqa: PLC0415 - late: starting up does not wait for it

        def start(chosen: str | None) -> None:
            if chosen is not None:
                self.jobs.submit(write.mount_for_shell_job(self.store, row, inside=chosen), self)

        counts = {"images": len(row.images), "containers": len(row.containers), "children": len(row.children)}
        self.app.push_screen(ShellDialog(row.layer, inside, **counts), start)

    def on_shell_ready(self, event: messages.ShellReady) -> None:
        """Give the terminal to the shell, take it back, and see to the mount."""
        from layertui.jobs import shell  # noqa: PLC0415 - late: starting up does not wait for it

        row = self.view.get(event.layer_id)
        title = row.title if row is not None else event.layer_id[:12]
        problem = ""
        try:
            with self.app.suspend():
                call = shell.ShellCall(event.layer_id, title, event.path, event.inside)
                problem = shell.run(call, no_color=self.app.no_color)
        except SuspendNotSupported:
            problem = "This terminal cannot be given to a shell and taken back"
        except OSError as error:
            self.show_error(error)
        if row is not None and not event.mounted_before:
            self._ask_to_unmount(row, problem)
        else:
            if problem:
                self.say(problem, "error")
            if row is not None:  # our count of a mount that was there before
                self.unmount_rows([row], after_shell=True)
        self.reload()

    def _ask_to_unmount(self, row: LayerRow, problem: str) -> None:
        """Ask whether to unmount what was mounted for a shell, and say what was wrong with that."""

        def unmount(agreed: bool | None) -> None:
            if agreed:
                self.unmount_rows([row], after_shell=True)

        title = f"Unmount {row.short_id} again?"
        body = with_keys(
            "It was mounted for the shell. Left mounted, it is found under its path, and {layer.unmount} unmounts it "
            "later."
        )
        body = f"{problem}.\n\n{body}" if problem else body
        dialog = ConfirmDialog(title, body, confirm_label="Unmount", cancel_label="Leave mounted")
        self.app.push_screen(dialog, unmount)
