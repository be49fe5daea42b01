"""Checks of the files on disk, without reading what is in them: folders, short names, tar-splits and big data."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator

from layerstore.check.findings import Finding, Kind, Severity, short
from layerstore.check.records import removal
from layerstore.check.scene import Scene
from layerstore.drivers import staging as tempdirs
from layerstore.drivers.overlay.check import Stray
from layerstore.drivers.overlay.links import FOLDER
from layerstore.errors import StoreCorrupt, UnusableID
from layerstore.model import Layer
from layerstore.records.bigdata import blob_name
from layerstore.records.layout import file_name
from layerstore.records.readfile import open_file

TAR_SPLIT_SUFFIX = ".tar-split.gz"
STAGING_LOCK = "staging.lock"

_GZIP = b"\x1f\x8b"
_FULL_ID = re.compile(r"[0-9a-f]{64}")
_PROBE = re.compile(r".*-check-?\d*|compat\d*|.*lower\d+|.*probe.*")
"""Folders in which the peer tries what the kernel can do, without a lock, and deletes at once."""

_SETTLED = 60.0


def check_layer(scene: Scene, layer: Layer) -> Iterator[Finding]:
    """Yield what is wrong with the files of one layer. An incomplete one has no whole files to expect."""
    if layer.incomplete:
        return
    images, containers = scene.users(layer.id)

    def damage(kind: Kind, text: str, path: str, repair: str | None) -> Finding:
        text, repair = f"layer {short(layer.id)}: {text}", None if layer.image_store else repair
        return Finding(kind, layer.id, Severity.DAMAGE, text, path, images, containers, repair)

    try:
        file_name(layer.id)
        own = not layer.image_store and scene.has_folder(layer.id)
        found = own or scene.backend.driver.exists(layer.id)
    except UnusableID as error:
        yield damage(Kind.BAD_ID, str(error), "", None)
        return
    if not found:
        path = os.path.join(scene.home, layer.id)
        yield damage(Kind.NO_FOLDER, f"its folder {path} is missing", path, removal(scene, layer.id))
    elif scene.layout.driver == "overlay" and own:
        yield from _overlay_folder(scene, layer)
    yield from _tar_split(scene, layer)
    if not layer.image_store:
        yield from _big_data(scene, layer)


def _overlay_folder(scene: Scene, layer: Layer) -> Iterator[Finding]:
    folder, links = os.path.join(scene.home, layer.id), scene.links
    images, containers = scene.users(layer.id)

    def finding(kind: Kind, text: str, name: str, repair: str | None, severity: Severity = Severity.DAMAGE) -> Finding:
        text, path = f"layer {short(layer.id)}: {text}", os.path.join(scene.home, name)
        return Finding(kind, layer.id, severity, text, path, images, containers, repair)

    if not os.path.isdir(f"{folder}/diff"):
        repair = removal(scene, layer.id)
        yield finding(Kind.NO_DIFF, "the folder of its files is missing", f"{layer.id}/diff", repair)
        return
    if fault := links.name_fault(layer.id):
        yield finding(Kind.LINK_FILE, fault, f"{layer.id}/link", "write the file link again")
    elif fault := links.link_fault(layer.id):
        yield finding(Kind.LINK_LOST, fault, f"{FOLDER}/{links.name(layer.id)}", "make the link again")
    chain, mapped = chain_of(scene, layer)
    if chain is not None and (fault := links.lower_fault(layer.id, None if mapped else chain)):
        repair = None if mapped else "write the list again, by the records"
        yield finding(Kind.LOWER, fault, f"{layer.id}/lower", repair)
    if not os.path.isdir(f"{folder}/work"):  # `merged` comes and goes with a container of the peer
        text, repair = "the folder work, which a mount needs, is missing", "make it again"
        yield finding(Kind.WORK_FOLDER, text, f"{layer.id}/work", repair, Severity.NOTE)


def chain_of(scene: Scene, layer: Layer) -> tuple[list[str] | None, bool]:
    """Return the layers below by the records, the nearest first; None where they do not say.

    Also tell whether one of them is a copy that the peer has made to give the files other owners: such a copy can lie
    on top of the original, which no record says.
    """
    table, found, mapped = scene.records.layers, [], bool(layer.uidmap or layer.gidmap)
    position = table.positions[layer.id]
    seen = {position}
    while table.parents[position] >= 0:
        position = table.parents[position]
        if position in seen:
            return None, mapped
        seen.add(position)
        found.append(table.ids[position])
        mapped = mapped or table.ids[position] in scene.mapped
    return (None if position in table.lost_parents else found), mapped


def _tar_split(scene: Scene, layer: Layer) -> Iterator[Finding]:
    """Look at the beginning of the tar-split; whether all of it can be read is for the deep check to say."""
    if not layer.diff_digest:
        return
    path = scene.backend.tar_split(layer)
    reason = ""
    try:
        with open_file(path) as file:
            if file.read(2) != _GZIP:
                reason = f"its tar-split {path} is no gzip file"
    except StoreCorrupt:
        reason = f"its tar-split {path} is no file, and so no gzip file"
    except FileNotFoundError:
        if layer.toc_digest:
            return  # it came in piece by piece, and no tar was seen
        reason = f"its tar-split {path} is missing"
    except PermissionError:
        return
    if reason:
        images, containers = scene.users(layer.id)
        kind = Kind.TAR_SPLIT if "gzip" in reason else Kind.NO_TAR_SPLIT
        text = f"layer {short(layer.id)}: {reason}, so it cannot go out as the tar that came in; pull the image again"
        yield Finding(kind, layer.id, Severity.DAMAGE, text, path, images, containers)


def _big_data(scene: Scene, layer: Layer) -> Iterator[Finding]:
    folder = scene.layout.big_data(layer.id)
    try:
        there = set(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        there = set()
    if not there and not layer.big_data_names:
        return
    images, containers = scene.users(layer.id)
    expected = {}
    for key in layer.big_data_names:
        name = blob_name(key)
        expected[name.partition("/")[0]] = key
        if not os.path.exists(os.path.join(folder, name)):
            text = f"layer {short(layer.id)}: the file of its data item {key!r} is missing"
            path = os.path.join(folder, name)
            yield Finding(Kind.NO_BIG_DATA, layer.id, Severity.DAMAGE, text, path, images, containers)
    for name in sorted(there - expected.keys()):
        text = f"layer {short(layer.id)}: its record does not name the data item in the file {name!r}"
        path = os.path.join(folder, name)
        yield Finding(Kind.STRAY_BIG_DATA, layer.id, Severity.LEFTOVER, text, path, repair="delete the file")


def check_folder(scene: Scene, name: str) -> Finding | None:
    """Look at a folder that may be a layer's; None if a record names it, or it is gone."""
    if not scene.is_orphan(name):
        return None
    path = os.path.join(scene.home, name)
    if not _is_layer_folder(scene, name):
        if _PROBE.fullmatch(name) or time.time() - os.lstat(path).st_mtime < _SETTLED:
            return None
        text = f"folder {path} is no layer's; whatever made it should delete it"
        return Finding(Kind.STRANGE_FOLDER, "", Severity.NOTE, text, path)
    images, containers = scene.users(name)
    based, mount = scene.bases.get(name), scene.mounts.get(name)
    text = f"folder {path} has no record"
    repair: str | None = "delete the folder"
    if mount is not None and not mount.stale:
        text, repair = f"{text}, and it is mounted at {mount.path}", None
    elif images or containers or based is not None:
        what = "images or containers need it" if images or containers else f"layer {short(based or '')} is based on it"
        text, repair = f"{text}, and {what}", f"{repair}; only if told to, since it is needed"
    severity = Severity.DAMAGE if images or containers or based is not None else Severity.LEFTOVER
    return Finding(Kind.ORPHAN_FOLDER, name, severity, text, path, images, containers, repair)


