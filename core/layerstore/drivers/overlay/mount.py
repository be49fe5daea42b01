"""Overlay mounts by the kernel: several folders shown as one.

The lower folders are a list, the topmost first, of up to 500 entries (the kernel's limit). Changes go to the upper
folder. Without one, the mount is read-only. The options are those of containers/storage's drivers/overlay.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from layerstore.drivers.overlay import syscalls
from layerstore.errors import NotSupported, StoreAccess
from layerstore.linux.mounttable import kernel_mounts

_PARAMETERS = "/sys/module/overlay/parameters"
_SELINUX = "/sys/fs/selinux/enforce"
_OWN_FILES = "/proc/self/fd"
_FEATURES = ("index", "metacopy", "redirect_dir")
"""Features that some kernels enable by default. A store must not use them: they make a layer depend on others."""

_PLAIN = re.compile(r"[^\\:,\"]+")
"""Paths that need no escape in mount options. The rules for escaping differ between kernels."""


@dataclass(frozen=True, slots=True)
class OverlayMount:
    """What to mount. Folders are relative to `home`, or absolute. `upper` and `work` are both set or both "".

    `options` are those of mount(8), such as "nodev" or "metacopy=on". Of `index`, `metacopy` and `redirect_dir`, those
    not mentioned are off. `label` is an SELinux context for all files; it is ignored on systems without SELinux.
    """

    home: Path
    lowers: tuple[str, ...]
    upper: str = ""
    work: str = ""
    options: tuple[str, ...] = ()
    label: str = ""
    userxattr: bool = False

    def for_reading(self) -> OverlayMount:
        """Return the same overlay, to be mounted read-only."""
        return replace(self, lowers=(self.upper, *self.lowers), upper="", work="") if self.upper else self

    def attach(self, target: Path) -> None:
        """Mount it on the folder `target`, below `home`.

        `home` is first bind-mounted on itself, as containers/storage does before its first mount. If containers/storage
        did so later, it would hide this mount. The bind mount stays until a containers/storage process exits.

        Raises:
            StoreAccess: This user may not mount.
            NotSupported: The kernel or the file system cannot mount it; the text says which.
            OSError: The kernel refused for another reason.
        """
        with _explained(self.home, target):
            if not is_mounted(self.home):
                syscalls.bind(str(self.home))
            try:
                with self._created() as mount:
                    syscalls.move_mount(mount, str(target))
            except _TooOld:
                self._attach_by_options(target)

    @contextlib.contextmanager
    def aside(self) -> Iterator[Path]:
        """Mount it where no other process sees it until the block ends, and yield a path that is valid in this process.

        The mount ends with the process at the latest. Raises the errors of `attach`.
        """
        with contextlib.ExitStack() as stack:
            with _explained(self.home, self.home):
                try:
                    mount = stack.enter_context(self._created())
                except _TooOld:
                    mount = stack.enter_context(self._created_by_options())
            yield Path(f"{_OWN_FILES}/{mount}")

    def settings(self) -> list[tuple[str, str | None]]:
        """Return the options of the file system, without the folders."""
        given = [option.partition("=") for option in self.options if option not in syscalls.ATTRIBUTES]
        found: list[tuple[str, str | None]] = [(key, value if equals else None) for key, equals, value in given]
        known = {key for key, _ in found}
        # With userxattr, the kernel rejects these options, and uses neither redirects nor metacopies anyway.
        features = _FEATURES[:1] if self.userxattr else _FEATURES
        found += [(key, "off") for key in features if key not in known and os.path.exists(f"{_PARAMETERS}/{key}")]
        if self.userxattr:
            found.append(("userxattr", None))
        if self.label and has_selinux():
            found.append(("context", self.label))
        return found

    def attributes(self) -> set[str]:
        """Return the options of the mount."""
        found = {option for option in self.options if option in syscalls.ATTRIBUTES}
        return found if self.upper else found | {"ro"}

    @contextlib.contextmanager
    def _created(self) -> Iterator[int]:
        """Create the mount with fsopen(2) and yield its descriptor. Unless it is moved, it ends with the block.

        Raises:
            _TooOld: The kernel or a seccomp filter lacks fsopen(2), or the kernel lacks `lowerdir+` (Linux 6.5).
        """
        try:
            context = syscalls.open_context("overlay")
        except OSError as error:
            if error.errno in syscalls.CANNOT:
                raise _TooOld from error
            raise
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, context)
            try:
                self._configure(context, _Spelling(self.home, stack))
                attributes = [syscalls.ATTRIBUTES[name] for name in self.attributes()]
                mount = syscalls.create_mount(context, sum(attributes))
            except OSError as error:
                error.strerror = "; ".join([error.strerror or "", *syscalls.messages(context)])
                raise
            stack.callback(os.close, mount)
            yield mount

    def _configure(self, context: int, spelling: _Spelling) -> None:
        syscalls.set_option(context, "source", "overlay")
        for lower in self.lowers:
            try:
                syscalls.set_option(context, "lowerdir+", spelling.of(lower))
            except OSError as error:
                if error.errno == errno.EINVAL:
                    raise _TooOld from error
                raise
        if self.upper:
            syscalls.set_option(context, "upperdir", spelling.of(self.upper))
            syscalls.set_option(context, "workdir", spelling.of(self.work))
        for key, value in self.settings():
            syscalls.set_option(context, key, value)
        if "ro" in self.attributes():
            syscalls.set_option(context, "ro")

    def _attach_by_options(self, target: Path) -> None:
        """Mount with mount(2), by absolute paths if these fit into a page, or else by descriptors, which are short."""
        size = os.sysconf("SC_PAGE_SIZE")
        whole = {path: os.path.join(self.home, path) for path in self._paths()}
        text = self._option_text(whole)
        if len(os.fsencode(text)) < size and all(map(_PLAIN.fullmatch, whole.values())):
            syscalls.mount(str(target), text, self.attributes())
            return
        with contextlib.ExitStack() as stack:
            numbers = {path: str(_pin(self.home / path, stack)) for path in self._paths()}
            folder = os.open(_OWN_FILES, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, folder)
            text = self._option_text(numbers)
            if len(os.fsencode(text)) >= size:
                raise NotSupported(
                    f"{target}: the mount options are longer than the {size} bytes that this kernel allows"
                )
            syscalls.mount(str(target), text, self.attributes(), folder=folder)

    @contextlib.contextmanager
    def _created_by_options(self) -> Iterator[int]:
        """Mount with mount(2) on a temporary folder, and unmount it there while a descriptor keeps the mount alive."""
        with tempfile.TemporaryDirectory(prefix="layerstore-") as target:
            self._attach_by_options(Path(target))
            try:
                mount = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            finally:
                syscalls.unmount(target, lazily=True)
        try:
            yield mount
        finally:
            os.close(mount)

    def _paths(self) -> list[str]:
        return [*self.lowers, *([self.upper, self.work] if self.upper else [])]

    def _option_text(self, spelled: dict[str, str]) -> str:
        parts = [f"lowerdir={':'.join(spelled[lower] for lower in self.lowers)}"]
        if self.upper:
            parts += [f"upperdir={spelled[self.upper]}", f"workdir={spelled[self.work]}"]
        for key, value in self.settings():
            # A label can contain commas, so it is quoted.
            quoted = f'"{value}"' if key == "context" else value
            parts.append(key if value is None else f"{key}={quoted}")
        return ",".join(parts)


class _TooOld(Exception):
    """The kernel lacks the new mount API."""


class _Spelling:
    """Spells folders for the kernel: as absolute paths, or by a descriptor if the path is too long or needs escapes."""

    def __init__(self, home: Path, stack: contextlib.ExitStack) -> None:
        self._home = home
        self._stack = stack

    def of(self, path: str) -> str:
        whole = os.path.join(self._home, path)
        if _PLAIN.fullmatch(whole) and len(os.fsencode(whole)) <= syscalls.STRING_MAX:
            return whole
        return f"{_OWN_FILES}/{_pin(self._home / path, self._stack)}"


def unmount(target: Path, *, lazily: bool = False) -> bool:
    """Unmount the folder `target`, and return whether it was mounted. For `lazily` see `syscalls.unmount`.

    Raises:
        OSError: It cannot be unmounted. EBUSY means that a process has open files or its working folder in it.
    """
    try:
        syscalls.unmount(str(target), lazily=lazily)
    except OSError as error:
        if error.errno in {errno.EINVAL, errno.ENOENT} or not is_mounted(target):
            return False
        error.filename = str(target)
        raise
    return True


def has_selinux() -> bool:
    """Return whether SELinux is enabled. Otherwise the kernel refuses labels."""
    return os.path.exists(_SELINUX)


def is_mounted(path: str | os.PathLike[str]) -> bool:
    """Return whether the path is a mount point in the mount namespace of this process."""
    try:
        where = os.path.realpath(path, strict=True)
    except OSError as error:
        if error.errno not in {errno.ENOTCONN, errno.EACCES}:
            return False
        # The program that serves the mount has exited, or it is another user's: stat fails on the folder itself.
        where = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    return any(point == where for point, _ in _mounts())


def file_system_of(path: str | os.PathLike[str]) -> str:
    """Return the name of the file system that holds a path, such as "ext4", or "" if it is unknown."""
    where = os.path.realpath(path)
    found, longest = "", -1
    for point, kind in _mounts():
        inside = where == point or where.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= longest:  # of several mounts on one folder, the last hides the others
            found, longest = kind, len(point)
    return found


def _mounts() -> Iterator[tuple[str, str]]:
    """Yield the mount points and file systems of this process's mounts, in the order of the mount table."""
    for mount in kernel_mounts():
        yield mount.point, mount.kind


def _pin(path: Path, stack: contextlib.ExitStack) -> int:
    descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    stack.callback(os.close, descriptor)
    return descriptor


@contextlib.contextmanager
def _explained(home: Path, target: Path) -> Iterator[None]:
    """Turn errors of the kernel into errors that say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.EPERM, errno.EACCES}:
            hint = "use sudo, or run it inside `podman unshare`"
            raise StoreAccess(target, "this user may not mount here", hint) from error
        if error.errno == errno.ENODEV:
            text = "this kernel has no overlay file system: run `modprobe overlay`, or use a store of the vfs driver"
            raise NotSupported(text) from error
        if error.errno == errno.EINVAL:
            kind = file_system_of(home) or "the file system"
            text = f"the kernel cannot mount an overlay on {kind} at {home} ({error.strerror})"
            raise NotSupported(f"{text}; see the kernel log (dmesg) for the reason") from error
        if error.filename is None:
            error.filename = str(target)
        raise
