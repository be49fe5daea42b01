"""Tests of the settings file: valid values, error messages, and the keys, theme and order that follow from it."""

from __future__ import annotations

import ast
import contextvars
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from textual.binding import Binding
from textual.css.stylesheet import Stylesheet
from textual.widgets import ContentSwitcher

import layertui
from layerstore.store import LayerStore
from layertui.app import LayertuiApp
from layertui.dialogs.help import HelpLines, HelpScreen
from layertui.keys import actions
from layertui.keys.guide import filter_words, help_sections
from layertui.keys.keymap import (
    UnknownKey,
    all_bindings,
    clashes,
    key_table,
    read_keys,
    remapped,
    use_keymap,
    written_keys,
)
from layertui.keys.sentences import key_of, with_keys
from layertui.model.order import Order
from layertui.model.query import STATES
from layertui.panels.changes.actions import CHANGES_ACTIONS
from layertui.panels.details.fields import FieldList
from layertui.panels.layers.actions.marks import LIST_ACTIONS
from layertui.screens.actions import PLACES
from layertui.screens.main.actions import MAIN_ACTIONS
from layertui.screens.main.palette import LEFT_OUT, MOTIONS, Commands
from layertui.screens.main.screen import LayersScreen
from layertui.settings import Settings, SettingsError, config_path, load_settings, theme_names
from layertui.theme import CONTRAST, DARK, THEMES, usual_theme
from support.browser import NOW, Browser, Place, browsing, wait_for


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def read(file: Path, text: str) -> Settings:
    file.write_text(text)
    return load_settings(file)


# Valid settings


def test_without_a_file_the_defaults_apply(own_home: Path) -> None:
    assert load_settings() == Settings()
    assert config_path() == own_home / "config" / "layertui" / "config.toml"


def test_the_file_in_the_default_location_is_read(own_home: Path) -> None:
    config_path().parent.mkdir(parents=True)
    config_path().write_text('theme = "nord"\nremember = false\n[view]\nsort = "size"\nfollow = 5\n')
    settings = load_settings()
    assert (settings.theme, settings.remember) == ("nord", False)
    assert (settings.view.sort, settings.view.follow) == (Order.SIZE, 5)


@pytest.mark.parametrize(
    "text",
    ['[keys]\n"layer.mount" = "M"', '[keys]\nlayer.mount = "M"', '[keys.layer]\nmount = "M"', 'keys.layer.mount = "M"'],
)
def test_an_id_may_be_quoted_or_not(file: Path, text: str) -> None:
    assert read(file, f'{text}\n[keys.changes]\nmodified = "x"').keymap == {"layer.mount": "M", "changes.modified": "x"}


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("m", "m"),
        (" x , F", "x,F"),
        ("/", "slash"),
        ("slash,-,+", "slash,minus,plus"),
        ("comma", "comma"),
        ("shift+a", "A"),
        ("shift+ctrl+left", "ctrl+shift+left"),
        ("ctrl+/", "ctrl+slash"),
        ("f12,pageup", "f12,pageup"),
        ("ctrl+m", "enter"),
        ("alt+é", "alt+é"),
    ],
)
def test_keys_are_read_as_textual_calls_them(written: str, read_as: str) -> None:
    assert read_keys(written) == read_as


@pytest.mark.parametrize("name", ["", "m,", ",", "ctrl+", "pgup", "hyper-x", "ctrl+ctrll+x", "mm", "<any>", "\x1b"])
def test_unknown_key_names_are_refused(name: str) -> None:
    with pytest.raises(UnknownKey):
        read_keys(name)


