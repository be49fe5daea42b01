"""Mounting overlays by fuse-overlayfs, where the kernel does not do it for this user or the store is made for it.

containers/storage uses it when storage.conf names a `mount_program` or when the kernel refuses, and then notes in
`overlay/.has-mount-program` that the layers are for it: what they hide may be marked by files called `.wh.NAME` and
`.wh..wh..opq` and by attributes that the kernel does not know (fuse-overlayfs: whiteout.rs, xattr.rs; drivers/overlay:
scanForMountProgramIndicators).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from layerstore.drivers.overlay import mount as overlay_mount
from layerstore.drivers.overlay import syscalls
from layerstore.drivers.overlay.mount import OverlayMount
from layerstore.drivers.overlay.whiteouts import Marks
from layerstore.errors import NotSupported, StoreAccess
from layerstore.linux import xattrs
from layerstore.linux.atomic import write_file

T = TypeVar("T")

PROGRAM = "fuse-overlayfs"
OVERRIDE = "user.containers.override_stat"
"""Has owner, mode and kind of a file that lies on disk as the user's own (containers/storage's `force_mask`)."""

_FLAG = ".has-mount-program"
_DEVICE = "/dev/fuse"
_UNMOUNTERS = ("fusermount3", "fusermount")
_PLAIN = re.compile(r"[^\\:,]+")
_TIMEOUT = 60.0
_SHOWN = 500


def is_flagged(home: Path) -> bool:
    """Tell whether the layers below `home` are for a mount program, as containers/storage has noted."""
    try:
        return (home / _FLAG).read_bytes().strip() == b"true"
    except FileNotFoundError:
        return False


def flag(home: Path) -> None:
    """Note that the layers below `home` are for a mount program from now on."""
    if not is_flagged(home):
        write_file(str(home / _FLAG), b"true")


def refuse_forced(diff: Path) -> None:
    """Refuse a layer whose files have their true owners and modes in attributes: on disk all are the user's own.

    Its root has them there, too. What was unpacked from a tar can be exported still.

    Raises:
        NotSupported: this is one.
    """
    if OVERRIDE in xattrs.names(str(diff)):
        text = f"{diff}: owners and modes are kept in attributes ({OVERRIDE}, storage.conf's force_mask)"
        raise NotSupported(f"{text}, which only Podman can read: use `podman mount`, `podman diff` or `podman save`")


def why_not(program: str = "") -> str:
    """Return why the mount program (by default fuse-overlayfs of PATH) cannot be used here, "" if it can."""
    if shutil.which(program or PROGRAM) is None:
        return f"{program or PROGRAM} is not installed"
    if not os.path.exists(_DEVICE):
        return f"there is no {_DEVICE} (modprobe fuse; in a container: --device {_DEVICE})"
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        return f"this user may not open {_DEVICE} (its mode is usually 0666)"
    if os.geteuid() != 0 and not any(map(shutil.which, _UNMOUNTERS)):
        return "the program fusermount3 is not installed, without which only root can mount"
    return ""


def find_program(home: Path, named: str = "") -> str:
    """Return the path of the mount program for the layers below `home`; `named` is what storage.conf says.

    Raises:
        NotSupported: it cannot be used here; the text says why.
    """
    reason = why_not(named)
    if reason:
        source = "storage.conf (mount_program)" if named else f"{home / _FLAG}"
        text = f"the layers at {home} are mounted by {named or PROGRAM}, as {source} says, and {reason}"
        raise NotSupported(f"{text}: their records, names and files can be looked at without")
    return shutil.which(named or PROGRAM) or ""


@dataclass(frozen=True, slots=True)
class FuseMount:
    """What `overlay` says, to be mounted by a program."""

    overlay: OverlayMount
    program: str

    def attach(self, target: Path) -> None:
        """Mount it on a folder, which lasts until it is unmounted: the program stays behind to serve it.

        Raises:
            NotSupported: the program refuses; what it says is in the text.
        """
        if os.geteuid() == 0 and not overlay_mount.is_mounted(self.overlay.home):
            with contextlib.suppress(PermissionError):
                syscalls.bind(str(self.overlay.home))
        if os.geteuid() != 0 and self.overlay.work:
            with contextlib.suppress(OSError):  # the kernel has made it for nobody to look into; the program must
                os.chmod(self.overlay.home / self.overlay.work / "work", 0o700)
        self._run(target)

    @contextlib.contextmanager
    def aside(self) -> Iterator[Path]:
        """Mount it; yield a path that is good in this process until the block ends, and then the mount ends, too.

        For a moment it is on a new folder that only this user can look into. Raises what `attach` does.
        """
        with tempfile.TemporaryDirectory(prefix="layerstore-") as target:
            self._run(Path(target))
            try:
                mount = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            finally:
                unmount(Path(target), lazily=True)
        try:
            yield Path(f"/proc/self/fd/{mount}")
        finally:
            os.close(mount)

    def _run(self, target: Path) -> None:
        """Call the program, which returns once the mount is there."""
        command = [self.program, "-o", self._options(), str(target)]
        try:
            done = subprocess.run(  # noqa: S603 - the user's own configuration or PATH names it
                command,
                cwd=self.overlay.home,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=_TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotSupported(f"{self.program} does not run: {error}") from error
        said = " ".join(os.fsdecode(done.stderr).split())[:_SHOWN] or "it says nothing"
        if done.returncode:
            raise NotSupported(f"{self.program} does not mount {target}: {said} (exit status {done.returncode})")
        if not overlay_mount.is_mounted(target):
            raise NotSupported(f"{self.program} has ended, and {target} is not mounted: {said}")

    def _options(self) -> str:
        """Return the options. Folders count from `home`, where the program starts."""
        overlay = self.overlay
        for path in (*overlay.lowers, overlay.upper, overlay.work):
            # The program makes whole paths of them and takes these apart again, whatever is escaped.
            whole = os.path.realpath(overlay.home / path)
            if not _PLAIN.fullmatch(whole):
                text = f"{whole}: {os.path.basename(self.program)} takes no folder with a comma, colon or backslash"
                raise NotSupported(f"{text} in its path: move the store, or use the vfs driver")
        parts = [f"lowerdir={':'.join(overlay.lowers)}"]
        if overlay.upper:
            parts += [f"upperdir={overlay.upper}", f"workdir={overlay.work}"]
        parts += [*overlay.options, *(["ro"] if not overlay.upper and "ro" not in overlay.options else [])]
        if overlay.label and overlay_mount.has_selinux():
            parts.append(f'context="{overlay.label}"')
        return ",".join(parts)


@dataclass(frozen=True, slots=True)
class Mounter:
    """Mounts by the kernel, or by a program where the layers are for one or the kernel refuses an ordinary user.

    What the program writes may bear marks that the kernel does not know. So a store that was the kernel's is noted to
    be the program's when it is mounted to be written, as the peer does; outside of a user namespace, where Podman would
    not mount so, it is mounted for reading only.

    `home` is the driver's folder, `marks` are the store's, `named` is the program that storage.conf names.
    """

    home: Path
    named: str
    marks: Marks

    def attach(self, overlay: OverlayMount, target: Path) -> None:
        """Mount on the folder `target`; raises what `OverlayMount.attach` and `FuseMount.attach` do."""

        def attach(mount: OverlayMount | FuseMount) -> None:
            if isinstance(mount, FuseMount) and mount.overlay.upper:
                flag(self.home)
            mount.attach(target)

        self._mount(overlay, attach)

    @contextlib.contextmanager
    def aside(self, overlay: OverlayMount) -> Iterator[Path]:
        """Mount where nobody else sees it; yield a path that is good in this process until the block ends."""
        with contextlib.ExitStack() as stack:
            yield self._mount(overlay, lambda mount: stack.enter_context(mount.aside()))

    def _mount(self, overlay: OverlayMount, how: Callable[[OverlayMount | FuseMount], T]) -> T:
        if not self.marks.fuse:
            try:
                return how(overlay)
            except (StoreAccess, NotSupported):
                if self.marks.namespace == "trusted" or why_not():
                    raise
            overlay = overlay if os.geteuid() == 0 else overlay.for_reading()
        program = find_program(self.home, self.named)
        return how(FuseMount(overlay, program))


def unmount(target: Path, *, lazily: bool = False) -> bool:
    """End the mount on a folder, the kernel's or a program's; tell whether there was one.

    Raises:
        OSError: EBUSY, something in it is open or is somebody's working folder; or it cannot be ended.
    """
    try:
        return overlay_mount.unmount(target, lazily=lazily)
    except PermissionError as error:
        # An ordinary user's mounts end as they began, by the set-user-ID program.
        program = next(filter(None, map(shutil.which, _UNMOUNTERS)), None)
        if error.errno != errno.EPERM or program is None:
            raise
        command = [program, "-u", *(["-z"] if lazily else []), str(target)]
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT, check=False)  # noqa: S603 - PATH's
        if done.returncode:
            said = " ".join(os.fsdecode(done.stderr).split())[:_SHOWN]
            number = errno.EBUSY if "busy" in said else errno.EPERM
            raise OSError(number, said or "it cannot be unmounted", str(target)) from error
        return True
