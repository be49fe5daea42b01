"""Pictures of every panel and dialog, taken from the whole program on a real store with reproducible records.

Each picture is taken at three sizes in one run, since a screen must not depend on the size that it starts with.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pytest_textual_snapshot import SVGImageExtension
from syrupy.assertion import SnapshotAssertion
from textual.widgets import Input, TextArea

from layerstore import LayerStore, errors
from layerstore.check.findings import Finding
from layerstore.check.repair import RepairStep
from layerstore.config.detect import DriverStore
from layerstore.model import DiskUsage
from layertui.app import LayertuiApp
from layertui.dialogs.confirm import ConfirmDialog
from layertui.dialogs.drivers import DriverDialog
from layertui.jobs import shell
from layertui.jobs.opening import DriverChoice
from layertui.screens.main.screen import LayersScreen
from support.browser import NOW, Browser, Place, check
from support.needs import need_root
from support.tars import make_tar

SIZES = [(80, 24), (120, 36), (200, 50)]
MIDDLE = SIZES[1]
SHOWN_ROOT = Path("/var/lib/containers/storage")


class Pictured(LayerStore):
    """A real store that reports a standard graph root, and one block of disk space for each file."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._found: dict[tuple[str, ...], Finding] = {}

    @property
    def graph_root(self) -> Path:
        return SHOWN_ROOT

    def paths(self, ref: str) -> dict[str, Path]:
        return {"dir": SHOWN_ROOT / "vfs" / "dir" / self.lookup(ref)}

    def usage(self, ref: str, **how: Any) -> DiskUsage:
        inodes = super().usage(ref, **how).inodes
        return DiskUsage(inodes * 4096, inodes)

    def check(self, **how: Any) -> Iterator[Finding]:
        for finding in super().check(**how):
            shown = self._shown(finding)
            self._found[shown.key] = finding
            yield shown

    def repair_plan(self, findings: Iterable[Finding], **how: Any) -> list[RepairStep]:
        plan = super().repair_plan([self._found[finding.key] for finding in findings], **how)
        return [
            replace(step, finding=self._shown(step.finding), text=self._relocated(step.text), frees=DiskUsage(8192, 2))
            for step in plan
        ]

    def _shown(self, finding: Finding) -> Finding:
        return replace(finding, text=self._relocated(finding.text), path=self._relocated(finding.path))

    def _relocated(self, text: str) -> str:
        return text.replace(str(super().graph_root), str(SHOWN_ROOT))


BASE, PYTHON, WEB = (f"{number}{'c0ffee' * 10}abc" for number in (1, 2, 3))
SCRATCH, ORPHAN, HALF = (f"{number}{'decade' * 10}abc" for number in (4, 5, 6))
OS_RELEASE = b'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n'
SOURCE = b"""# Serves the shop.
import sys

def main() -> int:
    print("h\xc3\xa9llo \xe6\x97\xa5\xe6\x9c\xac", file=sys.stderr)
\treturn 0
\x1b[31m
""" + b"".join(b"VALUE_%d = %d\n" % (number, number * number) for number in range(60))
FOLDERS = dict.fromkeys(["etc", "usr", "usr/bin", "usr/lib"])
TARS = [
    FOLDERS
    | {"etc/os-release": OS_RELEASE, "etc/hosts": b"127.0.0.1\n", "usr/bin/sh": b"#!" * 45_000, "bin": "usr/bin"},
    {"usr/lib/python3.12": None, "usr/lib/python3.12/os.py": b"p" * 40_000, "usr/bin/python3": b"p" * 20_000},
    {
        "app": None,
        "app/main.py": SOURCE,
        "app/logo.png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4,
        "app/\x1b[31mred": b"",
    }
    | {"etc": None, "etc/os-release": b"ID=app\n" * 900, "usr/bin/.wh.sh": b"", "app/日本語のファイル": b"x" * 1200},
]


