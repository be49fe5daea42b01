"""Partially pulled layers and composefs layers in the browser."""

from __future__ import annotations

from pathlib import Path

from layerstore import Compression, LayerStore
from layertui.dialogs.error import ErrorDialog
from layertui.dialogs.export import ExportDialog, ExportRequest
from support.browser import Browser, Place, browsing
from support.mounts import unmount_below
from support.needs import need_root
from support.partial_layers import LAYER, TAR, make_composefs, make_partial
from support.tars import make_tar


async def export(browser: Browser, target: Path) -> None:
    await browser.press("e")
    assert isinstance(browser.app.screen, ExportDialog)
    browser.app.screen.dismiss(ExportRequest(LAYER, None, Compression.NONE, target, overwrite=False))
    await browser.settle()


async def test_an_unverified_export_says_so(place: Place, tmp_path: Path) -> None:
    make_partial(place.open(), digest=False)
    async with browsing(place.open, size=(140, 50)) as browser:
        assert "partially, file by file" in browser.text("FieldList")
        target = tmp_path / "out.tar"
        await export(browser, target)
        await browser.until(target.exists)
        assert target.read_bytes() == TAR
        assert "not verified against a digest" in browser.text("JobsStrip")
        assert any("Not verified" in notice.message for notice in browser.app._notifications)


async def test_a_composefs_layer_is_explained_and_others_still_work(tmp_path: Path) -> None:
    need_root()

    def open_store() -> LayerStore:
        return LayerStore.open(tmp_path / "graph", tmp_path / "run", driver="overlay")

    store = open_store()
    store.put(make_tar({"hello": b"world"}), names=["other"])
    make_composefs(store)
    try:
        async with browsing(open_store, size=(140, 50)) as browser:
            browser.tree.go_to_key(LAYER)
            await browser.settle()
            assert "Composefs" in browser.text("FieldList")
            await browser.press("2")
            assert "podman save" in str(browser.screen.query_one("#changes-note").render())
            target = tmp_path / "out.tar"
            await export(browser, target)
            assert isinstance(browser.app.screen, ErrorDialog)
            assert not target.exists()
            await browser.press("escape")
            browser.tree.go_to_key(store.lookup("other"))
            await browser.settle()
            assert "hello" in browser.text("#changes-tree")
    finally:
        unmount_below(tmp_path)