def _is_layer_folder(scene: Scene, name: str) -> bool:
    if scene.layout.driver != "overlay":
        return True
    folder = os.path.join(scene.home, name)
    return bool(_FULL_ID.fullmatch(name)) or any(os.path.lexists(f"{folder}/{part}") for part in ("diff", "link"))


def check_link(scene: Scene, name: str) -> Finding | None:
    """Look at an entry of `l`; None if it is of use, or gone, or goes with a folder without a record."""
    stray = scene.links.stray(name) or _nameless_orphan(scene, name)
    if stray is None:
        return None
    text = f"the link {FOLDER}/{name} is of no use: {stray.reason}"
    path = os.path.join(scene.home, FOLDER, name)
    return Finding(Kind.LINK_STRAY, stray.layer, Severity.LEFTOVER, text, path, repair="delete the link")


def _nameless_orphan(scene: Scene, name: str) -> Stray | None:
    """Return a link to a folder without a record that does not say its name, so that the link would outlive it."""
    layer_id = scene.links.leads_to(name)
    if layer_id is None or scene.recorded(layer_id) or scene.links.name(layer_id) is not None:
        return None
    if name in scene.links.used_names:
        return None
    return Stray(name, layer_id, f"it leads to folder {short(layer_id)}, which has no record")


def link_names(scene: Scene) -> list[str]:
    """Return the entries of `l`."""
    return _listed(os.path.join(scene.home, FOLDER)) if scene.layout.driver == "overlay" else []


