"""What to mount for a layer of an overlay store."""

from __future__ import annotations

import os

from layerstore.drivers.overlay.folders import with_rotated
from layerstore.drivers.overlay.links import MAX_LOWERS, Lower
from layerstore.drivers.overlay.mount import OverlayMount
from layerstore.drivers.overlay.places import Places


def mount_of(
    places: Places,
    layer_id: str,
    lowers: list[Lower],
    *,
    label: str = "",
    read_only: bool = True,
    options: tuple[str, ...] = (),
) -> OverlayMount:
    """Return the mount that shows a layer on top of the layers `lowers`, the topmost first.

    `label` is an SELinux context, `options` are those of mount(8).
    """
    home = places.home
    own = layer_id if places.is_own(layer_id) else str(places.found(layer_id))
    folders = list(with_rotated(home, f"{own}/diff"))
    for lower in lowers:
        folders += [lower.path, *list(with_rotated(home, lower.diff))[1:]]
    diff = folders.pop(0)
    upper, work = diff, f"{own}/work"
    if read_only and len(folders) < MAX_LOWERS:
        folders.insert(0, diff)
        upper = work = ""
    elif read_only:  # with the layer itself there would be one lower folder too many
        options += ("ro",)
    if not lowers and os.path.isdir(home / own / "empty"):
        folders.append(f"{own}/empty")
    return OverlayMount(home, tuple(folders), upper, work, options, label, userxattr=places.marks.namespace == "user")
