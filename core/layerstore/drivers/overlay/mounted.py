"""Which layers are mounted, according to the kernel's mount tables."""

from __future__ import annotations

from collections.abc import Collection

from layerstore.linux.mounttable import KernelMount, escaped, kernel_mounts, other_namespaces, root_mount


def overlay_mounts(home: str, pid: int | None = None) -> dict[str, KernelMount]:
    """Return the mounts at `<home>/<ID>/merged`, by layer ID.

    Args:
        home: The folder of the overlay driver, without symbolic links.
        pid: The process whose mount table to read, by default this one.

    Raises:
        OSError: The process has ended, or this user may not inspect it.
    """
    found = {}
    for mount in kernel_mounts(pid, having=escaped(home)):
        layer_id = _between(mount.point, f"{home}/", "/merged")
        if layer_id:
            found[layer_id] = mount
    return found


def elsewhere(home: str, wanted: Collection[str]) -> dict[str, int]:
    """Return which of these layers are mounted in another mount namespace, with a process of that namespace.

    A layer is mounted there if `<home>/<ID>/merged` is a mount, as in Podman's rootless namespace, or if the root is
    the layer's overlay, as in a container. One process per namespace is inspected.
    """
    found: dict[str, int] = {}
    if not wanted:
        return found
    for pid in other_namespaces():
        try:
            for layer_id in overlay_mounts(home, pid):
                if layer_id in wanted:
                    found.setdefault(layer_id, pid)
            root = root_mount(pid)
        except OSError:
            continue
        upper = root.upper if root is not None else ""
        # Podman passes it relative to the driver's folder if all options together would exceed one page.
        layer_id = _between(upper, f"{home}/", "/diff") or _between(upper, "", "/diff")
        if layer_id in wanted:
            found.setdefault(layer_id, pid)
    return found


def _between(path: str, start: str, end: str) -> str:
    """Return the single path component between two parts, or "" if there is none."""
    middle = path[len(start) : -len(end)] if path.startswith(start) and path.endswith(end) else ""
    return "" if "/" in middle else middle