# Invalid settings


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('\n\ntheem = "nord"', 3, ["'theem'", "did you mean 'theme'", "view"]),
        ('theme = "norrd"', 1, ["'norrd'", "did you mean 'nord'", "layertui-light"]),
        ("theme = 3", 1, ["theme", "a string", "a number"]),
        ('[view]\n# a\nsrot = "size"', 3, ["'srot' in [view]", "did you mean 'sort'"]),
        ('[view]\nsort = "sise"', 2, ["'sise'", "did you mean 'size'", "total"]),
        ("[view]\nfollow = 0", 2, ["view.follow", ">= 0.2"]),
        ("theme =\n", 1, ["not valid TOML"]),
        ("[view]\n[view]", 2, ["not valid TOML"]),
        ('[keys]\nlayer.mout = "m"', 2, ["'layer.mout'", "did you mean 'layer.mount'", "layertui keys"]),
        ("[keys]\n\n'layer.mount' = 'ctrl-m'", 3, ["layer.mount", "'ctrl-m'", "did you mean"]),
        ('[keys]\nlayer.mount = "escpe"', 2, ["'escpe'", "did you mean 'escape'"]),
        ("[keys.layer]\nmount = 1", 2, ["layer.mount", "a string"]),
        ('[keys]\nlayer.mount = "x"\n"layer.mount" = "c"', 2, ["layer.mount", "twice"]),
        ('[keys]\nlayer.mount = "e"', 2, ["layer.mount and layer.export", "'e'", "list"]),
        ('[keys]\ntree.up = "q,up"', 2, ["tree.up and app.quit", "'q'"]),
        ('[keys]\nlayer.copy = "tab"', 2, ["layer.copy and pane.next", "'tab'"]),
        ('[keys]\n\napp.quit = ""', 3, ["app.quit", "not disabled", actions.WAYS_OUT["app.quit"]]),
        ('[keys]\n"filter.clear" = " "', 2, ["filter.clear", "not disabled"]),
    ],
)
def test_an_error_names_its_line(file: Path, text: str, line: int, words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        read(file, text)
    assert caught.value.problems[0][0] == line
    message = str(caught.value)
    assert message.startswith(f"{file}:{line}: ")
    for word in words:
        assert word in message


def test_all_errors_in_the_keys_are_reported_at_once(file: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read(file, '[keys]\nlayer.mount = "mm"\nno.such = "x"\nlayer.copy = "e"\n')
    assert [line for line, _ in caught.value.problems] == [2, 3, 4]


def test_error_messages_escape_control_characters(file: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read(file, 'theme = "\\u001b[31mred"')
    assert "\x1b" not in str(caught.value)
    assert "red" in str(caught.value)


def test_files_that_cannot_be_settings(tmp_path: Path) -> None:
    for make, words in (
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "cannot be read"),
        (lambda path: path.write_bytes(b"# \xff"), "not valid UTF-8"),
        (lambda path: path.write_bytes(b"#" * (1 << 21)), "larger than"),
    ):
        path = tmp_path / words.replace(" ", "-")
        make(path)
        with pytest.raises(SettingsError, match=words):
            load_settings(path)


def test_swapping_two_keys_is_no_clash_and_the_default_clashes_are_allowed(file: Path) -> None:
    assert list(clashes({})) == []
    assert read(file, '[keys]\nlayer.mount = "e"\nlayer.export = "m"').keymap["layer.export"] == "m"
    assert read(file, '[keys]\nlayer.copy = "v"\nfields.copy = "v"').keymap["fields.copy"] == "v"


# The command line


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "layertui", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL)


def test_errors_are_printed_before_the_screen_starts(file: Path, place: Place) -> None:
    file.write_text('theem = "nord"\n')
    done = run("--config", file, "--root", place.root)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"layertui: {file}:1: unknown setting 'theem'")
    assert run("--config", file, "demo").returncode == 2
    assert run("--config", file.with_name("none"), "keys").returncode == 2


def test_listing_layers_does_not_read_the_settings(own_home: Path, place: Place, store: LayerStore) -> None:
    config_path().parent.mkdir(parents=True)
    config_path().write_text("wrong")
    done = run("--root", place.root, "--runroot", place.run, "layers")
    assert done.returncode == 0


def test_the_printed_key_table_can_be_read_back(file: Path) -> None:
    file.write_text('[keys]\nlayer.mount = "M"\nchanges.modified = "x"\n')
    done = run("--config", file, "keys")
    assert done.returncode == 0
    assert tomllib.loads(done.stdout)["keys"]["layer"]["mount"] == "M"
    keymap = read(file, done.stdout).keymap
    assert keymap.keys() == {name for name, binding in all_bindings().items() if written_keys(binding)}
    assert keymap["layer.mount"] == "M"
    assert keymap["layer.export"] == all_bindings()["layer.export"].key


def test_an_action_without_a_key_is_in_the_printed_table(file: Path) -> None:
    file.write_text('[keys]\n"layer.delete" = ""\n[keys.tree]\nparent = " "\n')
    done = run("--config", file, "keys")
    table = tomllib.loads(done.stdout)["keys"]
    assert (table["layer"]["delete"], table["tree"]["parent"], table["layer"]["mount"]) == ("", "", "m")
    keymap = load_settings(file).keymap
    assert keymap.keys() == {"layer.delete", "tree.parent"}
    again = read(file, done.stdout).keymap
    assert {name: again[name] for name in keymap} == keymap


