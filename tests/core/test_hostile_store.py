"""Stores that somebody else made: files that are none keep nobody waiting, and links lead no writer out."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator

import pytest

from layerstore import LayerStore, LayerStoreError, StoreCorrupt
from layerstore.check.findings import Kind
from support.places import Place

LAYERS = ("layers.json", "volatile-layers.json", "top.tar-split.gz", "layers.lock")


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """Fail what waits; to open a FIFO does, without end."""

    def late(*_: object) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(5)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def use(place: Place) -> list[str]:
    """Look at all that there is, and return the files that errors name."""
    store = place.open(read_only=True)
    named = []
    for look in (
        store.layers,
        store.references,
        store.problems,
        store.stamp,
        lambda: store.diff("top").close(),
        lambda: store.changes("top"),
        lambda: store.files("top").list(),
        lambda: [finding.path for finding in store.check(deep=True)],
    ):
        try:
            look()
        except StoreCorrupt as error:
            named.append(error.file)
        except (LayerStoreError, OSError) as error:
            named.append(str(error))
    return named


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("name", [*LAYERS, "images.json", "containers.json", "mountpoints.json", "link", "lower"])
def test_a_fifo_in_a_files_place_keeps_nobody_waiting(place: Place, name: str) -> None:
    if name in LAYERS:
        path = place.layers / name
    elif name == "mountpoints.json":
        path = place.run / f"{place.driver}-layers" / name
    elif name in {"images.json", "containers.json"}:
        place.users(name.removesuffix(".json"))
        path = place.graph / f"{place.driver}-{name.removesuffix('.json')}" / name
    elif place.driver == "overlay":
        path = place.home / "top" / name
    else:
        return
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    try:
        named = use(place)
    except StoreCorrupt as error:
        named = [error.file]
    except OSError as error:
        named = [str(error.filename or error)]
    if name.endswith(".json"):
        assert str(path) in named


def test_a_device_in_a_files_place_is_not_read(place: Place) -> None:
    (place.layers / "volatile-layers.json").symlink_to("/dev/null")
    with pytest.raises(StoreCorrupt, match="regular file") as caught:
        place.open()
    assert caught.value.file == str(place.layers / "volatile-layers.json")


def test_a_fifo_in_a_tar_splits_place_is_a_finding(place: Place) -> None:
    path = place.layers / "leaf.tar-split.gz"
    path.unlink()
    os.mkfifo(path)
    assert [(finding.kind, finding.path) for finding in place.check()] == [(Kind.TAR_SPLIT, str(path))]


def test_a_link_in_a_names_place_leads_no_writer_out(overlay: Place) -> None:
    outside = overlay.folder / "outside"
    file = overlay.home / "top/link"
    name = file.read_text()
    file.unlink()
    file.symlink_to(outside)
    overlay.open().create(id="new", parent="top")
    assert not outside.exists()
    assert (file.is_symlink(), file.read_text()) == (False, name)


def test_a_link_in_the_place_of_the_folder_of_names_leads_no_writer_out(overlay: Place) -> None:
    outside = overlay.folder / "outside"
    shutil.move(overlay.home / "l", outside)
    before = sorted(os.listdir(outside))
    (overlay.home / "l").symlink_to(outside)
    with pytest.raises(StoreCorrupt, match="symbolic link"):
        overlay.open().create(id="new", parent="top")
    assert sorted(os.listdir(outside)) == before
    assert not (overlay.home / "new").exists()


def test_nothing_is_deleted_where_a_link_leads(place: Place) -> None:
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