def check_data(scene: Scene, name: str) -> Finding | None:
    """Look at a name in the folder of records: a tar-split, or a folder of big data, whose layer has no record."""
    path = os.path.join(scene.layout.layers, name)
    layer_id = name.removesuffix(TAR_SPLIT_SUFFIX)
    if layer_id == name and not (_FULL_ID.fullmatch(name) and os.path.isdir(path)):
        return None
    if scene.recorded(layer_id) or not os.path.lexists(path):
        return None
    images, containers = scene.users(layer_id)
    what = "tar-split" if layer_id != name else "folder of data items"
    text = f"the {what} {path} belongs to layer {short(layer_id)}, which has no record"
    repair = (
        "delete it; only if told to, since other layers have lost their records" if scene.incoherent else "delete it"
    )
    return Finding(Kind.ORPHAN_DATA, layer_id, Severity.LEFTOVER, text, path, images, containers, repair)


def data_names(scene: Scene) -> list[str]:
    """Return the names in the folder of records."""
    return _listed(scene.layout.layers)


def check_temporary(scene: Scene) -> Iterator[Finding]:
    """Yield what interrupted work left aside; what a live process is at is not."""
    for root in (os.path.join(scene.layout.graph_root, scene.layout.driver, "tempdirs"), scene.layout.layers_aside):
        count = len(tempdirs.abandoned(root))
        if count:
            text = f"{root} holds what {count} interrupted deletions left"
            yield Finding(Kind.TEMPORARY, "", Severity.LEFTOVER, text, root, repair="delete it")
    if scene.layout.driver == "overlay":
        staging = os.path.join(scene.home, "staging")
        for name in _listed(staging):
            finding = check_staging(scene, name)
            if finding is not None:
                yield finding


def check_staging(scene: Scene, name: str) -> Finding | None:
    """Look at a folder in which the peer prepared a layer; None if a live process is at it, or it is gone."""
    path = os.path.join(scene.home, "staging", name)
    lock = os.path.join(path, STAGING_LOCK)
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISDIR(found.st_mode) or time.time() - found.st_mtime < _SETTLED or tempdirs.is_locked(lock):
        return None
    locked = os.path.lexists(lock)
    text = f"{path} holds what an interrupted pull left"
    if not locked:
        text += "; it has no lock that would tell whether somebody is at it"
    return Finding(Kind.STAGING, "", Severity.LEFTOVER, text, path, repair="delete it" if locked else None)


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
