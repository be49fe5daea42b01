"""The fields of a layer in groups, for the Summary panel. Values are not escaped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from layerstore import Compression, IDMap
from layertui.keys.sentences import with_keys
from layertui.model.rows import LayerRow
from layertui.model.view import StoreView
from layertui.text.format import exact_size, plural, time_text


@dataclass(frozen=True, slots=True)
class Field:
    """A line of the panel.

    `copy` is the text to copy if it differs from the value. `tone` is the emphasis.
    """

    label: str
    value: str
    copy: str = ""
    tone: str = ""

    @property
    def copied(self) -> str:
        """The text for the clipboard."""
        return self.copy or self.value


@dataclass(frozen=True, slots=True)
class Group:
    """Fields with a heading."""

    title: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Details:
    """Details that are read only for the selected layer: its paths, disk usage and big data."""

    paths: Mapping[str, Path] | None = None
    size: int | None = None
    inodes: int | None = None
    blobs: Mapping[str, int | None] | None = None


def summarize(view: StoreView, row: LayerRow, details: Details, now: datetime) -> list[Group]:
    """Return the fields of a layer, without empty groups."""
    groups = (
        Group("Layer", tuple(_identity(view, row, now))),
        Group("Size", tuple(_sizes(view, row, details))),
        Group("Used by", tuple(_users(row))),
        Group("Mount", tuple(_mount(row))),
        Group("Diff", tuple(_diff(row))),
        Group("Partial pull", tuple(_partial(row, details))),
        Group("Big data", tuple(_blobs(row, details))),
        Group("Flags", tuple(_flags(row.layer.flags))),
        Group("Owners", tuple(_owners(row))),
        Group("Metadata", (Field("", row.layer.metadata),) if row.layer.metadata else ()),
        Group("On disk", tuple(_paths(details))),
    )
    return [group for group in groups if group.fields]


def _identity(view: StoreView, row: LayerRow, now: datetime) -> Iterator[Field]:
    layer = row.layer
    problems = [text for layer_id, text in view.problems if layer_id == row.id]
    yield from _several("Problem", problems or [row.fault] * bool(row.fault), "error")
    yield Field("ID", layer.id)
    for number, name in enumerate(layer.names):
        yield Field("Name" if not number else "", name, tone="strong")
    parent = view.get(layer.parent)
    if not layer.parent:
        yield Field("Parent", "none: this is a base layer", tone="dim")
    elif parent is None:
        yield Field("Parent", f"{layer.parent} (has no record)", layer.parent, "error")
    else:
        yield Field("Parent", f"{parent.names[0]}  {layer.parent}" if parent.names else layer.parent, layer.parent)
    if layer.image_store:
        yield Field("Store", f"{layer.image_store} (an image store)", layer.image_store)
    yield Field("Created", time_text(layer.created, now), layer.created.isoformat() if layer.created else "")
    state = [
        word
        for word, holds in (
            ("incomplete", layer.incomplete),
            ("read-only", layer.read_only),
            ("volatile", layer.volatile),
        )
        if holds
    ]
    if state:
        yield Field("State", ", ".join(state), tone="warning")


def _sizes(view: StoreView, row: LayerRow, details: Details) -> Iterator[Field]:
    if row.recorded_size is not None:
        yield Field("Own", exact_size(row.recorded_size), str(row.recorded_size))
    if details.size is not None:
        inodes = f" in {plural(details.inodes, 'inode')}" if details.inodes is not None else ""
        yield Field("On disk", exact_size(details.size) + inodes, str(details.size))
    elif row.size is None:
        yield Field("On disk", "measuring…", tone="dim")
    unknown = "" if row.total_is_exact else ", without those of unknown size"
    depth = len(view.ancestors(row.id))
    if depth:
        yield Field("Total", f"{exact_size(row.total)} in {plural(depth + 1, 'layer')}{unknown}", str(row.total))
    if row.children:
        above = len(view.subtree(row.id)) - 1
        text = plural(len(row.children), "child", "children")
        all_above = plural(above, "descendant")
        yield Field("Above", text if above == len(row.children) else f"{text}, {all_above} in total")


def _users(row: LayerRow) -> Iterator[Field]:
    if row.unused:
        yield Field("", "no image and no container", tone="dim")
    yield from _several("Image", row.tops, "strong")
    yield from _several("Part of", [image for image in row.images if image not in row.tops])
    yield from _several("Container", row.containers, "strong")


def _several(label: str, values: Sequence[str], tone: str = "") -> Iterator[Field]:
    for number, value in enumerate(values):
        yield Field("" if number else label, value, tone=tone)


def _mount(row: LayerRow) -> Iterator[Field]:
    layer, mount = row.layer, row.mount
    if mount is not None and mount.stale:
        times = plural(mount.count, "time")
        text = f"recorded as mounted {times} but not mounted, after a reboot or a crash; "
        text += with_keys("press {layer.unmount} to clear")
        yield Field("Stale", text, tone="warning")
    elif mount is not None and not mount.count:
        yield Field("Mounted", "yes, but without a record, after a crash or by hand", tone="good")
    elif row.mounted:
        yield Field("Mounted", plural(layer.mount_count, "time"), tone="good")
    if mount is not None and mount.pid:
        yield Field("Namespace", f"the mount namespace of PID {mount.pid}", str(mount.pid))
    path = layer.mount_point or (mount.path if mount is not None else "")
    if path:
        yield Field("Path", path, tone="good" if row.mounted else "")
    if layer.mount_label:
        yield Field("Label", layer.mount_label)


def _diff(row: LayerRow) -> Iterator[Field]:
    layer = row.layer
    if layer.diff_digest:
        yield Field("Digest", layer.diff_digest)
    if layer.diff_compression is not Compression.NONE or layer.compressed_diff_digest:
        yield Field("Packed as", layer.diff_compression.name.lower())
    if layer.compressed_diff_digest:
        yield Field("Compressed", layer.compressed_diff_digest)
    if layer.compressed_size > 0:
        yield Field("", exact_size(layer.compressed_size), str(layer.compressed_size))


def _partial(row: LayerRow, details: Details) -> Iterator[Field]:
    layer, paths = row.layer, details.paths or {}
    if layer.toc_digest:
        yield Field("Pulled", "partially, file by file (zstd:chunked or eStargz)")
        yield Field("TOC digest", layer.toc_digest)
        if not layer.diff_digest:
            text = "only by the digest of its table of contents; the digest of the tar is not known"
            yield Field("Verified", text, tone="warning")
    if "composefs" in paths:
        text = "yes; only Podman can read its files (podman save, podman image mount)"
        yield Field("Composefs", text, "yes", "warning")
    elif layer.toc_digest and details.paths is not None:
        yield Field("Composefs", "no")


def _blobs(row: LayerRow, details: Details) -> Iterator[Field]:
    for name in row.layer.big_data_names:
        if details.blobs is None:
            yield Field("", name)
        elif (size := details.blobs.get(name)) is None:
            yield Field("", f"{name}: file missing or unreadable", name, "error")
        else:
            yield Field("", f"{name}: {exact_size(size)}", name)


def _flags(flags: Mapping[str, Any]) -> Iterator[Field]:
    for name, value in flags.items():
        text = json.dumps(value, ensure_ascii=False)
        yield Field(name, text, f"{name}={text}")


def _owners(row: LayerRow) -> Iterator[Field]:
    layer = row.layer
    if layer.uidmap or layer.gidmap:
        yield Field("On disk", "mapped; changes and exports show the owners inside containers", "mapped")
    for label, maps in (("UID map", layer.uidmap), ("GID map", layer.gidmap)):
        yield from _several(label, [_map_text(entry) for entry in maps])
    for label, owners in (("UIDs", layer.uidset), ("GIDs", layer.gidset)):
        if owners:
            yield Field(label, ", ".join(map(str, owners)))


def _map_text(entry: IDMap) -> str:
    if entry.size == 1:
        return f"{entry.container_id} is {entry.host_id} on disk"
    last, host = entry.container_id + entry.size - 1, entry.host_id + entry.size - 1
    return f"{entry.container_id} to {last} are {entry.host_id} to {host} on disk"


def _paths(details: Details) -> Iterator[Field]:
    if details.paths is None:
        yield Field("", "looking…", tone="dim")
        return
    for name, path in details.paths.items():
        yield Field(name, str(path))
