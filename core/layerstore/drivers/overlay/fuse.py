"""Mounts by fuse-overlayfs, for stores that are made for it and for users whom the kernel does not let mount.

containers/storage uses fuse-overlayfs if storage.conf names it as `mount_program`, or if the kernel refuses to mount.
It then creates `overlay/.has-mount-program`, because the layers may have marks that the kernel does not know: files
called `.wh.NAME` and `.wh..wh..opq`, and other attributes (fuse-overlayfs: whiteout.rs, xattr.rs; drivers/overlay:
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
from layerstore.drivers.overlay.folders import flag, flag_file
from layerstore.drivers.overlay.mount import OverlayMount
from layerstore.drivers.overlay.whiteouts import Marks
from layerstore.errors import NotSupported, StoreAccess
from layerstore.linux import xattrs

T = TypeVar("T")

PROGRAM = "fuse-overlayfs"
OVERRIDE = "user.containers.override_stat"
"""The attribute with the owner, mode and type of a file that belongs to the user on disk (`force_mask`)."""

_DEVICE = "/dev/fuse"
_UNMOUNTERS = ("fusermount3", "fusermount")
_PLAIN = re.compile(r"[^\\:,]+")
_TIMEOUT = 60.0
_SHOWN = 500


def refuse_forced(diff: Path) -> None:
    """Refuse a layer whose files keep their true owners and modes in attributes, while the user owns them on disk.

    The root folder `diff` of such a layer has the attribute too. A layer with tar-split can still be exported.

    Raises:
        NotSupported: The layer is of this kind.
    """
    if OVERRIDE in xattrs.names(str(diff)):
        text = f"{diff}: owners and modes are in attributes ({OVERRIDE}, from force_mask in storage.conf)"
        raise NotSupported(f"{text}, which only Podman can read: use `podman mount`, `podman diff` or `podman save`")


def why_not(program: str = "") -> str:
    """Return why the mount program, by default fuse-overlayfs on PATH, cannot be used, "" if it can."""
    if shutil.which(program or PROGRAM) is None:
        return f"{program or PROGRAM} is not installed"
    if not os.path.exists(_DEVICE):
        return f"{_DEVICE} is missing (run modprobe fuse; in a container, use --device {_DEVICE})"
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        return f"this user may not open {_DEVICE} (its usual mode is 0666)"
    if os.geteuid() != 0 and not any(map(shutil.which, _UNMOUNTERS)):
        return "fusermount3 is not installed, and without it only root can mount"
    return ""


def find_program(home: Path, named: str = "") -> str:
    """Return the path of the mount program for the layers below `home`: the one `named` in storage.conf or the default.

    Raises:
        NotSupported: The program cannot be used; the text says why.
    """
    reason = why_not(named)
    if reason:
        source = "storage.conf (mount_program)" if named else str(flag_file(home))
        text = f"{source} requires {named or PROGRAM} to mount the layers in {home}, but {reason}"
        raise NotSupported(f"{text}. You can still browse the layers and their files")
    return shutil.which(named or PROGRAM) or ""


@dataclass(frozen=True, slots=True)
class FuseMount:
    """An overlay that a program mounts."""

    overlay: OverlayMount
    program: str

    def attach(self, target: Path) -> None:
        """Mount it on a folder. The program stays in the background until `unmount`.

        Raises:
            NotSupported: The program failed; the text has its output.
        """
        if os.geteuid() == 0 and not overlay_mount.is_mounted(self.overlay.home):
            with contextlib.suppress(PermissionError):
                syscalls.bind(str(self.overlay.home))
        if os.geteuid() != 0 and self.overlay.work:
            with contextlib.suppress(OSError):  # the kernel made it with mode 0000, which stops the program
                os.chmod(self.overlay.home / self.overlay.work / "work", 0o700)
        self._run(target)

    @contextlib.contextmanager
    def aside(self) -> Iterator[Path]:
        """Mount it until the block ends, and yield a path that is valid in this process.

        For a moment the mount is visible on a new folder that only this user may enter. Raises the errors of `attach`.
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
        """Run the program, which returns once the mount exists."""
        command = [self.program, "-o", self._options(), str(target)]
        try:
            done = subprocess.run(  # noqa: S603 - the program is from the user's configuration or PATH
                command,
                cwd=self.overlay.home,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=_TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotSupported(f"cannot run {self.program}: {error}") from error
        said = " ".join(os.fsdecode(done.stderr).split())[:_SHOWN] or "it printed no message"
        if done.returncode:
            raise NotSupported(f"{self.program} cannot mount {target}: {said} (exit status {done.returncode})")
        if not overlay_mount.is_mounted(target):
            raise NotSupported(f"{self.program} exited, but {target} is not mounted: {said}")

    def _options(self) -> str:
        """Return the options. Folders are relative to `home`, where the program starts."""
        overlay = self.overlay
        for path in (*overlay.lowers, overlay.upper, overlay.work):
            # The program makes the paths absolute and splits its options again, ignoring escapes.
            whole = os.path.realpath(overlay.home / path)
            if not _PLAIN.fullmatch(whole):
                program = os.path.basename(self.program)
                text = f"{whole}: {program} cannot use a path with a comma, colon or backslash"
                raise NotSupported(f"{text}: move the store, or use the vfs driver")
        parts = [f"lowerdir={':'.join(overlay.lowers)}"]
        if overlay.upper:
            parts += [f"upperdir={overlay.upper}", f"workdir={overlay.work}"]
        parts += [*overlay.options, *(["ro"] if not overlay.upper and "ro" not in overlay.options else [])]
        if overlay.label and overlay_mount.has_selinux():
            parts.append(f'context="{overlay.label}"')
        return ",".join(parts)


@dataclass(frozen=True, slots=True)
class Mounter:
    """Mounts with the kernel, or with a program if the store is made for one or the kernel refuses an ordinary user.

    The program may write marks that the kernel does not know. So a store is flagged, as in containers/storage, when the
    program first mounts one of its layers for writing. Outside a user namespace, where Podman would not use the
    program, it mounts read-only.

    `home` is the driver's folder, `marks` are those of the store, and `named` is the program in storage.conf.
    """

    home: Path
    named: str
    marks: Marks

    def attach(self, overlay: OverlayMount, target: Path) -> None:
        """Mount on the folder `target`. Raises the errors of `OverlayMount.attach` and `FuseMount.attach`."""

        def attach(mount: OverlayMount | FuseMount) -> None:
            if isinstance(mount, FuseMount) and mount.overlay.upper:
                flag(self.home)
            mount.attach(target)

        self._mount(overlay, attach)

    @contextlib.contextmanager
    def aside(self, overlay: OverlayMount) -> Iterator[Path]:
        """Mount where no other process sees it until the block ends, and yield a path that is valid in this process."""
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
    """Unmount a folder that the kernel or a program mounted, and return whether it was mounted.

    Raises:
        OSError: It cannot be unmounted. EBUSY means that a process has open files or its working folder in it.
    """
    try:
        return overlay_mount.unmount(target, lazily=lazily)
    except PermissionError as error:
        # An ordinary user needs the set-user-ID program to unmount, as to mount.
        program = next(filter(None, map(shutil.which, _UNMOUNTERS)), None)
        if error.errno != errno.EPERM or program is None:
            raise
        command = [program, "-u", *(["-z"] if lazily else []), str(target)]
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT, check=False)  # noqa: S603 - from PATH
        if done.returncode:
            said = " ".join(os.fsdecode(done.stderr).split())[:_SHOWN]
            number = errno.EBUSY if "busy" in said else errno.EPERM
            raise OSError(number, said or "cannot unmount it", str(target)) from error
        return True
