"""The real program in a pseudo-terminal, for its end, which headless tests do not cover."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from layerstore import LayerStore
from support.program import Program
from support.tars import make_tar


@pytest.fixture
def root(tmp_path: Path) -> Path:
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    store.put(make_tar({"file": b"x"}), id="base", names=["base-layer"])
    return tmp_path


def test_the_program_ends_when_the_terminal_closes_without_a_signal(root: Path) -> None:
    program = Program(root, ignore_hangup=True)
    try:
        program.read_until("base-layer")
        os.close(program.terminal)
        program.terminal = -1
        until = time.monotonic() + 20
        while os.waitpid(program.pid, os.WNOHANG)[0] == 0:
            assert time.monotonic() < until, "it still runs"
            time.sleep(0.1)
        program.pid = 0
    finally:
        program.close()
