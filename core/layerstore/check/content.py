"""The deep check: whether the files of a layer match the tar that it was created from.

The tar is reassembled from tar-split and files, without writing it, and its digest is compared. What the digest does
not cover is checked separately: owners, modes and times of the files on disk, and files that the tar does not have.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from layerstore.check.findings import Finding, Kind, Severity, short
from layerstore.check.tree import Faults, Rules, compare
from layerstore.content import diff
from layerstore.errors import BadArchive, DamagedLayer, LayerStoreError, NotSupported, StoreCorrupt, UnusableID
from layerstore.model import Layer, ShouldStop

if TYPE_CHECKING:
    from layerstore.operations.transaction import Backend

Told = Callable[[int], None]
"""Called with the number of bytes of the tar that were checked so far."""

_SHOWN = 3


def can_check(backend: Backend, layer: Layer) -> bool:
    """Return whether the layer has a tar-split to compare its files with."""
    with contextlib.suppress(UnusableID):  # the quick check reports it
        return not layer.incomplete and os.path.exists(backend.tar_split(layer))
    return False


def check_content(backend: Backend, layer: Layer, *, told: Told, should_stop: ShouldStop | None) -> list[Finding]:
    """Return what is wrong inside a layer, without the images and containers that are affected.

    Takes no lock. The caller checks that the layer did not change in the meantime.

    Raises:
        Cancelled: `should_stop` returned True.
    """
    checker = _Checker(backend, layer, told, should_stop)
    try:
        folders = backend.driver.diff_folders(layer.id, layer.parent)
    except NotSupported as error:
        return [checker.finding(Kind.UNCHECKED, Severity.NOTE, str(error))]
    except (LayerStoreError, OSError):
        return []  # its folder, or one below, is missing, which the quick check reports
    try:
        found = checker.content(folders)
        known = {finding.key for finding in found}
        return found + [finding for finding in checker.tree(folders, found) if finding.key not in known]
    except PermissionError as error:
        text = f"this user may not read {error.filename}; use sudo or `podman unshare`"
        return [checker.finding(Kind.UNCHECKED, Severity.NOTE, text)]
    except OSError as error:
        text = f"{error.filename or folders[0]} cannot be read: {error.strerror}"
        return [checker.finding(Kind.CONTENT, Severity.DAMAGE, text)]


@dataclass(slots=True)
class _Checker:
    backend: Backend
    layer: Layer
    told: Told
    should_stop: ShouldStop | None

    def finding(self, kind: Kind, severity: Severity, text: str, path: str = "") -> Finding:
        text = f"layer {short(self.layer.id)}: {text}"
        return Finding(kind, self.layer.id, severity, text, path)

    def content(self, folders: list[Path]) -> list[Finding]:
        """Read the tar to its end, or to the first file that differs from it."""
        layer = self.layer
        how = diff.Options(progress=lambda done, _: self.told(done), should_stop=self.should_stop)
        files = diff.LayerFolders(folders, may_chmod=self._may_chmod)
        try:
            with diff.from_tar_split(self.backend.tar_split(layer), files, layer, how) as reader:
                for _ in reader.chunks():
                    pass
        except DamagedLayer as error:
            if posixpath.basename(error.path).startswith(".wh."):
                what = f"its tar has a whiteout with content, {error.path!r}, which no store keeps"
                return [self.finding(Kind.UNCHECKED, Severity.NOTE, f"{what}, so the layer cannot be compared")]
            where = f"{error.path!r}: " if error.path else ""
            path = f"/{error.path.removeprefix('./').lstrip('/')}" if error.path else ""
            return [self.finding(Kind.CONTENT, Severity.DAMAGE, f"{where}{error.reason}", path)]
        except StoreCorrupt as error:
            return [self.finding(Kind.TAR_SPLIT, Severity.DAMAGE, str(error), error.file)]
        return []

    def tree(self, folders: list[Path], found: list[Finding]) -> list[Finding]:
        """Compare the headers of the tar with the files on disk, given what reading the tar `found`.

        A copy that containers/storage made for other owners has its files in several folders, and is skipped.
        """
        if len(folders) > 1:
            return []
        tar_split, folder = self.backend.tar_split(self.layer), str(folders[0])
        try:
            damaged = [finding.path for finding in found if finding.kind is Kind.CONTENT]
            faults = compare(tar_split, folder, self._rules(), damaged=damaged, should_stop=self.should_stop)
        except (StoreCorrupt, BadArchive):
            return []
        same = "" if found else ", but the same content"  # reading stops at the first damage
        return [
            *self._told(faults.content, Kind.CONTENT, Severity.DAMAGE, "with changed content"),
            *self._told(faults.added, Kind.ADDED, Severity.DAMAGE, "not in its tar"),
            *self._told(faults.attributes, Kind.ATTRIBUTES, Severity.DAMAGE, "with changed attributes"),
            *self._told(faults.times, Kind.TIMES, Severity.NOTE, f"with a changed time{same}"),
        ]

    def _told(self, faults: Faults, kind: Kind, severity: Severity, what: str) -> list[Finding]:
        if not faults.count:
            return []
        shown = ", ".join(f"{path!r}{f' ({reason})' if reason else ''}" for path, reason in faults.first[:_SHOWN])
        more = f" and {faults.count - _SHOWN:,} more" if faults.count > _SHOWN else ""
        files = "file" if faults.count == 1 else "files"
        text = f"{faults.count:,} {files} {what}: {shown}{more}"
        return [self.finding(kind, severity, text, faults.first[0][0])]

    def _rules(self) -> Rules:
        backend, layer, driver = self.backend, self.layer, self.backend.driver
        below = None
        if driver.copies_lower and layer.parent:
            with contextlib.suppress(LayerStoreError, OSError):
                below = str(driver.diff_root(layer.parent))
        is_root = os.geteuid() == 0
        return Rules(
            owners=is_root and os.stat(driver.home).st_uid == 0 and not backend.options.ignore_chown_errors,
            devices=is_root and driver.privileged,
            uidmap=layer.uidmap,
            gidmap=layer.gidmap,
            whiteouts=driver.whiteouts,
            below=below,
            added=not driver.copies_lower or not layer.parent or below is not None,
            times=not (layer.uidmap or layer.gidmap),
            may_chmod=self._may_chmod,
        )

    @property
    def _may_chmod(self) -> bool:
        return os.geteuid() != 0 and not self.layer.read_only
