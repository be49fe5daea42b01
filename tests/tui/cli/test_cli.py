"""The command line: what it lists, what it refuses, what it does not import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from layerstore import LayerStore
from support.program import run


@pytest.fixture
def place(tmp_path: Path) -> list[str]:
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    store.create(id="aa", names=["one", "two"])
    store.create(id="bb", parent="aa")
    return ["--root", str(tmp_path / "g"), "--runroot", str(tmp_path / "r")]


def test_layers_lists_ids_and_names(place: list[str]) -> None:
    done = run(*place, "layers")
    assert done.stdout == "aa\n\tname: one\n\tname: two\nbb\n"
    assert done.returncode == 0


def test_layers_as_json(place: list[str]) -> None:
    records = json.loads(run(*place, "layers", "--json").stdout)
    assert [record["id"] for record in records] == ["aa", "bb"]
    assert records[0]["names"] == ["one", "two"]


def test_the_store_may_be_named_behind_the_command(place: list[str]) -> None:
    assert run("layers", *place).stdout == run(*place, "layers").stdout != ""
    assert run(*place[:2], "check", "--driver", "vfs", *place[2:], "aa").returncode == 0


def test_an_empty_store_is_valid_json(tmp_path: Path) -> None:
    LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    assert run("--root", tmp_path / "g", "--runroot", tmp_path / "r", "layers", "--json").stdout == "[]\n"


def test_names_are_never_written_raw(place: list[str], tmp_path: Path) -> None:
    (tmp_path / "g/vfs-layers/layers.json").write_text('[{"id":"a\\u001b[31m","names":["\\u009b2J"]}]')
    out = run(*place, "layers").stdout
    assert "\x1b" not in out
    assert "\x9b" not in out
    assert "\\x1b[31m" in out


@pytest.mark.parametrize("wrong", [["--root", "/nowhere/at/all", "layers"], ["--driver", "zfs", "layers"]])
def test_an_error_is_one_line_and_no_traceback(wrong: list[str]) -> None:
    done = run(*wrong)
    assert done.returncode == 1
    assert done.stderr.startswith("layertui: ")
    assert done.stderr.count("\n") == 1


def test_a_closed_pipe_is_no_error_message(place: list[str], tmp_path: Path) -> None:
    many = [{"id": f"{number:064x}"} for number in range(20_000)]
    (tmp_path / "g/vfs-layers/layers.json").write_text(json.dumps(many))
    command = [sys.executable, "-m", "layertui", *place, "layers"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.communicate()[1] == b""


def test_lists_do_not_import_the_screen(place: list[str]) -> None:
    probe = (
        "import sys\nfrom layertui.cli import main\ntry: main(sys.argv[1:])\nfinally: print('textual' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", probe, *place, "layers"], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "False"


def test_the_core_never_imports_the_screen() -> None:
    probe = "import layerstore, sys; print([name for name in sys.modules if name.split('.')[0] in ('textual', 'rich')])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]"
