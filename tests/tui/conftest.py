"""Stores for the browser's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

import layertui.screens.actions  # noqa: F401 - declares the actions, which sentences and settings name
from layerstore.store import LayerStore
from support.browser import Place
from support.tars import make_tar


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make Textual's pilot poll more often, which is where these tests spend most of their time."""
    monkeypatch.setattr("textual._wait.SLEEP_GRANULARITY", 0.007)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "root", tmp_path / "run")


BASE = {"etc": None, "etc/os-release": b"ID=debian\n", "usr": None, "usr/bin": None, "usr/bin/sh": b"#" * 5000}
APP = {"app": None, "app/main.py": b"print(1)\n" * 100, "etc/os-release": b"ID=app\n"}
TOOL = {"usr/bin/tool": b"t" * 20_000, "usr/bin/.wh.sh": b""}


@pytest.fixture
def store(place: Place) -> LayerStore:
    """Return a store: base <- middle <- (app, tool), and a lone layer. An image and a container use app."""
    store = place.open()
    base, _ = store.put(make_tar(BASE), names=["base"])
    middle, _ = store.put(make_tar({"opt": None, "opt/x": b"x" * 300}), names=["middle"], parent=base.id)
    app, _ = store.put(make_tar(APP), names=["app"], parent=middle.id)
    store.put(make_tar(TOOL), names=["tool"], parent=middle.id)
    store.create(names=["lone"])
    place.users("images", [{"id": "1" * 64, "names": ["docker.io/library/web:1"], "layer": app.id}])
    place.users("containers", [{"id": "2" * 64, "names": ["web-1"], "image": "1" * 64, "layer": app.id}])
    return place.open()
