"""Text that is cut to cells."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from layertui.safe import safe
from layertui.widgets.cells import cut_path

PATH = "/usr/share/locale/de/LC_MESSAGES/coreutils.mo"


def test_a_path_keeps_its_beginning_and_its_name() -> None:
    assert cut_path(PATH, len(PATH)) == PATH
    assert cut_path(PATH, 35) == "/usr/share/locale/de/…/coreutils.mo"
    assert cut_path(PATH, 20) == "/usr/s…/coreutils.mo"
    assert cut_path("/x/" + "a" * 40 + ".txt", 20) == "/x/aaa…aaaaaaaaa.txt"


@pytest.mark.parametrize(
    "path", [PATH, "/日本語/" + "語" * 30, "/a\x1b\n/" + "\udcff" * 20, "no slash at all " * 3, "/"]
)
@pytest.mark.parametrize("width", [2, 3, 7, 20, 33])
def test_it_fits_however_it_is_shown(path: str, width: int) -> None:
    assert cell_len(safe(cut_path(path, width))) <= width
