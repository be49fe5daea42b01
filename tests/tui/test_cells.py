"""Text that is cut to cells."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from rich.style import Style

from layertui.safe import safe
from layertui.widgets.cells import Line, cut_path
from layertui.widgets.files_panel import put_before

PATH = "/usr/share/locale/de/LC_MESSAGES/coreutils.mo"


def test_a_path_keeps_its_beginning_and_its_name() -> None:
    assert cut_path(PATH, len(PATH)) == PATH
    assert cut_path(PATH, 35) == "/usr/share/locale/de/…/coreutils.mo"
    assert cut_path(PATH, 20) == "/usr/s…/coreutils.mo"
    assert cut_path("/x/" + "a" * 40 + ".txt", 20) == "/x/aaa…/aaaaaaa….txt"


@pytest.mark.parametrize(
    "path", [PATH, "/日本語/" + "語" * 30, "/a\x1b\n/" + "\udcff" * 20, "no slash at all " * 3, "/"]
)
@pytest.mark.parametrize("width", [2, 3, 7, 20, 33])
def test_it_fits_however_it_is_shown(path: str, width: int) -> None:
    assert cell_len(safe(cut_path(path, width))) <= width


@pytest.mark.parametrize(
    ("width", "shown"),
    [(40, "-rw-  0:0  1w  from a0b3f195c313"), (30, "-rw- 0:0 1w from a0b3f195c313"), (24, "-rw- from a0b3f195c313")],
)
def test_the_origin_of_a_file_keeps_its_room(width: int, shown: str) -> None:
    line, style = Line(width), Style.null()
    put_before(line, [("-rw-", style), ("0:0", style), ("1w", style)], ("from a0b3f195c313", style))
    assert "".join(segment.text for segment in line.segments) == shown