def test_the_key_of_an_action_without_one_may_be_given_to_another(file: Path) -> None:
    assert read(file, '[keys]\nlayer.delete = ""\nlayer.export = "d,e"').keymap["layer.export"] == "d,e"


# Keys as data


def test_every_table_has_its_place_and_every_key_an_id_a_label_and_a_sentence() -> None:
    groups = {id(group): group for groups in PLACES.values() for group in groups}
    bindings = [action.binding for group in groups.values() for action in group]
    assert len(bindings) == len(all_bindings()) > 80
    assert len({binding.id for binding in bindings}) == len(bindings)
    for binding in bindings:
        assert "." in str(binding.id)
        assert binding.description
        assert binding.tooltip[:1].isupper()
        assert not written_keys(binding) or read_keys(binding.key) == binding.key
    assert key_table(bindings).count("\n") == len(bindings)


def test_the_help_has_every_key_with_its_id(store: LayerStore) -> None:
    told = {entry[3]: entry[0] for _, entries in help_sections(lambda binding: binding.key) for entry in entries}
    assert told.keys() == all_bindings().keys()
    sections = help_sections(lambda binding: binding.key, {"layer.mount": "f9,M"})
    assert next(entry for _, entries in sections for entry in entries if entry[3] == "layer.mount")[0] == "f9, M"


def test_the_help_has_what_has_no_key_and_all_words_of_the_filter() -> None:
    palette = dict(help_sections(lambda binding: binding.key))["In the palette (ctrl+p), or on a key that you choose"]
    assert {entry[3] for entry in palette} == {
        name for name, binding in all_bindings().items() if not written_keys(binding)
    }
    assert {entry[0] for entry in palette} == {""}
    given = {
        entry[3]: (title, entry[0])
        for title, entries in help_sections(lambda binding: binding.key, {"layer.unmount-all": "f5"})
        for entry in entries
    }
    assert given["layer.unmount-all"] == ("Layer", "f5")
    told = " ".join(" ".join(entry) for entry in filter_words()[1])
    assert set(re.findall(r"is:([a-z]+)", told)) == set(STATES)


def test_a_remapped_binding_shows_its_new_key() -> None:
    binding = Binding("equals_sign", "x", "X", key_display="=", id="layer.compare-from")
    assert remapped(binding, {}).key_display == "="
    assert remapped(binding, {"layer.compare-from": "c"}).key_display is None


# In the program


def app_of(place: Place, settings: Settings) -> LayertuiApp:
    return LayertuiApp(place.open, clock=lambda: NOW, settings=settings)


async def test_keys_are_remapped_in_the_list_the_panels_the_tabs_and_the_dialogs_below(
    file: Path, store: LayerStore, place: Place
) -> None:
    settings = read(
        file,
        '[keys]\nlayer.delete = "v"\nlayer.export = "d"\npanel.lineage = "f4"\nlineage.choose = "i"\ntree.down = "N"\n'
        'app.help = "f1"\n',
    )
    app = app_of(place, settings)
    async with app.run_test(size=(120, 36)) as pilot:
        await wait_for(lambda: len(app.screen_stack) > 1 and bool(app.screen.query("#layers")), pilot)
        browser = Browser(app, pilot)
        await browser.settle()
        first = browser.cursor
        await browser.press("j")
        assert browser.cursor == first
        await browser.press("N")
        assert browser.cursor != first
        bar = browser.text("KeyBar")
        assert "v Delete" in bar
        assert "d Export" in bar
        assert re.search("f4 ?Lineage", browser.text("PanelTabs"))
        await browser.press("4")
        assert browser.screen.panel.id == "summary"
        await browser.press("f4", "tab", "N", "i")
        assert browser.screen.panel.id == "lineage"
        assert browser.tree.has_focus
        await browser.press("v")
        assert type(app.screen).__name__ == "DeleteDialog"
        await browser.press("escape", "f1")
        assert isinstance(app.screen, HelpScreen)


async def test_an_action_without_a_key_is_only_in_the_palette(file: Path, store: LayerStore, place: Place) -> None:
    app = app_of(place, read(file, '[keys]\nlayer.delete = ""\npanel.json = ""\ntree.last = ""\n'))
    async with app.run_test(size=(120, 36)) as pilot:
        await wait_for(lambda: len(app.screen_stack) > 1 and bool(app.screen.query("#layers")), pilot)
        browser = Browser(app, pilot)
        await browser.settle()
        assert "Delete" not in browser.text("KeyBar")
        assert "no-key" not in browser.text("KeyBar") + browser.text("PanelTabs")
        await browser.press("d", "6", "G")
        assert isinstance(app.screen, LayersScreen)
        assert (browser.screen.panel.id, browser.tree.cursor_line) == ("summary", 0)
        commands = Commands(browser.screen)
        assert {(title, key) for title, key, _, _ in commands._commands()} >= {("Delete", ""), ("Export", "e")}
        await browser.press("question_mark", "slash", *"delete the")
        shown = "\n".join(line.plain for line in app.screen.query_one(HelpLines).lines)
        assert "Without a key, according to config.toml" in shown
        assert "no-key" not in shown


