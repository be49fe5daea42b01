"""The table of drivers, and that nothing outside the drivers depends on which drivers there are."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import layerstore
import layertui
from layerstore.drivers import DRIVERS, OPTIONS, current_name
from layerstore.drivers.base import Driver
from layerstore.drivers.overlay.driver import OverlayDriver
from layerstore.drivers.vfs import VfsDriver

CORE, BROWSER = Path(layerstore.__file__).parent, Path(layertui.__file__).parent


def names() -> set[str]:
    return {*DRIVERS, *(name for info in DRIVERS.values() for name in info.former_names)}


def named_drivers(source: str) -> Iterator[int]:
    """Yield the lines of source code with a string that is the name of a driver, alone or before a dot."""
    tree = ast.parse(source)
    docstrings = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            first = node.value.partition(".")[0].partition("/")[0]
            if first in names() and " " not in node.value:
                yield node.lineno


@pytest.mark.parametrize("root", [CORE, BROWSER], ids=["core", "browser"])
def test_only_drivers_and_the_demo_name_a_driver(root: Path) -> None:
    found, checked = [], 0
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        if place.parts[0] == "drivers" or (place.parts[0] == "cli" and place.stem.startswith("demo")):
            continue
        checked += 1
        found += [f"{place}:{line}" for line in named_drivers(path.read_text())]
    assert checked > 40
    assert found == []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('"""overlay"""\nx == "vfs"', [2]),
        ('def f():\n    """vfs"""\n    return {"overlay2": 1}', [3]),
        ('options["overlay.mountopt"]', [1]),
        ('f"{x}/vfs"\nf"vfs/{x}"', [2]),
        ('print("overlay layers take no options")', []),
    ],
)
def test_a_name_is_found_in_strings_but_not_in_docstrings(source: str, lines: list[int]) -> None:
    assert list(named_drivers(source)) == lines


def test_every_driver_is_complete() -> None:
    assert list(DRIVERS) == ["overlay", "vfs"], "the best first"
    for name, info in DRIVERS.items():
        driver = info.load()
        assert issubclass(driver, Driver)
        assert driver.name == info.name == name
        assert not driver.__abstractmethods__
        assert info.options <= OPTIONS


def test_a_former_name_is_translated() -> None:
    assert current_name("overlay2") == "overlay"
    assert current_name("vfs") == "vfs"
    assert current_name("btrfs") == "btrfs"


def test_a_driver_mounts_its_layers_or_copies_them() -> None:
    assert OverlayDriver.takes_mounts
    assert not OverlayDriver.copies_lower
    assert VfsDriver.copies_lower
    assert not VfsDriver.takes_mounts


def test_opening_a_store_does_not_import_what_only_diffs_and_mounts_need(tmp_path: Path) -> None:
    script = f"""
import sys
from layerstore import LayerStore
store = LayerStore.open({str(tmp_path / "g")!r}, {str(tmp_path / "r")!r}, driver="overlay")
assert store.mounts() == []
late = ["archive.unpack", "archive.pack", "archive.compare", "drivers.overlay.fuse", "drivers.overlay.syscalls"]
assert not [name for name in late if f"layerstore.{{name}}" in sys.modules], sorted(sys.modules)
assert "layerstore.drivers.overlay.driver" in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_finding_a_store_imports_no_driver() -> None:
    script = """
import sys
from layerstore import find_store, known_drivers_in
known_drivers_in(find_store().graph_root)
late = ["drivers.overlay.driver", "drivers.vfs", "drivers.base", "records.records", "linux.lockfile"]
assert not [name for name in late if f"layerstore.{name}" in sys.modules], sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
