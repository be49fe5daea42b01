"""Every screen with hostile names from disk, in a terminal that checks every byte the program sends."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from textual.screen import Screen

import layertui
from layertui.screens.actions import PLACES
from support.hostile import HOSTILE, ODD, ODD_SHOWN, SHOWN, HostileStore, odd_process
from support.strict import StrictTerminal, unfit
from support.tars import make_tar

ESC = "\x1b"


def screen_classes() -> set[str]:
    """Return the names of all screens that the program can show: the screen classes without subclasses."""
    for module in pkgutil.walk_packages(layertui.__path__, "layertui."):
        if module.name != "layertui.__main__":
            importlib.import_module(module.name)

    def below(kind: type) -> Iterator[type]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    return {
        kind.__name__
        for kind in below(Screen)
        if kind.__module__.startswith("layertui.")
        and not any(other.__module__.startswith("layertui.") for other in kind.__subclasses__())
        and "[" not in kind.__name__
    }


class Walk:
    """One run of the program. `screens` and `places` are those that were seen so far."""

    def __init__(self, store: HostileStore, *arguments: str) -> None:
        self.store = store
        environ = {**os.environ, "HOME": str(store.folder), "SHELL": "/bin/sh"}
        environ |= {f"XDG_{name}_HOME": str(store.folder / name) for name in ("CONFIG", "STATE", "CACHE")}
        for name in ("NO_COLOR", "COLORTERM", "COLUMNS", "LINES", "CONTAINERS_STORAGE_CONF"):
            environ.pop(name, None)
        command = [sys.executable, "-m", "layertui", *(arguments or store.arguments)]
        self.terminal = StrictTerminal(command, environ, str(store.work))
        self.copies = 0
        self.screens: set[str] = set()
        self.places: set[str] = set()

    def see(self, *texts: str, screen: str = "", place: str = "") -> None:
        """Wait for texts on the screen, and note the screen or place that they prove to be visible."""
        self.terminal.wait_for(*texts)
        if screen:
            self.screens.add(screen)
        if place:
            self.places.add(place)

    def press(self, keys: str, *texts: str, screen: str = "", place: str = "") -> None:
        """Type keys, and wait for their effect."""
        self.terminal.type(keys)
        self.see(*texts, screen=screen, place=place)

    def leave(self, title: str, keys: str = ESC) -> None:
        """Type keys that close a dialog, and wait until its title disappears."""
        self.terminal.type(keys)
        self.terminal.wait(lambda shown: title not in shown, f"{title!r} to go")

    def to_layer(self, name: str = "") -> None:
        """Press escape until the list has the focus, and move to one of the first two layers."""
        for _ in range(6):
            if "space Mark" in self.terminal.shown:
                break
            self.terminal.type(ESC)
            self.terminal.settle()
        self.press("g" if name == "base" else "gj", "space Mark", f"╮╭─ {name}-layer ─")

    def find_lone(self) -> None:
        """Filter the list for the layer `lone`, and keep the filter."""
        self.to_layer("base")
        self.press("/", "⏎ To the list")
        self.press("lone", "1 of 33")
        self.press("\r", "space Mark", "lone-layer")

    def copy(self, keys: str, says: str) -> str:
        """Type keys that copy, and return the copied text, which must be safe to paste into a shell."""
        before = self.copies
        assert len(self.terminal.copied) == before, "nothing else was copied"
        self.copies += 1
        self.terminal.type(keys)
        self.terminal.wait(lambda shown: len(self.terminal.copied) > before and says in shown, f"{says!r} and a copy")
        (text,) = self.terminal.copied[before:]
        assert unfit(text.replace("\n", "")) == ""
        return text


@pytest.fixture
def store() -> Iterator[HostileStore]:
    with tempfile.TemporaryDirectory(prefix="lt") as folder:  # a short path, so dialogs do not cut it
        yield HostileStore(Path(folder))


@pytest.fixture
def walk(store: HostileStore) -> Iterator[Walk]:
    walk = Walk(store)
    yield walk
    walk.terminal.close()


def test_no_screen_sends_control_characters_of_names(walk: Walk) -> None:
    for step in STEPS:
        step(walk)
        assert not walk.terminal.problems, f"{step.__name__}: {walk.terminal.problems}"
    walk.terminal.type("q")
    assert walk.terminal.ended() == 0
    assert not walk.terminal.problems
    assert len(walk.terminal.copied) == walk.copies
    assert set(PLACES) - walk.places == set()
    assert screen_classes() - walk.screens == ELSEWHERE


ELSEWHERE = {"OpeningScreen"}
"""The screens that another test of this file shows."""


@pytest.fixture(scope="module", autouse=True)
def locked() -> Iterator[Walk]:
    """Start the program on a store locked by a process with a hostile name. It times out while other tests run."""
    holder = "import fcntl, sys, time; lock = open(sys.argv[1], 'r+'); fcntl.lockf(lock, fcntl.LOCK_EX)"
    holder += "; print(flush=True); time.sleep(300)"
    with tempfile.TemporaryDirectory(prefix="lt") as name:
        store = HostileStore(Path(name))
        command = [sys.executable, "-c", holder, os.fspath(store.root / "vfs-layers/layers.lock")]
        with odd_process(command, store.folder, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            walk = Walk(store, *store.arguments, "--driver", "vfs")
            walk.terminal.wait_for(r"\x1b]0;evil\x07p\u009b (PID ", "has the store locked")
            yield walk
            walk.terminal.close()
            process.stdout.close()


def test_a_store_that_cannot_be_opened_is_escaped(locked: Walk) -> None:
    terminal, folder = locked.terminal, locked.store.root / "vfs-layers"
    terminal.wait_for("Store is locked", f"{ODD_SHOWN}/vfs-layers/layers.lock", r"Held by    \x1b]0;evil\x07p\u009b")
    (folder / "layers.lock").unlink()
    (folder / "layers.json").write_text('[{"id": "\x9b\u202e", "x": ]')
    terminal.type("r")
    terminal.wait_for("Store corrupt", f"{ODD_SHOWN}/vfs-layers/layers.json")
    assert not terminal.problems
    terminal.type("q")
    assert terminal.ended() == 0


@pytest.mark.parametrize("key", [key for key in SHOWN if key not in ("markup", "action")] + ["pile"])
def test_the_strict_terminal_detects_hostile_output(store: HostileStore, key: str) -> None:
    write = "import sys; sys.stdout.buffer.write(b'\\x1b[?1049h' + sys.argv[1].encode() + b'\\x1b[?1049l')"
    terminal = StrictTerminal([sys.executable, "-c", write, f"{key}:{HOSTILE[key]}"], os.environ, str(store.work))
    try:
        terminal.ended()
        assert terminal.problems or terminal.copied == ["evil"]
    finally:
        terminal.close()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["layers"], f"name: {SHOWN['clip']}@base"),
        (["layers", f"x{ODD}"], f"unrecognized arguments: x{ODD_SHOWN}"),
        (["check"], SHOWN["bell"]),
        (["check", f"x{ODD}"], f"x{ODD_SHOWN}"),
        (["--root", f"/nowhere{ODD}", "layers"], f"/nowhere{ODD_SHOWN}"),
        (["--driver", f"x{ODD}", "layers"], f"x{ODD_SHOWN}"),
        (["--storage-opt", f"x{ODD}=1", "layers"], f"x{ODD_SHOWN}"),
        (["--config", "odd.toml"], r"odd.toml: unknown setting 'x\x9b\u202e\u2028'"),
        (["--config", f"none{ODD}"], f"none{ODD_SHOWN}"),
        (
            [
                "keys",
            ],
            "[keys]",
        ),
    ],
)
def test_the_command_line_escapes_names(store: HostileStore, arguments: list[str], says: str) -> None:
    (store.work / "odd.toml").write_text('"x\x9b\u202e\u2028" = 1\n', encoding="utf-8")
    own = [] if "--root" in arguments else store.arguments
    own += [] if "--driver" in arguments else ["--driver", "vfs"]
    walk = Walk(store, *own, *arguments)
    try:
        walk.terminal.ended(20)
        assert not walk.terminal.problems
        assert says in walk.terminal.written
    finally:
        walk.terminal.close()


def choose_a_store(walk: Walk) -> None:
    walk.see("Choose a store", "33 layers", f"{ODD_SHOWN}, overlay and vfs", screen="DriverDialog")
    walk.press("\r", "base-layer", SHOWN["zero"] + "@i", "wide:日本語 🚀@i", screen="LayersScreen", place="list")


def summary(walk: Walk) -> None:
    walk.press("1", "y Copy field", place="Summary")
    walk.see(*(SHOWN[key] for key in ("clip", "dcs", "c1", "bidi", "lines", "breaks", "action")))
    assert walk.copy("jjy", "Copied value: " + SHOWN["clip"]) == "$'clip:\\033]52;c;ZXZpbA==\\007@base'"
    walk.press("G", f"{ODD_SHOWN}/vfs/dir/")
    for _ in range(5):  # past metadata, flags, big data, label and users
        walk.terminal.type("\x02")
        walk.terminal.read(0.05)


def changes(walk: Walk) -> None:
    walk.to_layer("top")
    walk.press("2", "against base-layer, its parent", f"D ├─ {SHOWN['clip']}")
    walk.press("2", "A Added", place="Changes")
    walk.see(f"├─ {SHOWN['lines']}", r"├─ bytes:\x9b31m\xff", SHOWN["bidi"])
    walk.press("/", "⏎ To the list", place="filter")
    walk.terminal.paste("bidi\u202e\u200b:\u2066g\n\x9b31m")
    walk.see("/ bidi:g")
    walk.press(ESC, "A Added")


def files(walk: Walk) -> None:
    walk.to_layer("base")
    walk.press("3", SHOWN["title"] + ".d/", "▸ dir/")
    walk.press("3", "y Copy path", place="Files")
    walk.press("/", "⏎ To the list")
    walk.press("lines:", "3 of ")
    walk.press("\r", "y Copy path")
    assert walk.copy("y", "Copied path: /dir/" + SHOWN["lines"]) == "$'/dir/lines:two\\nlines\\r\\ttab'"
    walk.press("\r", SHOWN["c1"], SHOWN["bidi"], r"bytes:\x9b31m\xff", "b Bytes", place="preview")
    walk.press("b", "63 6c 69 70 3a 1b 5d 35")
    walk.leave("b Bytes")
    walk.press("G", r"→ /dir/lines:two\nlines\r\ttab", r"Symbolic link to ../dir/lines:two\nlines\r\ttab")
    walk.leave("Symbolic link", ESC)
    walk.press("w", "Found in 1 layer of the chain", "/links/" + SHOWN["lines"], screen="OccurrencesDialog")
    walk.leave("of the chain")


def extract(walk: Walk) -> None:
    walk.press("x", "Extract from base-layer", "/links/" + SHOWN["lines"], screen="ExtractDialog")
    walk.press("\x0f", "Extract to", screen="SafeSave")
    walk.leave("Extract to")
    walk.press("\x13", "Extracted", rf"/\xffw{ODD_SHOWN}/lines:")


def skipped(walk: Walk) -> None:
    walk.press(ESC, SHOWN["title"] + ".d/", "▸ dir/")
    walk.terminal.type("g" + "j" * 9)
    walk.press("x", "Extract from base-layer", "/dir  and its contents")
    walk.press(
        "\x13", "1 file skipped", rf"/\xffw{ODD_SHOWN}/dir", rf"/dir/closed{ODD_SHOWN}\xff", screen="SkippedDialog"
    )
    walk.leave("file skipped")


def lineage_waste_json(walk: Walk) -> None:
    walk.to_layer("top")
    walk.press("4", SHOWN["bell"])
    walk.press("4", "⏎ Go to", place="Lineage")
    walk.press("5", "efficient", "/dir/" + SHOWN["bidi"])
    walk.press("5", "⏎ Layers", place="Waste")
    walk.terminal.type("\r")
    assert walk.copy("y", "Copied path: /dir/act") == "/dir/action:[@click=app.quit]x[|]"
    walk.press("6", r'"title:\u001b]0;evil\u0007@top"')
    walk.press("6", "⏎ Fold", place="JSON")
    record = json.loads(walk.copy("y", "Copied the record"))
    assert record["names"][1] == f"clip:{HOSTILE['clip']}@top"


def editors(walk: Walk) -> None:
    walk.to_layer("top")
    walk.press("r", "Names of top", SHOWN["clip"] + "@top", SHOWN["bell"] + "@top", screen="NamesDialog")
    walk.press("je", "Name ", "esc Cancel")
    walk.leave("⏎ OK")
    walk.leave("Names of top")
    walk.press("f", "Flags of top", SHOWN["clip"] + r' = "clip:\u001b]52', screen="FlagsDialog")
    walk.press("e", r"\x1b]52")
    walk.leave("⏎ OK")
    walk.leave("Flags of top")
    walk.press("t", "Metadata of top", r'"bell:\u0007\b\x7f"', screen="MetadataDialog")
    walk.press("\x14", "it is saved as typed", r'"c1:\u009b31m\u009d0;evil\u009c"')
    walk.press("\x14", "to indent it for reading")
    walk.terminal.paste("pasted\u202e\u200b\u2028\n\tmore")
    walk.see("pasted", "edited")
    walk.press(ESC, "Discard changes?", screen="ConfirmDialog")
    walk.press("y", "space Mark")
    walk.press("y", "Copy from top", SHOWN["clip"] + "@top", screen="CopyMenu")
    assert walk.copy("2", "Copied name: " + SHOWN["clip"]) == "$'clip:\\033]52;c;ZXZpbA==\\007@top'"


def export_and_create(walk: Walk) -> None:
    walk.to_layer("top")
    walk.press("e", "Export top", "Browse…", screen="ExportDialog")
    walk.leave("Export top")
    walk.to_layer("base")
    walk.press("e", "Export base", "✓ New file")
    walk.press("\x13", "Exported", rf"\xffw{ODD_SHOWN}/base")
    walk.press("n", "New layer", "base-layer", screen="CreateDialog")
    walk.press("\t\r", "Part of an ID or name", SHOWN["zero"] + "@i", screen="LayerPicker")
    walk.terminal.paste("bidi:\u202e\u200bg\n\x9b")
    walk.see("bidi:g", "No matching layers")
    walk.press("\x15", "33 layers")
    walk.press("@row", SHOWN["bidi"] + "@row")
    walk.press("\r", "▾ clip:\\x1b]52;c;")
    walk.press(f"{ESC}[Z", "Parent")
    walk.press("l", "from a tar", "Browse…")
    walk.press("\x0f", "Create a layer from", screen="SafeOpen")
    walk.leave("Create a layer from")
    walk.leave("New layer")


def delete_and_apply(walk: Walk) -> None:
    walk.to_layer("top")
    walk.press("d", "Delete 1 layer?", "✗ child layer clip:\\x1b]52;", "Include", screen="DeleteDialog")
    walk.press("i", SHOWN["clip"] + "@images becomes", "podman rmi " + SHOWN["clip"])
    walk.leave("cannot be undone")
    (walk.store.work / "bad.tar").write_bytes(make_tar({f"../out{ODD}": b"x"}))
    walk.press("a", "Apply a tar to top", "Diff now", screen="ApplyDialog")
    walk.press("bad.tar", "uncompressed")
    walk.press("\x13", "Change top while it is in use?", f"{SHOWN['clip']}@images")
    walk.press("y", "System error", rf"dir/closed{ODD_SHOWN}\xff", screen="ErrorDialog")
    assert rf"Path: dir/closed{ODD_SHOWN}\xff" in walk.copy("y", "Copied")
    walk.leave("System error")
    walk.find_lone()
    walk.press("a", "Apply a tar to lone", "Diff now")
    walk.press("bad.tar", "uncompressed")
    walk.press("\x13", "Invalid tar", f"../out{ODD_SHOWN}")
    walk.leave("Invalid tar")


def mounts(walk: Walk) -> None:
    path = walk.store.path_of("lone")
    quoted = str(walk.store.folder) + "/g\\033]0;evil\\007\\342\\200\\256[red]/vfs/dir/lone"
    assert walk.copy("m", "the path is copied") == f"$'{quoted}'"
    walk.see(f"{ODD_SHOWN}/vfs/dir/lone", "mounted")
    with odd_process(["sleep", "60"], walk.store.folder, cwd=path):
        walk.press("u", "Unmount lone?", r"has its working folder here: \x1b]0;evil\x07sleep 60")
        walk.leave("Unmount lone?", "n")
        walk.press("d", "In use by processes", r"lone: \x1b]0;evil\x07sleep 60")
        walk.leave("In use by processes")
    walk.press("s", "Shell in lone", "lone-layer", screen="ShellDialog")
    walk.press("\r", "the host's shell", f"{ODD_SHOWN}/vfs/dir/lone", "[layer lone]")
    walk.press("exit\n", "lone-layer", "? Help")
    walk.press(ESC, "base-layer")


def stale(walk: Walk) -> None:
    walk.to_layer("base")
    walk.press("G" + "k" * 8, f"╮╭─ {SHOWN['bidi']}@row ─")
    walk.press("u", "Clear stale mounts?")
    walk.leave("Clear stale mounts?", "n")
    walk.press("m", "System error", f"/g{ODD_SHOWN}/vfs/dir/{SHOWN['bidi']}")
    walk.leave("System error")


def help_and_palette(walk: Walk) -> None:
    walk.press("?", "Help", "i IDs", screen="HelpScreen")
    walk.press("/", "Part of a key or a description")
    walk.terminal.paste("when copied\u202e\x9b")
    walk.see(r"$'a\nb'", "one word for a shell")
    walk.leave("when copied")
    walk.leave("i IDs")
    walk.press("\x10", "Search for commands")
    walk.terminal.paste("screen\u202e\u2066\x9bshot")
    walk.terminal.wait(lambda shown: "screenshot" in shown and "Change the current theme" not in shown, "one command")
    walk.press("\r", "Saved screenshot")
    (picture,) = walk.store.folder.glob("*.svg")
    text = "".join(ET.fromstring(picture.read_bytes()).itertext())
    assert SHOWN["clip"][:16] in text
    assert unfit(text.replace("\n", "").replace("\xa0", " ")) == ""


def check(walk: Walk) -> None:
    walk.press("c", "Check of", f"/g{ODD_SHOWN}", "done", "Damage", SHOWN["bell"], screen="CheckScreen", place="check")
    walk.press("f", "Repair: ", 'Type "repair" to delete', screen="RepairDialog")
    walk.press("repair\r", "1 of 1 step done", "esc Close", screen="ResultsDialog")
    walk.leave("esc Close")
    walk.press(ESC, "base-layer")


STEPS: list[Callable[[Walk], None]] = [
    choose_a_store,
    summary,
    changes,
    files,
    extract,
    skipped,
    lineage_waste_json,
    editors,
    export_and_create,
    delete_and_apply,
    mounts,
    stale,
    help_and_palette,
    check,
]
