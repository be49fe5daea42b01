"""Extraction of a file or folder from a layer, without a mount, to this host or to a tar.

Extraction is atomic: files are written under a temporary name beside the target, and renamed once they are complete.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from layerstore.archive.pack import Packer
from layerstore.archive.root import Root
from layerstore.content.files import LayerFiles
from layerstore.content.union import Node
from layerstore.errors import LayerStoreError, NotSupported, TargetExists, UnusableFile
from layerstore.linux import xattrs
from layerstore.linux.atomic import exchange_folders
from layerstore.linux.copyfile import FileCopier
from layerstore.linux.folders import WRITE, FolderStack, check_stop, open_regular, remove_tree
from layerstore.model import Progress, ShouldStop

_WHAT = "extracting"
_NO_DEVICES = "only root may create a device"
_PARENT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OVERLAY = ("trusted.overlay.", "user.overlay.", "user.fuseoverlayfs.")
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was not extracted. `path` is its path in the layer."""

    path: str
    reason: str


@dataclass(slots=True)
class Extracted:
    """What was written at `target`: the numbers of folders and other files, and the bytes copied, without holes.

    `skipped` lists all files that are missing, each with the reason.
    """

    target: str
    files: int = 0
    folders: int = 0
    size: int = 0
    skipped: list[Skipped] = field(default_factory=list)


