"""The Files panel: the tree of a layer's files, the search, the preview, and the actions on files."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Button, Static

from layerstore import LayerStore
from layerstore.content.extract import Extracted, Skipped
from layerstore.content.files import FileEntry, FileKind, LayerFiles
from layerstore.errors import NotSupported, StoreAccess
from layertui.dialogs.extract import ExtractDialog, SkippedDialog
from layertui.dialogs.occurrences import OccurrencesDialog
from layertui.panels.files import preview_model
from layertui.panels.files.actions import show_extracted
from layertui.panels.files.model import EMPTY, UNREAD, build_file_tree, find_files, outer_folders
from layertui.panels.files.preview import PreviewView
from layertui.panels.files.preview_model import BYTES, FEW_BYTES, FIRST, LONGEST, Preview, is_binary
from layertui.panels.files.tree import FilesTree
from layertui.panels.files.view import FilesView
from layertui.widgets.path_field import PathInput
from support.browser import Browser, Place, browsing
from support.needs import need_root
from support.tars import make_tar

# The tree


def entry(path: str, kind: FileKind = FileKind.FILE, size: int = 0) -> FileEntry:
    return FileEntry(path, kind, 0o644, 0, 0, size, 0, 1)


def test_unread_empty_and_unreadable_folders_hold_a_note() -> None:
    folders = [entry(f"/{name}", FileKind.FOLDER) for name in "abc"]
    tree = build_file_tree({"/": [*folders, entry("/f")], "/b": [], "/c": "no"})
    assert list(tree.keys) == ["/a", "/a/\0", "/b", "/b/\0", "/c", "/c/\0", "/f"]
    assert tree.notes == {1: UNREAD, 3: EMPTY, 5: "no"}
    assert tree.unread == {0}
    assert [tree.shape.parents[node] for node in range(7)] == [-1, 0, -1, 2, -1, 4, -1]


def test_the_largest_files_come_first_and_folders_stay_above() -> None:
    files = [entry("/d", FileKind.FOLDER), entry("/small", size=1), entry("/large", size=9)]
    tree = build_file_tree({"/": files, "/d": [entry("/d/x")]}, by_size=True)
    assert list(tree.keys) == ["/d", "/d/x", "/large", "/small"]


def test_outer_folders() -> None:
    assert outer_folders("/a/b/c") == ["/", "/a", "/a/b"]
    assert outer_folders("/a") == ["/"]


def test_a_search_returns_matches_below_their_folders(store: LayerStore) -> None:
    found = find_files(store.files("tool"), "TOOL")
    assert list(found.tree.keys) == ["/usr", "/usr/bin", "/usr/bin/tool"]
    assert found.tree.matched == b"\0\0\1"
    assert found.matches == 1
    origin = found.tree.entries[2]
    assert origin is not None
    assert origin.layer == store.lookup("tool")
    assert list(find_files(store.files("app"), "etc/ release").tree.keys) == ["/etc", "/etc/os-release"]
    assert find_files(store.files("app"), "nothing").matches == 0


# The preview


def test_text_is_split_into_numbered_lines_however_it_is_read() -> None:
    text = b"one\r\n\ttwo\n" + b"x" * (LONGEST + 10) + "\u00e9\n".encode() + b"\xff\x1b[31m\nend"
    for size in (1, 7, 4096, len(text) + 1):
        shown = Preview(len(text), text[:size], size)
        shown.hex = False
        for offset in range(size, len(text), size):
            shown.add(text[offset : offset + size], size)
        shown.add(b"", size)
        lines = [shown.text(line) for line in range(len(shown))]
        assert lines == ["one", "        two", "x" * LONGEST, "x" * 10 + "\u00e9", "\udcff\x1b[31m", "end"]
        assert [shown.number(line) for line in range(len(shown))] == ["1", "2", "3", "", "4", "5"]


def test_a_long_line_is_not_cut_inside_a_character() -> None:
    text = b"a" + "\u20ac".encode() * LONGEST
    shown = Preview(len(text), text)
    assert all(char < "\udc80" or char > "\udcff" for line in range(len(shown)) for char in shown.text(line))
    assert "".join(shown.text(line) for line in range(len(shown))) == text.decode()


def test_binary_content_is_detected() -> None:
    assert is_binary(b"a\0b")
    assert is_binary(bytes(range(128, 256)) * 4)
    assert not is_binary("caf\u00e9\t\x1b[31m\n".encode() * 20)
    assert not is_binary("caf\u00e9 au lait, s'il vous pla\u00eet\n".encode("latin-1"))
    assert not is_binary(b"")


def test_a_line_of_hex_holds_sixteen_or_eight_bytes() -> None:
    shown = Preview(20, bytes(range(20)))
    assert shown.hex
    assert (len(shown), shown.number(1)) == (2, "0000010")
    digits, characters = shown.bytes(1)
    assert digits.startswith("10 11 12 13 ")
    assert characters == "...."
    assert len(digits) == len(shown.bytes(0)[0]) == 3 * BYTES
    shown.row_bytes = FEW_BYTES
    assert (len(shown), shown.number(2)) == (3, "0000010")
    assert shown.bytes(1) == ("08 09 0a 0b 0c 0d 0e 0f", "." * 8)


@pytest.mark.parametrize(("size", "count"), [((80, 24), 16), ((120, 36), 8), ((110, 30), 8), ((200, 50), 16)])
async def test_all_bytes_of_a_row_are_on_the_screen(place: Place, size: tuple[int, int], count: int) -> None:
    place.open().put(make_tar({"blob": bytes(range(256)) * 30}), names=["blob"])
    async with browsing(place.open, size=size) as browser:
        await browser.press("3", "3", "enter")
        lines = browser.lines("PreviewView")
        assert lines[0].endswith("." * count)
        assert f" {count - 1:02x}  ...." in lines[0]
        view = browser.screen.query_one(PreviewView)
        await browser.press("end")
        top = int(browser.lines("PreviewView")[0].split()[0], 16)
        await browser.pilot.resize_terminal(*((120, 36) if count == 16 else (200, 50)))
        await browser.settle()
        assert view.preview is not None
        assert view.preview.row_bytes == 24 - count
        assert int(browser.lines("PreviewView")[0].split()[0], 16) <= top


# In the browser


HOSTILE = {
    "evil": None,
    "evil/\x1b[31mred\nname": b"\x1b[2J[red]text[/] \x9b31m\n",
    "evil/[red]bold": b"ok",
    "evil/b\udcffd": "/gone/\x1b[7m",
    "evil/sub": None,
    "evil/sub/deep": b"#",
}


@pytest.fixture
def hostile(store: LayerStore, place: Place) -> LayerStore:
    store.put(make_tar(HOSTILE), names=["top"], parent=store.lookup("app"))
    return place.open()


async def to_files(browser: Browser, title: str) -> FilesTree:
    """Move the cursor to a layer, and enter the tree of its files."""
    assert browser.tree.go_to_key(browser.screen.store.lookup(title))
    await browser.settle()
    await browser.press("3", "3")
    tree = browser.screen.query_one(FilesTree)
    assert tree.has_focus
    return tree


async def open_folder(browser: Browser, *paths: str) -> None:
    tree = browser.screen.query_one(FilesTree)
    for path in paths:
        assert tree.go_to_key(path)
        await browser.press("enter")


def tree_text(browser: Browser) -> str:
    return browser.text("#files-tree")


async def test_folders_are_read_when_they_are_opened(
    store: LayerStore, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[str] = []
    whole = LayerFiles.list

    def counted(self: LayerFiles, path: str = "/") -> Any:
        listed.append(path)
        return whole(self, path)

    monkeypatch.setattr(LayerFiles, "list", counted)
    async with browsing(place.open) as browser:
        assert listed == []
        await to_files(browser, "app")
        assert listed == ["/"]
        await open_folder(browser, "/app")
        assert listed == ["/", "/app"]
        line = next(line for line in browser.lines("#files-tree") if "main.py" in line)
        assert line.lstrip().startswith("A")
        assert "900 B" in line
        await open_folder(browser, "/etc")
        assert next(line for line in browser.lines("#files-tree") if "os-release" in line).lstrip().startswith("M")
        await browser.press("left", "left", "right")
        assert listed == ["/", "/app", "/etc"]


async def test_facts_about_the_file_under_the_cursor(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        tree = await to_files(browser, "app")
        await open_folder(browser, "/usr", "/usr/bin")
        tree.go_to_key("/usr/bin/sh")
        await browser.settle()
        shown = browser.text("FileFacts")
        assert "/usr/bin/sh" in shown
        assert "-rw-r--r--" in shown
        assert "5.0 kB" in shown
        assert "from base" in shown


async def test_a_wide_panel_shows_mode_owner_and_origin(store: LayerStore, place: Place) -> None:
    async with browsing(place.open, size=(240, 50)) as browser:
        await to_files(browser, "app")
        await open_folder(browser, "/opt")
        line = next(line for line in browser.lines("#files-tree") if "x " in line and "300 B" in line)
        assert "middle" in line
        assert "-rw-r--r--" in line
        assert f"{os.getuid()}:{os.getgid()}" in line


async def test_open_folders_and_the_cursor_are_kept_from_layer_to_layer(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        tree = await to_files(browser, "app")
        await open_folder(browser, "/usr", "/usr/bin")
        tree.go_to_key("/usr/bin/sh")
        await browser.settle()
        browser.tree.go_to_key(store.lookup("base"))
        await browser.settle()
        assert tree.cursor_key == "/usr/bin/sh"
        assert "/app" not in tree.tree_shown.keys
        browser.tree.go_to_key(store.lookup("tool"))
        await browser.settle()
        assert "/usr/bin/tool" in tree.tree_shown.keys
        assert "/usr/bin/sh" not in tree.tree_shown.keys


async def test_a_new_layer_leaves_the_cursor_and_the_folds(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        tree = await to_files(browser, "app")
        await open_folder(browser, "/usr", "/usr/bin")
        tree.go_to_key("/usr/bin/sh")
        store.create(names=["another"])
        await browser.until(lambda: len(browser.titles) == 6)
        await browser.settle()
        assert tree.cursor_key == "/usr/bin/sh"
        assert tree.opened == {"/usr", "/usr/bin"}


async def test_reload_reads_visible_folders_again(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        tree = await to_files(browser, "lone")
        assert EMPTY in tree_text(browser)
        folder = (
            store.paths("lone")["diff"] if "diff" in store.paths("lone") else next(iter(store.paths("lone").values()))
        )
        (folder / "new").write_text("x")
        await browser.press("R")
        await browser.until(lambda: "/new" in tree.tree_shown.keys)


async def test_names_from_disk_are_escaped(hostile: LayerStore, place: Place) -> None:
    async with browsing(place.open, size=(120, 50)) as browser:
        tree = await to_files(browser, "top")
        await open_folder(browser, "/evil")
        shown = tree_text(browser)
        assert "\x1b" not in shown
        assert "\\x1b[31mred\\nname" in shown
        assert "[red]bold" in shown
        assert "b\\xffd → /gone/\\x1b[7m" in shown
        tree.go_to_key("/evil/\x1b[31mred\nname")
        await browser.press("enter")
        assert "\\x1b[2J[red]text[/] \\x9b31m" in browser.text("#preview")
        assert "\\x1b[31mred\\nname" in browser.text("PreviewHead")
        await browser.press("y")
        assert browser.app.clipboard == r"$'/evil/\033[31mred\nname'", "one word for a shell"
        await browser.press("escape", "j", "j", "j", "enter")
        tree.go_to_key("/evil/b\udcffd")
        await browser.press("enter")
        shown = browser.text("#preview")
        assert "Symbolic link to /gone/\\x1b[7m" in shown
        assert "Broken link" in shown
        for key in ("w", "x"):
            await browser.press("escape", key)
            assert len(browser.app.screen_stack) == 3
            await browser.press("escape")


# Search


async def test_the_whole_layer_is_searched(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        tree = await to_files(browser, "app")
        await open_folder(browser, "/etc")
        await browser.press("slash")
        await browser.type("main")
        await browser.until(lambda: list(tree.tree_shown.keys) == ["/app", "/app/main.py"])
        await browser.settle()
        assert tree.cursor_key == "/app/main.py"
        assert "1 of " in browser.screen.query_one("#files-filter .filter-found", Static).render().plain  # type: ignore[union-attr]
        await browser.press("enter")
        assert tree.has_focus
        await browser.press("escape")
        await browser.until(lambda: tree.cursor_key == "/app/main.py")
        assert tree.opened == {"/app", "/etc"}


async def test_a_folder_that_was_found_is_opened_in_the_tree(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        tree = await to_files(browser, "app")
        await browser.press("slash")
        await browser.type("bin")
        await browser.until(lambda: "/usr/bin" in tree.tree_shown.keys)
        await browser.press("enter")
        assert tree.cursor_key == "/usr/bin"
        await browser.press("enter")
        await browser.until(lambda: "/app" in tree.tree_shown.keys)
        assert tree.cursor_key == "/usr/bin"
        assert not browser.screen.query("#files-filter.-open")


async def test_a_search_that_finds_nothing_says_so(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await to_files(browser, "app")
        await browser.press("slash")
        await browser.type("zzz")
        await browser.until(lambda: "None of" in browser.text("FileFacts"))


async def test_a_search_can_be_stopped(store: LayerStore, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LayerFiles.walk

    def endless(self: LayerFiles, path: str = "/", **options: Any) -> Any:
        while True:
            yield from whole(self, path, **options)

    monkeypatch.setattr(LayerFiles, "walk", endless)
    async with browsing(place.open) as browser:
        await to_files(browser, "app")
        await browser.pilot.press("slash", "q")
        await browser.until(lambda: "Searching" in browser.text("FileFacts"))
        await browser.pilot.press("enter")
        await browser.until(lambda: "Cancel" in browser.text("KeyBar"))
        await browser.pilot.press("ctrl+x")
        await browser.until(lambda: "stopped" in browser.text("FileFacts"))
        await browser.press("escape")
        assert "/app" in browser.screen.query_one(FilesTree).tree_shown.keys


# Preview in the browser


async def test_a_preview_opens_below_follows_and_closes(store: LayerStore, place: Place) -> None:
    async with browsing(place.open, size=(120, 50)) as browser:
        tree = await to_files(browser, "app")
        panel = browser.screen.query_one(FilesView)
        await open_folder(browser, "/app", "/app/main.py")
        assert panel.preview.has_focus
        assert tree.display
        assert "  1  print(1)" in browser.text("#preview")
        assert "text, 900 B" in browser.text("PreviewHead")
        assert "Bytes" in browser.text("KeyBar")
        await browser.press("escape")
        assert tree.has_focus
        await open_folder(browser, "/etc")
        tree.go_to_key("/etc/os-release")
        await browser.until(lambda: "ID=app" in browser.text("#preview"))
        browser.tree.go_to_key(store.lookup("base"))
        await browser.until(lambda: "ID=debian" in browser.text("#preview"))
        await browser.press("escape")
        assert not panel.previewing


async def test_a_preview_has_colours_and_stays_safe(place: Place) -> None:
    text = b"import os  # \x1b[2J\xff\nNAME = 'caf\xc3\xa9' * 3\n\tpass\n"
    place.open().put(make_tar({"main.py": text}), names=["app"])
    async with browsing(place.open) as browser:
        await to_files(browser, "app")
        await browser.press("enter")
        view = browser.screen.query_one(PreviewView)
        await browser.until(lambda: view.preview is not None and bool(view.preview.tones))
        await browser.settle()
        lines = [[(part.text, part.style and part.style.color) for part in view.render_line(y)] for y in range(3)]
        plain = ["".join(text for text, _ in line).rstrip() for line in lines]
        assert plain == ["   1  import os  # \\x1b[2J\\xff", "   2  NAME = 'café' * 3", "   3          pass"]
        colours = [dict(line) for line in lines]
        others = {colours[0]["import"], colours[0]["# "], colours[1]["3"], colours[0][" os  "]}
        assert len(others) == 4
        assert colours[1]["'café'"] not in others


async def test_on_a_small_screen_the_preview_replaces_the_tree(store: LayerStore, place: Place) -> None:
    async with browsing(place.open, size=(80, 24)) as browser:
        tree = await to_files(browser, "app")
        await open_folder(browser, "/app", "/app/main.py")
        panel = browser.screen.query_one(FilesView)
        assert panel.preview.has_focus
        assert tree.size.height == 0
        await browser.press("tab", "3")
        assert panel.preview.has_focus
        await browser.press("escape")
        assert tree.has_focus
        assert tree.cursor_key == "/app/main.py"


async def test_a_large_file_is_read_as_it_is_scrolled(place: Place) -> None:
    lines = b"".join(b"line %d\n" % number for number in range(200_000))
    store = place.open()
    store.put(make_tar({"big": lines, "zeros": b"\0" * 100}), names=["big"])
    async with browsing(place.open) as browser:
        tree = await to_files(browser, "big")
        await browser.press("enter")
        view = browser.screen.query_one(PreviewView)
        assert view.preview is not None
        assert len(view.preview.data) == FIRST
        assert "65.5 kB of 2.3 MB read" in browser.text("PreviewHead")
        await browser.press("G")
        await browser.until(lambda: view.preview is not None and view.preview.ended)
        await browser.settle()
        assert "line 199999" in browser.text("#preview")
        assert "200000  line" in browser.text("#preview")
        await browser.press("b")
        assert " 0000000  6c 69 6e 65" in browser.text("#preview")
        await browser.press("escape")
        tree.go_to_key("/zeros")
        await browser.press("enter")
        assert "bytes, 100 B" in browser.text("PreviewHead")


async def test_a_preview_stops_at_a_limit_and_says_so(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview_model, "LIMIT", 100_000)
    monkeypatch.setattr("layertui.panels.files.preview.LIMIT", 100_000)
    store = place.open()
    store.put(make_tar({"big": b"0123456789\n" * 50_000}), names=["big"])
    async with browsing(place.open) as browser:
        await to_files(browser, "big")
        await browser.press("enter", "G")
        view = browser.screen.query_one(PreviewView)
        await browser.until(lambda: view.preview is not None and view.preview.full)
        assert view.preview is not None
        assert len(view.preview.data) == 100_000
        assert "first 100.0 kB of 550.0 kB; x extracts" in browser.text("PreviewHead")


async def test_special_files_are_described(place: Place) -> None:
    fifo = tarfile.TarInfo("pipe")
    fifo.type = tarfile.FIFOTYPE
    store = place.open()
    store.put(make_tar({"pipe": fifo, "a": b"text\n", "link": "a", "void": b""}), names=["base"])
    async with browsing(place.open) as browser:
        tree = await to_files(browser, "base")
        for name, expected in (
            ("/pipe", "A FIFO"),
            ("/link", "In this layer it leads to /a"),
            ("/void", "An empty file"),
        ):
            tree.go_to_key(name)
            await browser.press("enter")
            assert expected in browser.text("#preview")
            await browser.press("escape")
        tree.go_to_key("/link")
        await browser.press("enter")
        assert "1  text" in browser.text("#preview")


# Actions on files


async def test_the_path_is_copied(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await to_files(browser, "app")
        await open_folder(browser, "/app")
        await browser.press("j", "y")
        assert browser.app.clipboard == "/app/main.py"


async def test_the_layers_in_which_a_path_occurs(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        tree = await to_files(browser, "app")
        await open_folder(browser, "/etc")
        tree.go_to_key("/etc/os-release")
        await browser.press("w")
        dialog = browser.app.screen
        assert isinstance(dialog, OccurrencesDialog)
        assert [found.layer for found in dialog._occurrences] == [store.lookup("app"), store.lookup("base")]
        await browser.press("j", "enter")
        assert browser.cursor == "base"
        assert browser.tree.has_focus


async def ask_to_extract(browser: Browser, path: str, target: str) -> ExtractDialog:
    tree = browser.screen.query_one(FilesTree)
    tree.go_to_key(path)
    await browser.press("x")
    dialog = browser.app.screen
    assert isinstance(dialog, ExtractDialog)
    dialog.query_one(PathInput).put(target)
    await browser.pilot.pause(0.3)
    return dialog


async def test_a_file_is_extracted(store: LayerStore, place: Place, tmp_path: Path) -> None:
    async with browsing(place.open) as browser:
        await to_files(browser, "app")
        await open_folder(browser, "/app")
        dialog = await ask_to_extract(browser, "/app/main.py", str(tmp_path))
        assert f"New: {tmp_path}/main.py" in str(dialog.query_one("#found", Static).render())
        await browser.press("ctrl+s")
        await browser.until((tmp_path / "main.py").exists)
        assert (tmp_path / "main.py").read_bytes() == b"print(1)\n" * 100
        assert "1 file, 900 B" in browser.text("JobsStrip")


async def test_overwriting_asks(store: LayerStore, place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "mine").write_text("keep")
    async with browsing(place.open) as browser:
        await to_files(browser, "app")
        dialog = await ask_to_extract(browser, "/app", str(tmp_path))
        assert str(dialog.query_one("#extract", Button).label) == "Overwrite…"
        await browser.press("enter")
        await browser.until(lambda: browser.app.screen is not dialog)
        await browser.press("n")
        assert browser.app.screen is dialog
        assert (folder / "mine").exists()
        await browser.press("enter")
        await browser.until(lambda: browser.app.screen is not dialog)
        await browser.press("y")
        await browser.until((folder / "main.py").exists)
        assert not (folder / "mine").exists()


async def test_a_folder_is_extracted_as_a_tar(store: LayerStore, place: Place, tmp_path: Path) -> None:
    async with browsing(place.open) as browser:
        await to_files(browser, "app")
        dialog = await ask_to_extract(browser, "/app", str(tmp_path))
        dialog.query_one("#form").focus()
        await browser.press("right", "ctrl+s")
        await browser.until((tmp_path / "app.tar").exists)
        with tarfile.open(tmp_path / "app.tar") as tar:
            assert tar.getnames() == ["app", "app/main.py"]


async def test_an_invalid_target_is_refused(store: LayerStore, place: Place, tmp_path: Path) -> None:
    async with browsing(place.open) as browser:
        await to_files(browser, "app")
        dialog = await ask_to_extract(browser, "/app", str(tmp_path / "none" / "x"))
        assert dialog.query_one("#extract", Button).disabled
        await browser.press("ctrl+s")
        assert browser.app.screen is dialog


async def test_skipped_files_are_reported(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_root()
    null = tarfile.TarInfo("dev/null")
    null.type, null.devmajor, null.devminor = tarfile.CHRTYPE, 1, 3
    place.open().put(make_tar({"dev": None, "dev/null": null, "dev/file": b"x"}), names=["base"])
    async with browsing(place.open) as browser:
        await to_files(browser, "base")
        await open_folder(browser, "/dev")
        assert "1, 3" in tree_text(browser)
        await ask_to_extract(browser, "/dev", str(tmp_path / "out"))
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        await browser.press("ctrl+s")
        await browser.until(lambda: isinstance(browser.app.screen, SkippedDialog))
        view = browser.app.screen.query_one("LinesView")
        assert "/dev/null  only root may create a device" in view.render_line(0).text
        monkeypatch.undo()
    assert os.listdir(tmp_path / "out") == ["file"]


async def test_the_list_of_skipped_files(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        done = Extracted("/x\x1b", 3, 1, 9, [Skipped("/a\n[red]", "no \x1b[1m"), Skipped("/dev/null", "only root")])
        show_extracted(browser.screen.browser, done)
        await browser.settle()
        dialog = browser.app.screen
        assert isinstance(dialog, SkippedDialog)
        view = dialog.query_one("LinesView")
        shown = "\n".join(view.render_line(y).text for y in range(view.size.height))
        assert "/a\\n[red]  no \\x1b[1m" in shown
        assert "/dev/null  only root" in shown
        await browser.press("escape")


# Errors


@pytest.mark.parametrize(
    "error",
    [NotSupported("the layer is a composefs image: \x1b"), StoreAccess("/x", "Permission denied", "use sudo")],
)
async def test_a_layer_without_files_is_explained(
    store: LayerStore, place: Place, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    whole = LayerStore.files

    def refuse(self: LayerStore, ref: str) -> LayerFiles:
        if ref == store.lookup("app"):
            raise error
        return whole(self, ref)

    monkeypatch.setattr(LayerStore, "files", refuse)
    async with browsing(place.open) as browser:
        browser.tree.go_to_key(store.lookup("app"))
        await browser.settle()
        await browser.press("3")
        note = str(browser.screen.query_one("#files-note", Static).render())
        assert note.startswith("Cannot show the files: ")
        assert "\x1b" not in note
        assert len(browser.app.screen_stack) == 2
        browser.tree.go_to_key(store.lookup("base"))
        await browser.settle()
        assert "etc" in tree_text(browser)


async def test_opening_a_folder_of_a_deleted_layer_moves_on(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        tree = await to_files(browser, "tool")
        store.delete("tool")
        tree.go_to_key("/usr")
        await browser.pilot.press("enter")
        await browser.until(lambda: browser.cursor != "tool")
        await browser.settle()
        assert len(browser.app.screen_stack) == 2
        assert tree.origins.layer_id == browser.screen.browser.row.id  # type: ignore[union-attr]


async def test_a_deleted_folder_is_explained(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await to_files(browser, "app")
        shutil.rmtree(next(iter(store.paths("app").values())) / "opt")
        await open_folder(browser, "/opt")
        assert "Cannot read the folder: no file '/opt'" in tree_text(browser)


async def test_the_palette_has_the_actions(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await to_files(browser, "app")
        await open_folder(browser, "/app")
        await browser.press("j", "ctrl+p")
        await browser.pilot.press(*"copy path")
        await browser.pilot.pause(0.5)
        await browser.pilot.press("enter")
        await browser.until(lambda: browser.app.clipboard == "/app/main.py")


async def test_a_panel_takes_the_screen_from_a_zoomed_list_and_gives_it_back(store: LayerStore, place: Place) -> None:
    async with browsing(place.open, size=(80, 24)) as browser:
        await browser.press("z", "3")
        tree = browser.screen.query_one(FilesTree)
        assert tree.has_focus
        assert "etc/" in tree_text(browser)
        assert tree.size.height > 10
        await browser.press("w", "enter")
        assert browser.tree.has_focus
        assert browser.tree.size.height > 3


async def test_reload_drops_the_content_of_folded_folders(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        tree = await to_files(browser, "app")
        await open_folder(browser, "/opt", "/opt")
        assert "/opt" not in tree.opened
        (next(iter(store.paths("app").values())) / "opt/new").write_text("x")
        await browser.press("R")
        await open_folder(browser, "/opt")
        assert "/opt/new" in tree.tree_shown.keys
