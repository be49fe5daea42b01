"""The real browser follows a store that Buildah and Podman change."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.images import image_layer
from support.liveterm import LiveBrowser
from support.peers import PodmanStore
from support.tars import make_tar

SOON = 5.0
"""Seconds within which a change must appear. The browser polls every second, and the machine may be busy."""


@pytest.fixture
def three(podman: PodmanStore) -> PodmanStore:
    """Return a store with the images one, two (built on one) and other."""
    podman.build("scratch", "echo 1 > one", "one")
    podman.build("localhost/one", "echo 2 > two", "two")
    podman.build("scratch", "echo 3 > three", "other")
    return podman


@pytest.fixture
def browser(three: PodmanStore) -> Iterator[LiveBrowser]:
    """Yield the browser on the store of `three`."""
    browser = LiveBrowser(three.environ)
    try:
        browser.wait_for("● following", "one:latest", "two:latest", "other:latest", "3 layers", seconds=30)
        yield browser
    finally:
        browser.close()


def wait_for_cursor(browser: LiveBrowser, layer: str) -> None:
    """Wait until the cursor is on a layer."""
    browser.wait(lambda shown: any(line.startswith("│▌") and layer[:12] in line for line in shown.splitlines()), 3)


def assert_well(browser: LiveBrowser) -> None:
    """Assert that the screen shows no problem and that the browser quits."""
    shown = browser.read()
    assert "● following" in shown
    for word in ("cannot", "Cannot", "rror", "not following", "Traceback", "no longer", "problem"):
        assert word not in shown, shown
    assert browser.quit() == 0


def test_the_cursor_stays_while_layers_come_and_go(three: PodmanStore, browser: LiveBrowser) -> None:
    browser.press("j", "j")
    layer = image_layer(three.ours(), "localhost/other:latest")
    wait_for_cursor(browser, layer)
    browser.wait(lambda shown: shown.count(layer[:12]) >= 2, SOON)  # in the tree and in the panel

    container = three.buildah("from", "--pull-never", "localhost/one")
    browser.wait_for("4 layers", seconds=SOON)
    wait_for_cursor(browser, layer)
    path = Path(three.buildah("mount", container))
    (path / "added").write_bytes(b"4" * 5000)
    browser.wait_for("1 mounted", seconds=SOON)
    three.buildah("umount", container)
    three.buildah("commit", "--quiet", "--rm", container, "third")
    browser.wait_for("third:latest", "4 layers", seconds=SOON)
    browser.wait_gone("mounted", seconds=SOON)
    wait_for_cursor(browser, layer)

    three.podman("rmi", "localhost/two")
    browser.wait_gone("two:latest", seconds=SOON)
    browser.wait_for("3 layers", seconds=SOON)
    wait_for_cursor(browser, layer)
    shown = browser.read()
    ids = re.findall(r"^│[▌ ].. ?([0-9a-f]{12})", shown, re.MULTILINE)
    assert sorted(ids) == sorted(found.id[:12] for found in three.ours().layers())
    assert_well(browser)


@pytest.mark.parametrize("driver", ["overlay"], indirect=True)
@pytest.mark.parametrize("panel", ["1", "2", "4"])
def test_the_layer_under_the_cursor_is_deleted(three: PodmanStore, browser: LiveBrowser, panel: str) -> None:
    browser.press("j", "j", panel)
    layer = image_layer(three.ours(), "localhost/other:latest")
    wait_for_cursor(browser, layer)
    three.podman("rmi", "localhost/other")
    browser.wait_gone(layer[:12], seconds=SOON)
    browser.wait_for("2 layers")
    wait_for_cursor(browser, image_layer(three.ours(), "localhost/two:latest"))
    three.podman("rmi", "localhost/two", "localhost/one")
    browser.wait_for("This store has no layers yet", seconds=SOON)
    three.build("scratch", "echo 5 > five", "five")
    browser.wait_for("five:latest", "1 layer", seconds=SOON)
    wait_for_cursor(browser, image_layer(three.ours(), "localhost/five:latest"))
    assert_well(browser)


@pytest.mark.parametrize("driver", ["overlay"], indirect=True)
def test_a_layer_is_deleted_while_a_dialog_asks_about_it(three: PodmanStore, browser: LiveBrowser) -> None:
    browser.press("j", "j", "r")
    browser.wait_for("Names")
    three.podman("rmi", "localhost/other")
    browser.press("x", "\r", "\x13")
    browser.wait_for("2 layers", seconds=SOON)
    browser.press("\x1b", "\x1b")
    browser.wait_for("● following")
    browser.press("k", "j")
    wait_for_cursor(browser, image_layer(three.ours(), "localhost/two:latest"))
    assert browser.quit() == 0


@pytest.mark.parametrize("driver", ["overlay"], indirect=True)
def test_another_program_holds_the_lock_for_long(three: PodmanStore, browser: LiveBrowser) -> None:
    """containers-storage holds the write lock until it has read the whole tar."""
    pipe = three.folder / "tmp/pipe"
    os.mkfifo(pipe)
    command = three.storage.command("import-layer", "-n", "slow", "-f", str(pipe))
    tar = make_tar({"slow": os.urandom(100_000)})
    may_end, second = threading.Event(), image_layer(three.ours(), "localhost/two:latest")

    def feed() -> None:
        with pipe.open("wb") as file:
            file.write(tar[:50_000])
            file.flush()
            may_end.wait(60)
            file.write(tar[50_000:])

    feeder = threading.Thread(target=feed)
    feeder.start()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as importer:
        try:
            time.sleep(1.5)
            for key, panel in (("4", "Lineage"), ("1", "Digest"), ("?", "Help"), ("\x1b", "Digest")):
                start = time.monotonic()
                browser.press(key)
                browser.wait_for(panel, seconds=1)
                assert time.monotonic() - start < 1
            assert "rror" not in browser.read()
            assert importer.poll() is None, "it still waits for the rest of the tar"
            # After a while the browser says that its view may be out of date, and keeps trying.
            browser.wait_for("! not following", seconds=20)
            browser.press("j")
            wait_for_cursor(browser, second)
        finally:
            may_end.set()
            feeder.join()
    assert importer.returncode == 0
    browser.wait_for("● following", "slow", "4 layers", seconds=15)
    browser.wait_gone("Cannot follow", seconds=15)
    assert_well(browser)
