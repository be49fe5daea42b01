"""Mounting and unmounting layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from layertui.keys.actions import Action, Need
from layertui.keys.sentences import with_keys
from layertui.panels.base import Browser
from layertui.text.format import plural

if TYPE_CHECKING:
    from layerstore import MountUsers
    from layertui.model.rows import LayerRow

# Mount


def mount(browser: Browser) -> None:
    """Mount the layer under the cursor, and show and copy the path."""
    from layertui.jobs.write import mount_job  # noqa: PLC0415 - late, to keep startup fast

    def mounted(path: Path) -> None:
        browser.copy_silently(str(path))
        note = f"\n{browser.mount_note}" if browser.mount_note else ""
        browser.notify(f"{path}{note}", "Mounted; the path is copied", timeout=None)
        browser.reload()

    browser.submit(mount_job(browser.store, browser.layer), mounted)


# Unmount


def unmount(browser: Browser) -> None:
    """Unmount the layer under the cursor once, or clear the record of a stale mount."""
    if browser.layer.stale:
        _ask_to_clear(browser, browser.layer)
    else:
        unmount_rows(browser, [browser.layer])


def unmount_all(browser: Browser) -> None:
    """Unmount the layer under the cursor completely."""
    unmount_rows(browser, [browser.layer], force=True)


def unmount_marked(browser: Browser) -> None:
    """Unmount the marked layers once each."""
    unmount_rows(browser, _mounted(browser.marked))


def unmount_rows(browser: Browser, rows: Sequence[LayerRow], *, force: bool = False, after_shell: bool = False) -> None:
    """Unmount layers, after a confirmation if containers or processes use them."""
    from layertui.dialogs.confirm import ConfirmDialog  # noqa: PLC0415 - late, to keep startup fast
    from layertui.jobs.read import mount_users_job  # noqa: PLC0415
    from layertui.jobs.write import unmount_job  # noqa: PLC0415
    from layertui.model.unmounting import unmount_warning  # noqa: PLC0415

    def found(users: Mapping[str, MountUsers]) -> None:
        here = [row for layer_id in users if (row := browser.view.get(layer_id)) is not None]
        state = users[rows[0].id].state if after_shell else None
        others = state.count - 1 if state is not None else 0

        def unmounted(still: int) -> None:
            _report_unmounted(browser, here, still, others if after_shell else None)

        def go(agreed: bool) -> None:
            if agreed:
                browser.submit(unmount_job(browser.store, here, force=force), unmounted)

        warning = unmount_warning(here, users, force=force)
        if not warning:
            go(agreed=True)
            return
        title = f"Unmount {here[0].short_id if len(here) == 1 else plural(len(here), 'layer')}?"
        browser.ask(ConfirmDialog(title, warning, confirm_label="Unmount", danger=True), go)

    browser.look_up(mount_users_job(browser.store, rows), found)


def _report_unmounted(browser: Browser, rows: Sequence[LayerRow], still: int, others: int | None) -> None:
    if still and others is not None:
        browser.say(f"Still mounted by others ({plural(others, 'mount')} counted)")
    elif still:
        browser.say(f"{plural(still, 'layer')} still mounted ({with_keys('{layer.unmount-all}')})")
    else:
        browser.say(f"Unmounted {plural(len(rows), 'layer')}")
    browser.reload()


def _mounted(rows: Sequence[LayerRow]) -> list[LayerRow]:
    """Return the layers that are mounted, or recorded as mounted."""
    return [row for row in rows if row.mounted or row.stale]


# Stale mounts


def clear_stale(browser: Browser) -> None:
    """Clear the records of all stale mounts."""
    _ask_to_clear(browser, None)


def _ask_to_clear(browser: Browser, row: LayerRow | None) -> None:
    """Ask whether to clear the stale mount of a layer, or all stale mounts."""
    from layertui.dialogs.confirm import ConfirmDialog  # noqa: PLC0415 - late, to keep startup fast
    from layertui.jobs.write import clear_stale_job  # noqa: PLC0415

    stale = [state for state in browser.view.stale_mounts if row is None or state.id == row.id]

    def cleared(count: int) -> None:
        browser.say(f"Cleared {plural(count, 'stale mount')}")
        browser.reload()

    def go(agreed: bool) -> None:
        if agreed:
            browser.submit(clear_stale_job(browser.store, row.id if row is not None else None), cleared)

    body = (
        f"{plural(len(stale), 'layer')} recorded as mounted, but not mounted: after a reboot or a crash, or unmounted "
        "by hand.\n\nThis clears the record only. No file of a layer changes, and it can be mounted again."
    )
    browser.ask(ConfirmDialog("Clear stale mounts?", body, confirm_label="Clear"), go)


# Refusals


def _not_mounted(browser: Browser) -> str:
    return "" if browser.layer.mounted else "The layer is not mounted"


def _neither_mounted_nor_stale(browser: Browser) -> str:
    return "" if browser.layer.stale else _not_mounted(browser)


def _none_mounted(browser: Browser) -> str:
    return "" if _mounted(browser.marked) else "None of the marked layers is mounted"


def _none_stale(browser: Browser) -> str:
    return "" if browser.view.stale_mounts else "There is no stale mount"


_WRITABLE_LAYER = Need.LAYER | Need.WRITABLE

MOUNT = Action(
    "layer.mount",
    "m",
    "Mount",
    "Mount the layer; the path is shown and copied",
    mount,
    needs=_WRITABLE_LAYER,
    verb="mount it",
    shown=True,
)
UNMOUNT = Action(
    "layer.unmount",
    "u",
    "Unmount",
    "Unmount the layer once, or clear a stale mount",
    unmount,
    needs=_WRITABLE_LAYER,
    refusal=_neither_mounted_nor_stale,
    verb="unmount it",
    shown=True,
)
UNMOUNT_MARKED = Action(
    "layers.unmount-marked",
    "U",
    "Unmount marked",
    "Unmount all marked layers",
    unmount_marked,
    needs=_WRITABLE_LAYER | Need.MARKS,
    refusal=_none_mounted,
    verb="unmount layers",
    shown=True,
)
UNMOUNT_ALL = Action(
    "layer.unmount-all",
    "",
    "Unmount for all users",
    "Unmount the layer, whatever its mount count",
    unmount_all,
    needs=_WRITABLE_LAYER,
    refusal=_not_mounted,
    verb="unmount it",
)
CLEAR_STALE = Action(
    "layers.clear-stale",
    "",
    "Clear all stale mounts",
    "Clear the records of mounts that ended with a reboot or a crash",
    clear_stale,
    needs=Need.WRITABLE,
    refusal=_none_stale,
    verb="clear stale mounts",
)
