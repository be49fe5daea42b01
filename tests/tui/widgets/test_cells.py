"""Tests of shortening and wrapping text."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from rich.style import Style

from layertui.panels.files.view import put_before
from layertui.text.safe import safe
from layertui.widgets.cells import Line, broken, cut_name, cut_path

PATH = "/usr/share/locale/de/LC_MESSAGES/coreutils.mo"


def test_a_path_keeps_its_start_and_its_name() -> None:
    assert cut_path(PATH, len(PATH)) == PATH
    assert cut_path(PATH, 35) == "/usr/share/locale/de/…/coreutils.mo"
    assert cut_path(PATH, 20) == "/usr/s…/coreutils.mo"
    assert cut_path("/x/" + "a" * 40 + ".txt", 20) == "/x/aaa…/aaaaaaa….txt"


@pytest.mark.parametrize(
    "path", [PATH, "/日本語/" + "語" * 30, "/a\x1b\n/" + "\udcff" * 20, "no slash at all " * 3, "/"]
)
@pytest.mark.parametrize("width", [2, 3, 7, 20, 33])
def test_an_escaped_path_fits(path: str, width: int) -> None:
    assert cell_len(safe(cut_path(path, width))) <= width


@pytest.mark.parametrize(
    ("width", "shown"),
    [(40, "-rw-  0:0  1w  from a0b3f195c313"), (30, "-rw- 0:0 1w from a0b3f195c313"), (24, "-rw- from a0b3f195c313")],
)
def test_the_origin_of_a_file_is_always_shown(width: int, shown: str) -> None:
    line, style = Line(width), Style.null()
    put_before(line, [("-rw-", style), ("0:0", style), ("1w", style)], ("from a0b3f195c313", style))
    assert "".join(segment.text for segment in line.segments) == shown


IMAGE = "registry.example.org/team/shop/backend:2.3.1"


def test_a_name_keeps_its_last_part_or_at_least_its_ends() -> None:
    assert cut_name(IMAGE, len(IMAGE)) == IMAGE
    assert cut_name(IMAGE, 24) == "…/shop/backend:2.3.1"
    assert cut_name(IMAGE, 16) == "…/backend:2.3.1"
    assert cut_name(IMAGE, 13) == "backend:2.3.1"
    assert cut_name(IMAGE, 10) == "backen…3.1"
    assert cut_name("n" * 150 + "x" * 150, 8) == "nnnn…xxx"
    assert cut_name("name", 0) == ""


@pytest.mark.parametrize("name", [IMAGE, "日本語" * 100, "/a\x1b\n/" + "\udcff" * 20, "a/", "/", "//", "e\u0301" * 300])
@pytest.mark.parametrize("width", [0, 1, 2, 3, 7, 20, 33])
def test_an_escaped_name_fits(name: str, width: int) -> None:
    assert cell_len(safe(cut_name(name, width))) <= width


def test_a_digest_wraps_into_equal_lines() -> None:
    assert [len(line) for line in broken("sha256:" + "a" * 64, 65)] == [36, 35]
    assert [len(line) for line in broken("a" * 64, 40)] == [32, 32]
    assert broken("/var/dir/" + "a" * 64, 40) == ["/var/dir/" + "a" * 28, "a" * 36]
    assert broken("/var/lib/containers/" + "a" * 64, 36) == ["/var/lib/containers/", "a" * 32, "a" * 32]
    assert broken("a" * 64, 64) == ["a" * 64]


def test_text_wraps_at_spaces_and_paths_after_slashes() -> None:
    assert broken("the link of a layer is missing", 12) == ["the link of", "a layer is", "missing"]
    assert broken(f"{'f' * 12} (has no record)", 12) == ["f" * 12, "(has no", "record)"]
    assert broken("layer " + "a" * 18 + " is lost", 20) == ["layer", "a" * 18, "is lost"]
    assert broken("/var/lib/containers/storage", 20) == ["/var/lib/containers/", "storage"]


@pytest.mark.parametrize("text", ["", "日本語" * 30, "a b " * 40, "/x" * 50, "x" * 500])
@pytest.mark.parametrize("width", [2, 5, 13, 64])
def test_wrapped_lines_fit_and_are_complete(text: str, width: int) -> None:
    lines = broken(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
