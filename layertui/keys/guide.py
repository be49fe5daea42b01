"""What the help says: the keys by group, and what signs and colours mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textual.binding import Binding
from textual.content import Content

from layertui.keys.actions import (
    APP_BINDINGS,
    CHANGES_BINDINGS,
    CHECK_BINDINGS,
    FIELDS_BINDINGS,
    FILES_BINDINGS,
    FILTER_BINDINGS,
    FINDINGS_BINDINGS,
    JSON_BINDINGS,
    LAYER_TREE_BINDINGS,
    LAYERS_BINDINGS,
    LINEAGE_BINDINGS,
    PREVIEW_BINDINGS,
    TREE_BINDINGS,
    WASTE_BINDINGS,
)
from layertui.keys.keymap import Keymap, all_bindings, remapped, written_keys
from layertui.keys.keynames import with_keys

Entry = tuple[str, str, str, str]

NO_KEYMAP: Keymap = {}


def help_sections(display: Callable[[Binding], str], keymap: Keymap = NO_KEYMAP) -> list[tuple[str, list[Entry]]]:
    """Return the keys by group, as they are remapped; `display` writes a key as people know it."""

    def entries(bindings: Iterable[Binding], *, keyless: bool = False) -> list[Entry]:
        chosen = [remapped(binding, keymap) for binding in bindings]
        return [_entry(binding, display) for binding in chosen if keyless is not bool(written_keys(binding))]

    layer = [binding for binding in LAYERS_BINDINGS if (binding.id or "").startswith("layer.")]
    others = [binding for binding in LAYERS_BINDINGS if binding not in layer]
    panels = [binding for binding in others if (binding.id or "").startswith("pane")]
    rest = [binding for binding in others if binding not in panels]
    every = all_bindings().values()
    palette = with_keys("In the palette ({app.palette}), and on a key if you give it one")
    return [
        ("Layer", entries(layer)),
        ("List", entries([*LAYER_TREE_BINDINGS, *rest])),
        ("Panels", entries(panels)),
        ("Moving in lists and trees", entries(TREE_BINDINGS)),
        ("In Summary", entries(FIELDS_BINDINGS)),
        ("In Changes", entries(CHANGES_BINDINGS)),
        ("In Files", entries(FILES_BINDINGS)),
        ("In a preview", entries(PREVIEW_BINDINGS)),
        ("In Lineage", entries(LINEAGE_BINDINGS)),
        ("In Waste", entries(WASTE_BINDINGS)),
        ("In JSON", entries(JSON_BINDINGS)),
        ("In the check", entries([*FINDINGS_BINDINGS, *CHECK_BINDINGS])),
        ("In the filter", entries(FILTER_BINDINGS)),
        ("Program", entries(APP_BINDINGS)),
        (palette, entries((binding for binding in every if not written_keys(binding)), keyless=True)),
        ("Without a key, as config.toml says", entries(filter(written_keys, every), keyless=True)),
    ]


def filter_words() -> tuple[str, list[Entry]]:
    """Return what the filter of the list understands, as a section of the help."""
    words = {
        "words": "each in the ID, a name, or that of an image or container that needs the layer",
        "is:unused": "no image and no container needs it; is:used: one does",
        "is:mounted": "mounted now; is:stale: only recorded as mounted",
        "is:incomplete": "not all of its content is there",
        "is:broken": "the chain below it is broken",
        "is:readonly": "its record says so; is:shared: it lies in an additional image store",
        "is:named": "it has a name",
        "is:leaf": "nothing is built on it; is:root: it is built on nothing",
        "size:>100MB": "its own size; also >=, <, <=, and k, M, G",
    }
    return "What the filter of the list takes, and all of it must hold", [
        ("", word, meaning, "") for word, meaning in words.items()
    ]


def legend() -> list[tuple[Content, str]]:
    """Return signs as the screen draws them, and their meaning."""
    return [
        (Content("╭ │ ╰"), "a chain of layers, each built on the one above it in the list"),
        (Content("├─ ╰─"), "layers that are built on the same parent"),
        (Content("▸ +3"), "folded: three layers are hidden"),
        (Content.styled("●", "bold $text-accent"), with_keys("marked with {layers.mark}")),
        (Content.styled("mounted×2", "$text-success"), "mounted, asked for twice"),
        (Content.styled("mounted×0", "$text-success"), "mounted, but nobody has counted it, as after a crash"),
        (Content.styled("↗mounted", "$text-success"), "mounted, in the mount namespace of another program"),
        (
            Content.styled("!stale mount", "$text-warning"),
            with_keys("recorded as mounted, but it is not; {layer.unmount} clears the record"),
        ),
        (
            Content.styled("=base", "$text-warning"),
            with_keys("changes are shown against this layer; {layer.compare-from} takes it away"),
        ),
        (Content.styled("◀", "$text-warning"), "the layer that a lineage is about"),
        (Content.styled("read-only", "$foreground 60%"), "cannot be written to"),
        (Content.styled("volatile", "$foreground 60%"), "of a container that is not kept over a reboot"),
        (Content.styled("shared", "$foreground 60%"), "lies in an additional image store, which is only read here"),
        (Content.styled("incomplete", "$text-warning"), "not all of its content is there"),
        (Content.styled("!no parent", "bold $text-error"), "the record of its parent is missing"),
        (Content.styled("!cycle", "bold $text-error"), "its parents lead back to itself"),
        (Content("inc mnt shr"), "incomplete, mounted, shared, where room is short; vol is volatile, ro read-only"),
        (Content.styled("unused", "$foreground 60%"), "no image and no container needs it"),
        (Content.styled("nginx", "bold $text-secondary"), "an image that ends in this layer"),
        (Content.styled("[web]", "bold $text-secondary"), "a container on this layer"),
        (Content.styled("A", "bold $text-success"), "added"),
        (Content.styled("M", "bold $text-warning"), "modified"),
        (Content.styled("D", "bold $text-error"), "deleted"),
        (Content.styled("~", "bold $text-warning"), "a folder in which the layer changed something"),
        (Content("12 MB+"), "at least: a size in the sum is not known"),
        (Content.styled("\\x1b", "$text-warning"), "a character of a name that a terminal would obey or not show"),
        (Content("$'a\\nb'"), "such a name as it is copied: one word of the shell, which runs nothing in it"),
    ]


def _entry(binding: Binding, display: Callable[[Binding], str]) -> Entry:
    return (_keys(binding, display), binding.description, binding.tooltip, str(binding.id))


def _keys(binding: Binding, display: Callable[[Binding], str]) -> str:
    if not written_keys(binding):
        return ""
    keys = [
        binding.with_key(key, binding.key_display if not number else None)
        for number, key in enumerate(binding.key.split(","))
    ]
    return ", ".join(display(key) for key in keys)
