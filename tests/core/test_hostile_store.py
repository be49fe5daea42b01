"""Hostile stores: FIFOs and devices instead of files do not block, and links do not redirect writes."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerstore import LayerStore, LayerStoreError, StoreCorrupt
from layerstore.check.findings import Kind
from support.places import Place

LAYERS = ("layers.json", "volatile-layers.json", "top.tar-split.gz", "layers.lock")
USERS = ("images.json", "containers.json")


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """Fail a test that blocks, as opening a FIFO does."""

    def late(*_: object) -> None:
        raise AssertionError("a call blocks")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(5)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def use(place: Place) -> list[str]:
    """Read everything in the store, and return the files and texts of all errors and findings."""
    store = place.open(read_only=True)
    named: list[str] = []
    for look in (
        store.layers,
        store.references,
        store.problems,
        store.stamp,
        lambda: store.diff("top").close(),
        lambda: store.changes("top"),
        lambda: store.files("top").list(),
        lambda: named.extend(finding.path for finding in store.check(deep=True)),
    ):
        try:
            look()
        except StoreCorrupt as error:
            named.append(error.file)
        except (LayerStoreError, OSError) as error:
            named.append(str(error))
    return named


def errors_with_fifo(place: Place, path: Path) -> list[str]:
    """Replace a file with a FIFO, read the store, and return the files and texts of all errors and findings."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    try:
        return use(place)
    except StoreCorrupt as error:
        return [error.file]
    except OSError as error:
        return [str(error.filename or error)]


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("name", [*LAYERS, *USERS, "mountpoints.json"])
def test_a_fifo_instead_of_a_file_does_not_block(place: Place, name: str) -> None:
    if name in LAYERS:
        path = place.layers / name
    elif name in USERS:
        place.users(name.removesuffix(".json"))
        path = place.graph / f"{place.driver}-{name.removesuffix('.json')}" / name
    else:
        path = place.run / f"{place.driver}-layers" / name
    named = errors_with_fifo(place, path)
    if name != "layers.lock":  # reading a lock file never blocks, and a FIFO can be locked
        assert any(str(path) in text for text in named)


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("name", ["link", "lower"])
def test_a_fifo_instead_of_a_file_of_overlay_does_not_block(overlay: Place, name: str) -> None:
    path = overlay.home / "top" / name
    assert any(str(path) in text for text in errors_with_fifo(overlay, path))


def test_a_link_to_a_device_is_not_read(place: Place) -> None:
    (place.layers / "volatile-layers.json").symlink_to("/dev/null")
    with pytest.raises(StoreCorrupt, match="regular file") as caught:
        place.open()
    assert caught.value.file == str(place.layers / "volatile-layers.json")


def test_a_fifo_instead_of_a_tar_split_is_a_finding(place: Place) -> None:
    path = place.layers / "leaf.tar-split.gz"
    path.unlink()
    os.mkfifo(path)
    assert [(finding.kind, finding.path) for finding in place.check()] == [(Kind.TAR_SPLIT, str(path))]


def test_a_symlink_instead_of_a_link_file_redirects_no_write(overlay: Place) -> None:
    outside = overlay.folder / "outside"
    file = overlay.home / "top/link"
    name = file.read_text()
    file.unlink()
    file.symlink_to(outside)
    overlay.open().create(id="new", parent="top")
    assert not outside.exists()
    assert (file.is_symlink(), file.read_text()) == (False, name)


def test_a_symlink_instead_of_the_links_folder_redirects_no_write(overlay: Place) -> None:
    outside = overlay.folder / "outside"
    shutil.move(overlay.home / "l", outside)
    before = sorted(os.listdir(outside))
    (overlay.home / "l").symlink_to(outside)
    with pytest.raises(StoreCorrupt, match="symbolic link"):
        overlay.open().create(id="new", parent="top")
    assert sorted(os.listdir(outside)) == before
    assert not (overlay.home / "new").exists()


def test_nothing_is_deleted_through_a_symlink(place: Place) -> None:
    outside = place.folder / "outside"
    (outside / "temp-dir-1").mkdir(parents=True)
    (outside / "temp-dir-1/file").write_bytes(b"keep")
    folders = (place.graph / place.driver / "tempdirs", place.layers / "tmp")
    for folder in folders:
        if folder.exists():
            folder.rmdir()
        folder.symlink_to(outside)
    store = LayerStore.open(place.graph, place.run, driver=place.driver)
    store.load()
    store.set_metadata("base", "still works")
    with pytest.raises(NotADirectoryError, match="tempdirs"):
        store.delete("leaf")
    assert (outside / "temp-dir-1/file").read_bytes() == b"keep"
    assert sorted(os.listdir(outside)) == ["temp-dir-1"]