def extract(
    files: LayerFiles,
    path: str,
    target: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    owners: bool = True,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> Extracted:
    """Write a file, or a folder with its content, as `target`, which is its exact path and not a folder to put it in.

    Content with holes, modes, times, attributes, symbolic links, and hard links within the folder are kept. As root
    with `owners`, owners are kept too. Otherwise set-user-ID and set-group-ID bits are dropped if they would refer to
    another owner. Devices are created only as root. In a folder, files that cannot be read or created are skipped and
    listed; for a single file, an error is raised.

    The extraction is atomic: an error or a cancellation leaves the target unchanged. What a crash of the machine leaves
    of a new folder depends on the file system.

    Symbolic links in the path of the target's parent are followed. With `overwrite`, an existing target is replaced
    atomically: a symbolic link itself, or a folder with its content. On a file system that cannot exchange names (NFS),
    replacing a folder takes three steps.

    Raises:
        NoSuchFile, UnusableFile, StoreAccess: The layer does not have the file, or it cannot be read.
        TargetExists: The target exists. It was not changed.
        Cancelled: `should_stop` returned True.
        OSError: The target cannot be written. The error names it.
    """
    with files.trouble(path):
        node = files.union.resolve(path, follow=False)
    with _aside(target, overwrite=overwrite) as (parent, temporary), files.kept() as kept:
        run = _Extraction(kept, Extracted(os.fspath(target)), owners, progress, should_stop)
        if node.is_folder:
            run.tree(node, parent, temporary)
        else:
            run.single(node, parent, temporary)
    return run.done


def pack(
    files: LayerFiles, path: str, *, progress: Progress | None = None, should_stop: ShouldStop | None = None
) -> Generator[bytes]:
    """Yield a tar of a file, or of a folder with its content, in pieces of up to 1 MiB.

    Names start with the last part of `path`, or for the root with nothing. The format is that of `archive.pack`.
    `progress` gets the bytes yielded so far.

    Raises:
        NoSuchFile, UnusableFile, StoreAccess, NotSupported: A file cannot be read, or does not fit into a tar.
        Cancelled: `should_stop` returned True.
    """
    done = 0
    with files.trouble(path):
        top = files.union.resolve(path, follow=False)
    packer = Packer(should_stop, files.maps)
    with files.kept() as kept:
        for piece in _packed(kept, top, packer):
            done += len(piece)
            if progress is not None:
                progress(done, None)
            yield piece
    yield packer.end()


def extract_tar(
    files: LayerFiles,
    path: str,
    target: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> int:
    """Write what `pack` yields to a file atomically, and return its size. Raises the errors of `extract` and `pack`."""
    size = 0
    with _aside(target, overwrite=overwrite) as (parent, temporary):
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=parent)
        with open(descriptor, "wb") as file:
            for piece in pack(files, path, progress=progress, should_stop=should_stop):
                size += file.write(piece)
            file.flush()
            os.fsync(file.fileno())
    return size


class _Source(NamedTuple):
    """What a file is copied from: its folder and name, and the descriptors of a regular file."""

    folder: int
    name: str
    content: int = -1
    metadata: int = -1


class _Extraction:
    """The state of one `extract`."""

    def __init__(
        self,
        files: LayerFiles,
        done: Extracted,
        owners: bool,
        progress: Progress | None,
        should_stop: ShouldStop | None,
    ) -> None:
        self.done = done
        self._files = files
        self._progress = progress
        self._should_stop = should_stop
        self._copier = FileCopier(
            should_stop,
            _WHAT,
            owners=owners and os.geteuid() == 0,
            safe_modes=True,
            keeps=_keeps,
            copied=self._copied,
        )
        self._first_names: dict[tuple[int, int], bytes] = {}
        """Maps device and inode of a file with hard links to the first of its names that was written."""

    def single(self, node: Node, folder: int, name: str) -> None:
        """Write a file that is not a folder."""
        with ExitStack() as stack:
            if _is_device(node) and os.geteuid() != 0:
                raise UnusableFile(self._files.layer, node.path, _NO_DEVICES, "use sudo")
            with self._files.trouble(node.path):
                source = self._open(node, stack)
            self._copy(source, node, folder, name)
        if source.content >= 0:
            with suppress(PermissionError), ExitStack() as stack:  # its mode may not let its owner read it
                written = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
                stack.callback(os.close, written)
                os.fsync(written)
        self.done.files = 1

    def tree(self, top: Node, parent: int, name: str) -> None:
        """Write a folder."""
        os.mkdir(name, stat.S_IRWXU, dir_fd=parent)
        with (
            FolderStack(name, needed=WRITE, parent=parent) as target,
            Root(f"/proc/self/fd/{target.fd}") as links,
        ):
            levels = [(top, iter(self._files_of(top)))]
            skip = len(top.path.rstrip("/")) + 1
            while levels:
                check_stop(self._should_stop, _WHAT)
                folder, rest = levels[-1]
                node = next(rest, None)
                if node is None:
                    self._finish_folder(folder, target.fd)
                    levels.pop()
                    if levels:
                        target.pop()
                elif not node.is_folder:
                    self._file(folder, node, links, target.fd, node.path[skip:])
                else:
                    listed = self._enter(folder, node)
                    if listed is not None:
                        os.mkdir(node.name, stat.S_IRWXU, dir_fd=target.fd)
                        target.push(node.name)
                        levels.append(listed)

    def _files_of(self, folder: Node) -> list[Node]:
        """Return the content of a folder, files before folders."""
        with self._files.trouble(folder.path):
            found = self._files.union.children(folder)
        return sorted(found, key=lambda node: node.is_folder)

    def _enter(self, folder: Node, node: Node) -> tuple[Node, Iterator[Node]] | None:
        """Return a folder and its content. If it cannot be read, list it as skipped and return None."""
        try:
            with self._files.trouble(node.path):
                node = self._files.union.whole(folder, node)
            return node, iter(self._files_of(node))
        except LayerStoreError as error:
            self._skip(node, error)
            return None

    def _file(self, folder: Node, node: Node, links: Root, target: int, name: str) -> None:
        """Write one file of a tree, or list it as skipped."""
        base = os.path.basename(name)
        identity = (node.status.st_dev, node.status.st_ino)
        first = self._first_names.get(identity) if node.status.st_nlink > 1 else None
        if first is not None:
            at, old = links.parent(first)
            os.link(old, base, src_dir_fd=at, dst_dir_fd=target, follow_symlinks=False)
            self.done.files += 1
            return
        if _is_device(node) and os.geteuid() != 0:
            self.done.skipped.append(Skipped(node.path, _NO_DEVICES))
            return
        with ExitStack() as stack:
            try:
                with self._files.trouble(node.path):
                    node = self._files.union.whole(folder, node)
                    source = self._open(node, stack)
            except LayerStoreError as error:
                self._skip(node, error)
                return
            self._copy(source, node, target, base)
        self.done.files += 1
        if node.status.st_nlink > 1:
            self._first_names[identity] = os.fsencode(name)

    def _open(self, node: Node, stack: ExitStack) -> _Source:
        """Open the source of a file until `stack` is closed."""
        folder, name = stack.enter_context(self._files.union.holder(node.places[0]))
        if not stat.S_ISREG(node.status.st_mode):
            return _Source(folder, name)
        content = self._files.union.open(node)
        stack.callback(os.close, content)
        metadata = content
        if len(node.places) > 1:
            metadata = open_regular(folder, name, may_chmod=False, found=node.status)
            stack.callback(os.close, metadata)
        return _Source(folder, name, content, metadata)

    def _copy(self, source: _Source, node: Node, folder: int, name: str) -> None:
        try:
            if source.content < 0:
                self._copier.special((source.folder, source.name), folder, name, node.status)
            else:
                self._copier.regular(source.content, folder, name, node.status, metadata=source.metadata)
        except OSError as error:
            error.filename = f"{self.done.target} (from {node.path!r})"
            raise

    def _finish_folder(self, folder: Node, target: int) -> None:
        with self._files.trouble(folder.path), self._files.union.opened(folder.places[0]) as source:
            self._copier.finish(source, target, folder.status)
        self.done.folders += 1

    def _skip(self, node: Node, error: LayerStoreError) -> None:
        if not os.path.isdir(self._files.union.folders[0]):  # the layer is missing, not a single file
            raise error
        self.done.skipped.append(Skipped(node.path, str(error)))

    def _copied(self, count: int) -> None:
        self.done.size += count
        if self._progress is not None:
            self._progress(self.done.size, None)


def _packed(files: LayerFiles, top: Node, packer: Packer) -> Generator[bytes]:
    """Yield the pieces of a tar of a file or folder, without its end."""
    skip = len(top.path.rpartition("/")[0]) + 1
    levels = [(top, iter(files.union.children(top)) if top.path == "/" else iter((top,)))]
    while levels:
        folder, rest = levels[-1]
        node = next(rest, None)
        if node is None:
            levels.pop()
            continue
        with files.trouble(node.path):
            node = node if node is top else files.union.whole(folder, node)
            if len(node.places) > 1 and not node.is_folder:
                raise NotSupported(
                    f"the content of {node.path!r} is in another layer (metacopy): extract it without a tar"
                )
            with files.union.holder(node.places[0]) as (at, name):
                yield from packer.add(at, os.fsencode(name), os.fsencode(node.path[skip:]))
            if node.is_folder:
                levels.append((node, iter(files.union.children(node))))


@contextmanager
def _aside(target: str | os.PathLike[str], *, overwrite: bool) -> Iterator[tuple[int, str]]:
    """Yield the target's parent, open, and a temporary name in it, which is renamed to the target at the end."""
    head, name = os.path.split(os.fspath(target).rstrip("/"))
    if name in {"", ".", ".."}:
        raise TargetExists(target)
    parent = os.open(head or ("/" if os.fspath(target).startswith("/") else "."), _PARENT)
    temporary = f".tmp-{os.fsdecode(os.fsencode(name)[:200])}{secrets.token_hex(6)}"
    try:
        if not overwrite and _exists(parent, name):
            raise TargetExists(target)
        try:
            yield parent, temporary
            _place(parent, temporary, name, target if not overwrite else None)
        except BaseException:
            remove_tree(parent, temporary)
            raise
    finally:
        os.close(parent)


def _place(parent: int, temporary: str, name: str, keep: str | os.PathLike[str] | None) -> None:
    """Rename what was written atomically. If the target exists, raise `TargetExists` for `keep` unless it is None."""
    new = os.stat(temporary, dir_fd=parent, follow_symlinks=False)
    is_folder = stat.S_ISDIR(new.st_mode)
    if keep is not None and not is_folder:
        try:
            os.link(temporary, name, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
            os.unlink(temporary, dir_fd=parent)
            return
        except FileExistsError as error:
            raise TargetExists(keep) from error
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
    old = _status(parent, name)
    if old is not None and keep is not None:
        raise TargetExists(keep)
    if old is not None and (is_folder or stat.S_ISDIR(old.st_mode)):
        at = Path(f"/proc/self/fd/{parent}")
        exchange_folders(at / temporary, at / name)
        remove_tree(parent, temporary)
        return
    os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)


def _status(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _exists(folder: int, name: str) -> bool:
    return _status(folder, name) is not None


def _is_device(node: Node) -> bool:
    return stat.S_ISCHR(node.status.st_mode) or stat.S_ISBLK(node.status.st_mode)


def _keeps(name: str) -> bool:
    """Return whether to copy an attribute: all but those with which overlays mark their layers."""
    return xattrs.is_copied(name) and not name.startswith(_OVERLAY)