@pytest.fixture(scope="module")
def pictured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Create a store with reproducible records and some findings, and assert that no test changes it."""
    folder = tmp_path_factory.mktemp("pictured")
    place = Place(folder / "root", folder / "run")
    store = place.open()
    parent = None
    for layer_id, members in zip((BASE, PYTHON, WEB), TARS, strict=True):
        store.put(make_tar(members), id=layer_id, parent=parent)
        parent = layer_id
    for layer_id, below in ((SCRATCH, BASE), (ORPHAN, None), (HALF, BASE)):
        store.create(id=layer_id, parent=below)
    store.set_metadata(WEB, '{"image": "shop", "built": "2025-05-07"}\n')
    store.set_flag(WEB, "io.podman.squashed", value=True)

    def freeze(records: list[dict[str, Any]]) -> None:
        names = [
            ["debian-base", "docker.io/library/debian:12"],
            ["python"],
            ["web \x1b[31m[red]"],
            [],
            ["日本語のレイヤー"],
            [],
        ]
        for at, record in enumerate(records):
            record["created"] = (NOW - timedelta(days=40, hours=-at * 150)).isoformat().replace("+00:00", "Z")
            record["names"] = names[at]
        records[5]["flags"] = {"incomplete": True}
        records[4]["parent"] = "9" * 64

    place.rewrite(freeze)
    place.users("images", [{"id": "a" * 64, "names": ["docker.io/library/web:2.3"], "layer": WEB}])
    place.users("containers", [{"id": "b" * 64, "names": ["web-1"], "layer": WEB}])
    left = place.root / "vfs" / "dir" / ("e" * 64)
    left.mkdir()
    (left / "file").write_bytes(b"x")
    before = place.layers_json.read_bytes()
    yield place
    assert place.layers_json.read_bytes() == before


@dataclass
class Camera:
    """Compares pictures of the running program with the approved ones."""

    approved: SnapshotAssertion
    folder: Path

    async def take(self, browser: Browser, *, themes: bool = False) -> None:
        """Compare the screen at each size, and with `themes` also in the other themes."""
        for field in (*browser.app.screen.query(Input), *browser.app.screen.query(TextArea)):
            field.cursor_blink = False
        differing = []
        for size in SIZES:
            await browser.pilot.resize_terminal(*size)
            differing += await self._differing(browser, f"{size[0]}x{size[1]}")
        for theme in ("light", "contrast") if themes else ():
            browser.app.theme = f"layertui-{theme}"
            await browser.pilot.resize_terminal(*MIDDLE)
            differing += await self._differing(browser, theme)
        assert not differing, f"not as approved (see --snapshot-update): {', '.join(differing)}"

    async def _differing(self, browser: Browser, name: str) -> list[str]:
        """Save the current picture and return its path, if it differs from the approved one."""
        await browser.pilot.pause()
        if not browser.app.jobs.idle:
            await browser.settle()
        await browser.pilot.pause()  # a new scroll bar causes another layout
        picture = browser.app.export_screenshot()
        if self.approved(name=name) == picture:
            return []
        path = self.folder / f"{name}.svg"
        path.write_text(picture)
        return [str(path)]


@pytest.fixture
def camera(snapshot: SnapshotAssertion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Camera:
    """Return a camera on a host with a fixed working directory and free disk space."""
    monkeypatch.chdir("/tmp")
    room = shutil.disk_usage("/tmp")._replace(free=123_000_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room)
    return Camera(snapshot.use_extension(SVGImageExtension), tmp_path)


@asynccontextmanager
async def running(app: LayertuiApp) -> AsyncIterator[Browser]:
    async with app.run_test(size=SIZES[0], notifications=True) as pilot:
        browser = Browser(app, pilot)
        await browser.settle()
        yield browser


@asynccontextmanager
async def browsing(place: Place, keys: str = "", *, choice: DriverChoice | None = None) -> AsyncIterator[Browser]:
    """Run the program and press groups of keys, waiting until it is idle after each group."""
    open_store = partial(Pictured.open, place.root, place.run, driver="vfs")
    async with running(LayertuiApp(open_store, choice=choice, clock=lambda: NOW)) as browser:
        await browser.until(lambda: isinstance(browser.app.screen, LayersScreen))
        await browser.settle()
        for group in keys.split():
            await browser.press(*group.split(","))
        yield browser


VIEWS = {
    "summary": "j",
    "summary-focused": "j,j,1,1",
    "faults": "G",
    "changes": "j,j,2,2",
    "compare": "equals_sign,j,j,2",
    "files": "j,j,3,3 right down,down,down,enter",
    "bytes": "j,j,3,3 right down,down,enter",
    "lineage": "j,4",
    "waste": "j,j,5,5 enter",
    "json": "j,j,6,6",
    "filter": "slash,p,y",
    "marks": "space,space",
    "zoom": "z",
    "create": "n",
    "create-from-tar": "n right",
    "apply": "j,j,a",
    "metadata": "j,j,t",
    "flags": "j,j,f",
    "names": "j,j,r",
    "export": "j,j,e",
    "export-from": "j,j,e shift+tab,shift+tab,enter",
    "extract": "j,j,3,3 x",
    "where": "j,j,3,3 down,right down,down,w",
    "delete-refused": "d",
    "delete-forced": "j,j,d",
    "copy": "j,j,y",
    "help": "question_mark",
}
"""The keys of each picture, from a newly started program with the cursor on the first layer."""

THEMED = ("changes", "delete-forced")


@pytest.mark.parametrize("view", VIEWS)
async def test_view(camera: Camera, pictured: Place, view: str) -> None:
    if view == "extract":
        need_root()  # the dialog has fewer options for other users
    async with browsing(pictured, VIEWS[view]) as browser:
        await camera.take(browser, themes=view in THEMED)


async def test_check(camera: Camera, pictured: Place) -> None:
    async with browsing(pictured) as browser:
        await check(browser)
        await browser.press("G")
        await camera.take(browser)


async def test_repair(camera: Camera, pictured: Place) -> None:
    async with browsing(pictured) as browser:
        await check(browser)
        await browser.press("g", "space", "G", "space", "f")
        await camera.take(browser)


async def test_shell(camera: Camera, pictured: Place) -> None:
    async with browsing(pictured, "j,j,s") as browser:
        await camera.take(browser)


async def test_leaving_a_shell(camera: Camera, pictured: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "run", lambda *_, **__: "")
    async with browsing(pictured, "4 j,j,j,s") as browser:
        monkeypatch.setattr(browser.app, "suspend", nullcontext)
        await browser.press("enter")
        await browser.until(lambda: isinstance(browser.app.screen, ConfirmDialog))
        await camera.take(browser)
        await browser.press("enter")
        await browser.until(lambda: not browser.screen.view.mounted)


# Opening

LAYERS_JSON = SHOWN_ROOT / "overlay-layers" / "layers.json"

FAILURES = {
    "corrupt": errors.StoreCorrupt(LAYERS_JSON, "a comma is missing", line=3, column=7),
    "no-permission": errors.StoreAccess(LAYERS_JSON, "Permission denied"),
    "locked": errors.LockTimeout(LAYERS_JSON.with_name("layers.lock"), 10, ["podman (PID 12)", "buildah (PID 13)"]),
    "missing": errors.StoreMissing(SHOWN_ROOT),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_failure_to_open(camera: Camera, failure: str) -> None:
    def fail() -> LayerStore:
        raise FAILURES[failure]

    async with running(LayertuiApp(fail, clock=lambda: NOW)) as browser:
        await browser.until(lambda: browser.app.screen.has_class("-failed"))
        await camera.take(browser)


async def test_empty_store(camera: Camera, place: Place) -> None:
    async with browsing(place) as browser:
        await camera.take(browser)


async def test_choice_of_a_store(camera: Camera, pictured: Place) -> None:
    stores = [
        DriverStore("overlay", str(SHOWN_ROOT), 270, NOW - timedelta(hours=2), True),
        DriverStore("vfs", str(SHOWN_ROOT), 3, NOW - timedelta(days=400), True),
        DriverStore("btrfs", str(SHOWN_ROOT), 2, NOW - timedelta(days=800), False),
    ]
    choice = DriverChoice(str(SHOWN_ROOT), lambda _: pytest.fail("nothing was chosen"), ask=False)
    async with browsing(pictured, choice=choice) as browser:
        browser.app.choose_driver(stores)
        await browser.until(lambda: isinstance(browser.app.screen, DriverDialog))
        await camera.take(browser)
