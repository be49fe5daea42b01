"""Tests of applying a tar to a layer: the dialog, and the result in a real store."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest
from textual.widgets import Input

from layerstore.model import Layer
from layerstore.store import LayerStore
from layertui.dialogs.apply import Affected, ApplyDialog
from layertui.dialogs.confirm import ConfirmDialog
from layertui.dialogs.error import ErrorDialog
from layertui.jobs.runner import JobState
from layertui.jobs.strip import JobsStrip
from support.browser import Browser, Place, browsing
from support.dialog_host import HOSTILE, assert_harmless, screen_text, shown
from support.mounts import unmount_below
from support.needs import need_root
from support.tars import large_tar, make_tar

TAR = make_tar({"new": None, "new/file": b"n" * 3000})
DIGEST = "sha256:" + hashlib.sha256(TAR).hexdigest()


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    path = tmp_path / "new.tar.gz"
    path.write_bytes(gzip.compress(TAR))
    return path


async def _ask(browser: Browser, layer: str, path: Path) -> None:
    browser.tree.go_to_key(layer)
    await browser.settle()
    await browser.press("a")
    assert isinstance(browser.app.screen, ApplyDialog)
    browser.app.screen.query_one("#path", Input).value = str(path)
    await browser.pilot.pause(0.3)
    await browser.press("ctrl+s")
    await browser.settle()


async def test_an_unused_layer_gets_the_new_diff(place: Place, store: LayerStore, tar: Path) -> None:
    lone = store.get("lone").id
    async with browsing(place.open) as browser:
        await _ask(browser, lone, tar)
        await browser.until(lambda: store.get(lone).diff_digest == DIGEST)
        await browser.settle()
        assert DIGEST[:60] in browser.text("JobsStrip")
        assert browser.screen.browser.row is not None
        assert browser.screen.browser.row.layer.diff_digest == DIGEST, "the list knows of it"
    with store.diff(lone) as diff:
        assert gzip.decompress(diff.read()) == TAR


async def test_users_of_the_layer_are_named_and_need_a_confirmation(place: Place, store: LayerStore, tar: Path) -> None:
    base = store.get("base")
    async with browsing(place.open) as browser:
        await _ask(browser, base.id, tar)
        assert isinstance(browser.app.screen, ConfirmDialog)
        text = " ".join(screen_text(browser.app).split())
        assert "docker.io/library/web:1" in text
        assert "web-1" in text
        assert base.diff_digest[:30] in text
        assert "1 layer based on it" in text
        await browser.press("n")
        assert isinstance(browser.app.screen, ApplyDialog)
        assert store.get(base.id) == base
        await browser.press("ctrl+s", "y")
        await browser.until(lambda: store.get(base.id).diff_digest == DIGEST)


async def test_a_broken_tar_leaves_the_layer_unchanged_and_says_so(
    place: Place, store: LayerStore, tmp_path: Path
) -> None:
    (tmp_path / "bad.tar").write_bytes(TAR[:2000])
    tool = store.get("tool")
    async with browsing(place.open) as browser:
        await _ask(browser, tool.id, tmp_path / "bad.tar")
        await browser.until(lambda: isinstance(browser.app.screen, ErrorDialog))
        assert "The layer is as it was before." in screen_text(browser.app)
    assert store.get("tool") == tool
    with store.diff(tool.id) as diff:
        diff.read()
        assert diff.verified


async def test_applying_a_tar_is_cancelled(place: Place, store: LayerStore, tmp_path: Path) -> None:
    large_tar(tmp_path / "large.tar", 4 << 30)
    lone = store.get("lone")
    async with browsing(place.open) as browser:
        browser.tree.go_to_key(lone.id)
        await browser.settle()
        await browser.press("a")
        browser.app.screen.query_one("#path", Input).value = str(tmp_path / "large.tar")
        await browser.pilot.press("ctrl+s")
        strip = browser.screen.query_one(JobsStrip)
        await browser.until(lambda: bool(strip.running) and strip.running[-1].done > 0)
        (job,) = strip.running
        await browser.pilot.press("ctrl+x")
        await browser.until(lambda: job.state is JobState.CANCELLED)
    assert store.get("lone") == lone
    assert not list(place.root.rglob("zeros"))


async def test_a_mounted_overlay_layer_is_refused_before_the_dialog_opens(tmp_path: Path) -> None:
    need_root()
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="overlay")
    base, _ = store.put(TAR)
    layer, _ = store.put(TAR, parent=base.id)
    store.put(TAR, parent=layer.id, names=["top"])
    store.mount(layer.id)
    try:
        async with browsing(lambda: LayerStore.open(tmp_path / "g", tmp_path / "r", driver="overlay")) as browser:
            await browser.press("a")
            assert browser.app.screen is browser.screen
            assert "A layer based on this one is mounted" in browser.screen.refusal("layer.apply")
            await browser.press("j", "a")
            assert browser.app.screen is browser.screen
            assert "u unmounts it" in browser.screen.refusal("layer.apply")
            await browser.press("j")
            assert browser.cursor == "top"
            assert not browser.screen.refusal("layer.apply")
    finally:
        unmount_below(tmp_path)


def test_the_effect_on_child_layers_depends_on_the_driver() -> None:
    shared = "\n".join(Affected(children=("c" * 64,)).lines(""))
    copies = "\n".join(Affected(children=("c" * 64,), copies=True).lines(""))
    assert "1 layer based on it will see the new files:" in shared
    assert "1 layer based on it will keep the old files, so its diff will grow:" in copies
    two = Affected(children=("c" * 64, "d" * 64), copies=True).lines("")[0]
    assert two == "2 layers based on it will keep the old files, so their diffs will grow:"
    assert not Affected()
    many = Affected(images=tuple(f"image-{number}" for number in range(9)))
    assert many.lines("")[-1] == "  and 5 more"
    assert "applying the tar fails" in Affected(mounted=True).lines("")[0]


async def test_hostile_names_are_escaped(tmp_path: Path) -> None:
    layer = Layer(id="\x1b" * 64, names=(HOSTILE,), diff_digest=HOSTILE)
    affected = Affected((HOSTILE,), (HOSTILE,), (HOSTILE,))
    async with shown(lambda: ApplyDialog(layer, affected, tmp_path)) as (app, _):
        assert_harmless(app)
