"""Checks of the files on disk that do not read their content: folders, short names, tar-splits and big data."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from typing import Final

from layerstore.check.findings import Finding, Kind, Severity, short
from layerstore.check.records import removal
from layerstore.check.scene import Scene
from layerstore.drivers import staging
from layerstore.drivers.survey import Fault, FaultKind
from layerstore.errors import StoreCorrupt, UnusableID
from layerstore.model import Layer
from layerstore.records.bigdata import blob_name
from layerstore.records.layout import file_name
from layerstore.records.readfile import open_file

TAR_SPLIT_SUFFIX = ".tar-split.gz"

_GZIP = b"\x1f\x8b"
_FULL_ID = re.compile(r"[0-9a-f]{64}")
_SETTLED = 60.0
"""Seconds after which an unknown folder without a change is no longer new."""

_SEVERITIES: Final = {
    FaultKind.NO_DIFF: Severity.DAMAGE,
    FaultKind.LINK_FILE: Severity.DAMAGE,
    FaultKind.LINK_LOST: Severity.DAMAGE,
    FaultKind.LOWER: Severity.DAMAGE,
    FaultKind.WORK_FOLDER: Severity.NOTE,
    FaultKind.LINK_STRAY: Severity.LEFTOVER,
    FaultKind.STAGING: Severity.LEFTOVER,
}


def check_layer(scene: Scene, layer: Layer) -> Iterator[Finding]:
    """Yield what is wrong with the files of a layer. An incomplete layer need not have all its files."""
    if layer.incomplete:
        return
    images, containers = scene.users(layer.id)

    def damage(kind: Kind, text: str, path: str, repair: str | None) -> Finding:
        text, repair = f"layer {short(layer.id)}: {text}", None if layer.image_store else repair
        return Finding(kind, layer.id, Severity.DAMAGE, text, path, images, containers, repair)

    try:
        file_name(layer.id)
        own = not layer.image_store and scene.has_folder(layer.id)
        found = own or scene.driver.exists(layer.id)
    except UnusableID as error:
        yield damage(Kind.BAD_ID, str(error), "", None)
        return
    if not found:
        path = os.path.join(scene.home, layer.id)
        yield damage(Kind.NO_FOLDER, f"its folder {path} is missing", path, removal(scene, layer.id))
    elif own:
        for fault in scene.survey.faults(layer.id, lambda: scene.below(layer)):
            repair = removal(scene, layer.id) if fault.kind is FaultKind.NO_DIFF else fault.repair
            text = f"layer {short(layer.id)}: {fault.text}"
            severity = _SEVERITIES[fault.kind]
            yield Finding(Kind(fault.kind), layer.id, severity, text, fault.path, images, containers, repair)
    yield from _tar_split(scene, layer)
    if not layer.image_store:
        yield from _big_data(scene, layer)


def _tar_split(scene: Scene, layer: Layer) -> Iterator[Finding]:
    """Check the first bytes of the tar-split. The deep check reads all of it."""
    if not layer.diff_digest:
        return
    path = scene.backend.tar_split(layer)
    kind, reason = Kind.TAR_SPLIT, ""
    try:
        with open_file(path) as file:
            if file.read(2) != _GZIP:
                reason = f"its tar-split {path} is not a gzip file"
    except StoreCorrupt:
        reason = f"its tar-split {path} is not a regular file"
    except FileNotFoundError:
        if layer.toc_digest:
            return  # the layer was pulled partially, without its tar
        kind, reason = Kind.NO_TAR_SPLIT, f"its tar-split {path} is missing"
    except PermissionError:
        return
    if reason:
        images, containers = scene.users(layer.id)
        text = f"layer {short(layer.id)}: {reason}, so its original tar is lost; pull the image again"
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
    """Return the finding for a folder that may be a layer's, None if it has a record or is gone."""
    if not scene.is_orphan(name):
        return None
    path = os.path.join(scene.home, name)
    if not scene.survey.is_layer(name):
        if scene.survey.is_probe(name) or time.time() - os.lstat(path).st_mtime < _SETTLED:
            return None
        text = f"folder {path} does not belong to a layer; the program that created it should delete it"
        return Finding(Kind.STRANGE_FOLDER, "", Severity.NOTE, text, path)
    images, containers = scene.users(name)
    based, mount = scene.bases.get(name), scene.mounts.get(name)
    text = f"folder {path} has no record"
    repair: str | None = "delete the folder"
    if mount is not None and not mount.stale:
        text, repair = f"{text}, and it is mounted at {mount.path}", None
    elif images or containers or based is not None:
        what = "images or containers need it" if images or containers else f"layer {short(based or '')} is based on it"
        text, repair = f"{text}, and {what}", f"{repair}; only with force, because it is needed"
    severity = Severity.DAMAGE if images or containers or based is not None else Severity.LEFTOVER
    return Finding(Kind.ORPHAN_FOLDER, name, severity, text, path, images, containers, repair)


def check_link(scene: Scene, name: str) -> Finding | None:
    """Return the finding for a stale link to a layer, None if it is in use or gone."""
    return _leftover(scene.survey.stray_link(name, scene.recorded))


def check_data(scene: Scene, name: str) -> Finding | None:
    """Return the finding for a tar-split or a folder of big data whose layer has no record, None if it has one."""
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
        "delete it; only with force, because records of other layers are missing" if scene.incoherent else "delete it"
    )
    return Finding(Kind.ORPHAN_DATA, layer_id, Severity.LEFTOVER, text, path, images, containers, repair)


def data_names(scene: Scene) -> list[str]:
    """Return the names in the folder of records."""
    try:
        return sorted(os.listdir(scene.layout.layers))
    except (FileNotFoundError, NotADirectoryError):
        return []


def check_temporary(scene: Scene) -> Iterator[Finding]:
    """Yield what interrupted work left aside. What a live process is working on is not reported."""
    for root in (str(scene.driver.temporary_folder), scene.layout.layers_aside):
        count = len(staging.abandoned(root))
        if count:
            text = f"{root} holds the remains of {count} interrupted {'deletion' if count == 1 else 'deletions'}"
            yield Finding(Kind.TEMPORARY, "", Severity.LEFTOVER, text, root, repair="delete it")
    for name in scene.survey.staged():
        finding = check_staging(scene, name)
        if finding is not None:
            yield finding


def check_staging(scene: Scene, name: str) -> Finding | None:
    """Return the finding for a staged folder that an interrupted pull left, None if it is in use or gone."""
    return _leftover(scene.survey.abandoned(name))


def _leftover(fault: Fault | None) -> Finding | None:
    if fault is None:
        return None
    severity = _SEVERITIES[fault.kind]
    return Finding(Kind(fault.kind), fault.layer, severity, fault.text, fault.path, repair=fault.repair)