async def test_messages_name_the_configured_keys(file: Path, store: LayerStore, place: Place) -> None:
    settings = read(
        file,
        '[keys]\nlayers.mark = "f4"\nlayer.swap = "f7,X"\nlayer.compare-from = "f8"\nlayers.back = "f9"\n'
        'layers.compare-marked = "f2"\nlayer.unmount-all = "shift+f3"\ncheck.deep = "f6"\n',
    )
    app = app_of(place, settings)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await wait_for(lambda: len(app.screen_stack) > 1 and bool(app.screen.query("#layers")), pilot)
        browser = Browser(app, pilot)
        await browser.settle()

        def told() -> str:
            return " ".join(note.message for note in app._notifications)

        await browser.press("f2")
        assert "Mark exactly two layers with f4" in told()
        await browser.press("f7")
        assert "f8 chooses another layer" in told()
        await browser.press("U")
        assert "f4 marks" in told()
        await browser.press("f4", "down", "f4", "f2")
        assert "f7 swaps them, f8 stops comparing" in told()
        assert "marked with f8" in browser.text("ChangesSummary")
        await browser.press("slash", "q", "q", "enter")
        await browser.until(lambda: "f9 clears it" in browser.text("#empty"))
        await browser.press("f9", "c")
        await browser.until(lambda: any("f6 reads every" in str(part.render()) for part in app.screen.query("Static")))
        await browser.press("escape", "question_mark", "slash", *"f4")
        assert "marked with f4" in "\n".join(line.plain for line in app.screen.query_one(HelpLines).lines)


def test_an_action_without_a_key_is_named_by_its_title_in_the_palette(file: Path) -> None:
    assert key_of("layer.unmount-all") == "ctrl+p: Unmount for all users"
    assert with_keys("{layer.swap}, {layers.filter}, {layers.mark}, {layers.back}, {}") == "X, /, space, esc, {}"
    contextvars.copy_context().run(_with_another_key)
    assert key_of("layer.swap") == "X"


def _with_another_key() -> None:
    use_keymap({"layer.unmount-all": "ctrl+shift+left", "layer.swap": "f5,X"})
    assert with_keys("{layer.unmount-all} {layer.swap}") == "ctrl+shift+← f5"
    use_keymap({"layer.delete": f"{actions.NO_KEY}layer.delete"})
    assert key_of("layer.delete") == "ctrl+p: Delete"


@pytest.mark.parametrize("groups", PLACES.values(), ids=PLACES.keys())
def test_sentences_of_keys_name_no_key(groups: tuple[actions.Actions, ...]) -> None:
    for binding in (action.binding for group in groups for action in group):
        assert not re.search(r"\b(ctrl|esc|space|enter|tab)\b|\([a-zA-Z]\b", binding.tooltip), binding.id


