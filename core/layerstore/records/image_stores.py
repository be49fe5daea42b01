"""Additional image stores: stores of others, whose layers are seen beside a store's own and never changed.

They are what `additionalimagestores` and `imagestore` of storage.conf name (containers/storage, store.go): often on a
network share, or on a file system that cannot be written. Whoever looks for a layer finds the store's own first, then
those of the image stores in their order; a layer of the store may be based on one of theirs. One that cannot be read
is left out and reported, for the store is of use without it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from layerstore.errors import LayerStoreError, LockTimeout
from layerstore.linux.lockfile import Held, LockFile
from layerstore.model import Layer
from layerstore.records.layout import Layout, drivers_in
from layerstore.records.readfile import FileStamp
from layerstore.records.records import Problem, RecordFiles
from layerstore.records.references import ReferenceFiles, UsersOfLayers

PROBLEM = "image-store"
"""The kind of the problem that an image store cannot be read; it is about no layer."""

State = tuple[bytes, tuple[FileStamp, FileStamp]]
"""The token and the stamp of a store's records: what differs after a write."""


@dataclass(slots=True)
class ImageStore:
    """The files of one of them. Nothing of it is ever written, no lock file either."""

    layout: Layout
    lock_timeout: float
    layers_lock: LockFile = field(init=False)
    record_files: RecordFiles = field(init=False)
    reference_files: ReferenceFiles = field(init=False)
    _good: State | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.layers_lock = LockFile(self.layout.layers_lock, timeout=self.lock_timeout, optional=True)
        self.record_files = RecordFiles(self.layout, image_store=self.path)
        self.reference_files = ReferenceFiles(self.layout, lock_timeout=self.lock_timeout)

    @property
    def path(self) -> str:
        """Its graph root."""
        return self.layout.graph_root

    def check(self, held: Held | None) -> State:
        """Return the state of its records, after reading them if they changed.

        Raises:
            LayerStoreError, OSError: they cannot be read; `explained` says it in plain words.
        """
        self._look()
        state = b"" if held is None else held.token(), self.record_files.stamp()
        if state != self._good:
            self.record_files.load(read_only=True)
            self._good = state
        return state

    def users(self) -> UsersOfLayers:
        """Return its images; raises what `check` does."""
        self._look()
        return self.reference_files.load_images()

    def stamp(self) -> object:
        """Return what differs after somebody wrote to it, took it away or put it back."""
        try:
            return self.layers_lock.peek(), self.record_files.stamp(), self.reference_files.stamp()
        except (LayerStoreError, OSError) as error:
            return str(error)

    def _look(self) -> None:
        """Refuse what is no store of this driver; a folder without any store counts as an empty one."""
        os.listdir(self.path)
        others = drivers_in(self.path)
        if others and self.layout.driver not in others:
            raise LayerStoreError(f"it has no store of the {self.layout.driver} driver, but of {', '.join(others)}")


class ImageStores:
    """All of a store's image stores, in their order. A path that comes twice counts once, the store's own never."""

    def __init__(self, layout: Layout, paths: Sequence[str], *, lock_timeout: float) -> None:
        seen = {os.path.realpath(layout.graph_root)}
        self._stores: list[ImageStore] = []
        for path in paths:
            root = os.path.abspath(path)
            if os.path.realpath(root) not in seen:
                seen.add(os.path.realpath(root))
                self._stores.append(ImageStore(Layout(root, layout.run_root, layout.driver), lock_timeout))

    def __bool__(self) -> bool:
        return bool(self._stores)

    @property
    def paths(self) -> tuple[str, ...]:
        """Their graph roots."""
        return tuple(store.path for store in self._stores)

    def store_of(self, layer: Layer) -> ImageStore | None:
        """Return the store that a layer lies in; None for a layer of the store itself."""
        return next((store for store in self._stores if store.path == layer.image_store), None)

    @contextmanager
    def reading(self, timeout: float | None = None) -> Iterator[list[Held | None]]:
        """Hold the layers locks of all of them for reading, so that nothing below a layer goes meanwhile.

        One without a lock file, or whose lock cannot be taken, as on some network shares, is read without: so does
        containers/storage where it cannot make the file.

        Raises:
            LockTimeout: somebody kept writing to one of them.
        """
        with ExitStack() as stack:
            yield [self._enter(stack, store, timeout) for store in self._stores]

    @staticmethod
    def _enter(stack: ExitStack, store: ImageStore, timeout: float | None) -> Held | None:
        try:
            return stack.enter_context(store.layers_lock.read(timeout))
        except LockTimeout:
            raise
        except (LayerStoreError, OSError):
            return None

    def detached_read(self, stack: ExitStack) -> None:
        """Hold the same locks until `stack` is closed, in whatever thread."""
        for store in self._stores:
            try:
                stack.callback(store.layers_lock.detached_read())
            except LockTimeout:
                raise
            except (LayerStoreError, OSError):
                continue

    def readable(self, helds: Sequence[Held | None]) -> list[tuple[ImageStore, State]]:
        """Return those whose records can be read, with their states."""
        found = []
        for store, held in zip(self._stores, helds, strict=True):
            try:
                found.append((store, store.check(held)))
            except (LayerStoreError, OSError):
                continue
        return found

    def problems(self, helds: Sequence[Held | None]) -> list[Problem]:
        """Return which of them cannot be read, and why."""
        found = []
        for store, held in zip(self._stores, helds, strict=True):
            try:
                store.check(held)
                store.users()
            except LockTimeout:
                raise
            except (LayerStoreError, OSError) as error:
                found.append(Problem("", PROBLEM, f"image store {store.path} cannot be read: {explained(error)}"))
        return found

    def users(self) -> UsersOfLayers:
        """Return the images of all that can be read."""
        found: UsersOfLayers = []
        for store in self._stores:
            try:
                found += store.users()
            except LockTimeout:
                raise
            except (LayerStoreError, OSError):
                continue
        return found

    def stamp(self) -> tuple[object, ...]:
        """Return what differs after somebody wrote to one of them. Takes no lock."""
        return tuple(store.stamp() for store in self._stores)


def explained(error: Exception) -> str:
    """Say in plain words why an image store cannot be read."""
    if isinstance(error, LayerStoreError) or not isinstance(error, OSError):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return "the folder is missing"
    if isinstance(error, NotADirectoryError):
        return "it is no folder"
    if isinstance(error, PermissionError):
        return "this user may not look into it"
    return error.strerror or str(error)
