"""Tests of the command line: lists, errors and imports."""

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


def test_store_options_may_follow_the_command(place: list[str]) -> None:
    assert run("layers", *place).stdout == run(*place, "layers").stdout != ""
    assert run(*place[:2], "check", "--driver", "vfs", *place[2:], "aa").returncode == 0


def test_an_empty_store_is_valid_json(tmp_path: Path) -> None:
    LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    assert run("--root", tmp_path / "g", "--runroot", tmp_path / "r", "layers", "--json").stdout == "[]\n"


def test_names_are_escaped(place: list[str], tmp_path: Path) -> None:
    (tmp_path / "g/vfs-layers/layers.json").write_text('[{"id":"a\\u001b[31m","names":["\\u009b2J"]}]')
    out = run(*place, "layers").stdout
    assert "\x1b" not in out
    assert "\x9b" not in out
    assert "\\x1b[31m" in out


@pytest.mark.parametrize("wrong", [["--root", "/nowhere/at/all", "layers"], ["--driver", "zfs", "layers"]])
def test_an_error_is_one_line_without_a_traceback(wrong: list[str]) -> None:
    done = run(*wrong)
    assert done.returncode == 1
    assert done.stderr.startswith("layertui: ")
    assert done.stderr.count("\n") == 1


def test_a_closed_pipe_prints_no_error(place: list[str], tmp_path: Path) -> None:
    many = [{"id": f"{number:064x}"} for number in range(20_000)]
    (tmp_path / "g/vfs-layers/layers.json").write_text(json.dumps(many))
    command = [sys.executable, "-m", "layertui", *place, "layers"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.communicate()[1] == b""


def test_listing_layers_does_not_import_textual(place: list[str]) -> None:
    probe = (
        "import sys\nfrom layertui.cli import main\ntry: main(sys.argv[1:])\nfinally: print('textual' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", probe, *place, "layers"], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "False"


def test_the_core_imports_neither_textual_nor_rich() -> None:
    probe = "import layerstore, sys; print([name for name in sys.modules if name.split('.')[0] in ('textual', 'rich')])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", [[], ["layers"], ["check"], ["keys"], ["demo"]])
def test_help_describes_every_option(command: list[str]) -> None:
    done = run(*command, "--help")
    assert done.returncode == 0
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    options = [number for number, line in enumerate(lines) if line.startswith("  -")]
    assert options
    for number in options:
        text = lines[number].partition("  ")[2] + (lines[number + 1] if number + 1 < len(lines) else "")
        assert len(text.split()) > 2, lines[number]


def test_check_without_findings(place: list[str]) -> None:
    done = run(*place, "check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "no problems found\n", "")


def test_version() -> None:
    done = run("--version")
    assert done.returncode == 0
    assert (done.stdout + done.stderr).startswith("layertui ")