def test_all_ids_in_messages_exist() -> None:
    sources = Path(layertui.__file__).parent.rglob("*.py")
    found: set[str] = set()
    for node in (node for source in sources for node in ast.walk(ast.parse(source.read_text()))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= set(re.findall(r"\{([a-z]+\.[a-z-]+)\}", node.value))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "key_of":
            found |= {one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    assert found <= all_bindings().keys()
    assert len(found) > 15


async def test_the_configured_theme_and_order_are_used(file: Path, store: LayerStore, place: Place) -> None:
    app = app_of(place, read(file, 'theme = "layertui-light"\n[view]\nsort = "name"'))
    async with app.run_test(size=(120, 36)) as pilot:
        await wait_for(lambda: len(app.screen_stack) > 1 and bool(app.screen.query("#layers")), pilot)
        browser = Browser(app, pilot)
        await browser.settle()
        assert app.theme == "layertui-light"
        assert browser.titles == sorted(browser.titles)


async def test_the_palette_has_every_action_with_its_key(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("2")
        provider = Commands(browser.screen)
        hits = [hit async for hit in provider.discover()]
        assert str(hits[0].prompt) == "Mount  m", "Enter runs the first entry, which must not be Quit"
        told = {str(hit.prompt) for hit in hits}
        assert "Mount  m" in told
        assert "Added  A" in told
        assert "Help  ?" in told
        groups = (MAIN_ACTIONS, LIST_ACTIONS, actions.TREE_ACTIONS, CHANGES_ACTIONS)
        for binding in (action.binding for group in groups for action in group):
            if binding.id not in LEFT_OUT and binding.action.partition("(")[0] not in MOTIONS:
                assert any(hit.text == binding.description for hit in hits), binding.id
        found = [hit async for hit in provider.search("lineage")]
        assert any(str(hit.prompt) == "Lineage  4" for hit in found)
        await next(hit for hit in hits if hit.text == "Lineage").command()  # type: ignore[misc]
        await browser.until(lambda: browser.screen.query_one(ContentSwitcher).current == "lineage")


# Themes


async def test_the_styles_are_parsed_once_per_theme_change(
    store: LayerStore, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_for: list[str] = []
    reparse = Stylesheet.reparse

    def noted(sheet: Stylesheet) -> None:
        read_for.append(app.theme)
        reparse(sheet)

    monkeypatch.setattr(Stylesheet, "reparse", noted)
    app = app_of(place, Settings(theme="layertui-light"))
    async with app.run_test(size=(120, 36)) as pilot:
        await wait_for(lambda: bool(app.screen.query("#layers")), pilot)
        assert read_for == []
        light = app.screen.styles.background
        for theme, seen in (("layertui-contrast", False), ("layertui-light", True)):
            app.theme = theme
            await wait_for(lambda theme=theme: read_for[-1:] == [theme], pilot)
            assert (app.screen.styles.background == light) is seen


def test_our_themes_can_be_chosen_and_sixteen_colours_get_the_contrast_theme() -> None:
    assert theme_names()[: len(THEMES)] == [theme.name for theme in THEMES]
    assert usual_theme("standard") == CONTRAST.name
    assert usual_theme("truecolor") == usual_theme("256") == usual_theme(None) == DARK.name


async def test_without_colour_the_cursor_is_reversed_and_unreadable_themes_are_not_offered(
    store: LayerStore, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = app_of(place, Settings(theme="ansi-dark"))
    async with app.run_test(size=(120, 36)) as pilot:
        await wait_for(lambda: len(app.screen_stack) > 1 and bool(app.screen.query("#layers")), pilot)
        browser = Browser(app, pilot)
        await browser.settle()
        assert app.theme in {theme.name for theme in THEMES}
        line = browser.tree.render_line(browser.tree.cursor_line)
        assert all(segment.style is not None and segment.style.reverse for segment in line)
        other = browser.tree.render_line(browser.tree.cursor_line + 1)
        assert not any(segment.style is not None and segment.style.reverse for segment in other)
        assert len({segment.style.color for segment in line if segment.style is not None}) == 1
        place.rewrite(lambda records: records[0].update(parent="9" * 64))
        await browser.press("R", "g")
        line = browser.tree.render_line(0)
        assert "!no parent" in line.text
        assert len({(segment.style.color, segment.style.bgcolor, segment.style.reverse) for segment in line}) == 1
        await browser.press("1", "1")
        fields = browser.screen.query_one(FieldList)
        line = next(line for line in map(fields.render_line, range(9)) if "Problem" in line.text)
        assert len({(segment.style.color, segment.style.reverse) for segment in line if segment.style}) == 1


def luminance(colour: tuple[float, float, float]) -> float:
    parts = [part / 255 for part in colour]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def ratio(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [theme.name for theme in THEMES])
async def test_all_text_of_a_row_has_enough_contrast(store: LayerStore, place: Place, theme: str) -> None:
    app = app_of(place, Settings(theme=theme))
    async with app.run_test(size=(120, 36)) as pilot:
        await wait_for(lambda: len(app.screen_stack) > 1 and bool(app.screen.query("#layers")), pilot)
        browser = Browser(app, pilot)
        await browser.settle()
        for y in range(len(browser.titles)):
            for segment in browser.tree.render_line(y):
                if not any(letter.isalnum() for letter in segment.text):
                    continue
                style = segment.style
                assert style is not None
                assert style.color is not None
                assert style.bgcolor is not None
                found = ratio(tuple(style.color.get_truecolor()), tuple(style.bgcolor.get_truecolor()))
                assert found >= 4.5 or y == browser.tree.cursor_line, f"{segment.text!r}: {found:.1f}"
                assert found >= 3.5, f"{segment.text!r} under the cursor: {found:.1f}"
