"""The fields of a layer, in groups, for the Summary panel. Free of any UI; nothing here is safe for the screen yet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from layerstore.model import Compression, IDMap
from layertui.format import exact_size, plural, time_text
from layertui.model import LayerRow, StoreView


@dataclass(frozen=True, slots=True)
class Field:
    """A line of the panel. `copy` is what copying it gives, by default the value; `tone` how much it matters."""

    label: str
    value: str
    copy: str = ""
    tone: str = ""

    @property
    def copied(self) -> str:
        """What goes to the clipboard."""
        return self.copy or self.value


@dataclass(frozen=True, slots=True)
class Group:
    """Fields under a heading."""

    title: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Details:
    """What is looked up for one layer only: where its files are, and what they take."""

    paths: Mapping[str, Path] | None = None
    size: int | None = None
    inodes: int | None = None


def summarize(view: StoreView, row: LayerRow, details: Details, now: datetime) -> list[Group]:
    """Return all that is known of a layer; groups without fields are left out."""
    groups = (
        Group("Layer", tuple(_identity(view, row, now))),
        Group("Size", tuple(_sizes(view, row, details))),
        Group("Used by", tuple(_users(row))),
        Group("Mount", tuple(_mount(row))),
        Group("Diff", tuple(_diff(row))),
        Group("Flags", tuple(_flags(row.layer.flags))),
        Group("Owners", tuple(_owners(row))),
        Group("Metadata", (Field("", row.layer.metadata),) if row.layer.metadata else ()),
        Group("On disk", tuple(_paths(details))),
    )
    return [group for group in groups if group.fields]


def _identity(view: StoreView, row: LayerRow, now: datetime) -> Iterator[Field]:
    layer = row.layer
    if row.fault:
        yield Field("Problem", row.fault, tone="error")
    for layer_id, text in view.problems:
        if layer_id == row.id:
            yield Field("Problem", text, tone="error")
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
    if row.size is not None:
        yield Field("Own", exact_size(row.size), str(row.size))
    if details.size is not None:
        inodes = f" in {plural(details.inodes, 'inode')}" if details.inodes is not None else ""
        yield Field("On disk", exact_size(details.size) + inodes, str(details.size))
    elif row.size is None:
        yield Field("On disk", "measuring…", tone="dim")
    total = exact_size(row.total) + ("" if row.total_is_exact else ", and what is not known")
    depth = len(view.ancestors(row.id))
    if depth:
        yield Field("Total", f"{total} in {plural(depth + 1, 'layer')}", str(row.total))
    if row.children:
        above = len(view.subtree(row.id)) - 1
        text = plural(len(row.children), "child", "children")
        yield Field("Built on it", text if above == len(row.children) else f"{text}, {plural(above, 'layer')} in all")


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
    layer = row.layer
    if layer.mount_count:
        yield Field("Mounted", plural(layer.mount_count, "time"), tone="good")
    if layer.mount_point:
        yield Field("Path", layer.mount_point, tone="good" if layer.mount_count else "")
    if layer.mount_label:
        yield Field("Label", layer.mount_label)


def _diff(row: LayerRow) -> Iterator[Field]:
    layer = row.layer
    if layer.diff_digest:
        yield Field("Digest", layer.diff_digest)
    if layer.diff_compression is not Compression.NONE or layer.compressed_diff_digest:
        yield Field("Compression", layer.diff_compression.name.lower())
    if layer.compressed_diff_digest:
        yield Field("Compressed", layer.compressed_diff_digest)
    if layer.compressed_size > 0:
        yield Field("", exact_size(layer.compressed_size), str(layer.compressed_size))
    if layer.toc_digest:
        yield Field("TOC", layer.toc_digest)
    if layer.big_data_names:
        yield Field("Big data", ", ".join(layer.big_data_names))


def _flags(flags: Mapping[str, Any]) -> Iterator[Field]:
    for name, value in flags.items():
        text = json.dumps(value, ensure_ascii=False)
        yield Field(name, text, f"{name}={text}")


def _owners(row: LayerRow) -> Iterator[Field]:
    layer = row.layer
    for label, maps in (("UID map", layer.uidmap), ("GID map", layer.gidmap)):
        yield from _several(label, [_map_text(entry) for entry in maps])
    for label, owners in (("UIDs", layer.uidset), ("GIDs", layer.gidset)):
        if owners:
            yield Field(label, ", ".join(map(str, owners)))


def _map_text(entry: IDMap) -> str:
    return f"{entry.container_id} → {entry.host_id}, {entry.size:,} of them"


def _paths(details: Details) -> Iterator[Field]:
    if details.paths is None:
        yield Field("", "looking…", tone="dim")
        return
    for name, path in details.paths.items():
        yield Field(name, str(path))
