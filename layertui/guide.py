"""What the help says: the keys by group, and what signs and colours mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textual.binding import Binding
from textual.content import Content

from layertui.keys import (
    APP_BINDINGS,
    CHANGES_BINDINGS,
    FIELDS_BINDINGS,
    LAYER_TREE_BINDINGS,
    LAYERS_BINDINGS,
    LINEAGE_BINDINGS,
    TREE_BINDINGS,
)

Entry = tuple[str, str, str]

_EXTRA = [
    Binding("tab", "", "Next pane", tooltip="Go to the next pane", id="pane.next"),
    Binding("ctrl+p", "", "Commands", tooltip="Find an action by its name", id="app.palette"),
]


def help_sections(display: Callable[[Binding], str]) -> list[tuple[str, list[Entry]]]:
    """Return the keys by group; `display` writes a key as people know it."""
    layer = [binding for binding in LAYERS_BINDINGS if (binding.id or "").startswith("layer.")]
    others = [binding for binding in LAYERS_BINDINGS if binding not in layer]
    panels = [binding for binding in others if (binding.id or "").startswith("pane")]
    rest = [binding for binding in others if binding not in panels]
    return [
        ("Layer", _entries(layer, display)),
        ("List", _entries([*LAYER_TREE_BINDINGS, *rest], display)),
        ("Panels", _entries([*panels, *_EXTRA[:1]], display)),
        ("Moving in lists and trees", _entries(TREE_BINDINGS, display)),
        ("In Summary", _entries(FIELDS_BINDINGS[-1:], display)),
        ("In Changes", _entries(CHANGES_BINDINGS, display)),
        ("In Lineage", _entries(LINEAGE_BINDINGS, display)),
        ("Program", _entries([*APP_BINDINGS[:2], *_EXTRA[1:]], display)),
    ]


def legend() -> list[tuple[Content, str]]:
    """Return signs as the screen draws them, and their meaning."""
    return [
        (Content("╭ │ ╰"), "a chain of layers, each built on the one above it in the list"),
        (Content("├─ ╰─"), "layers that are built on the same parent"),
        (Content("▸ +3"), "folded: three layers are hidden"),
        (Content.styled("●", "bold $text-accent"), "marked with space"),
        (Content.styled("mounted×2", "$text-success"), "mounted, asked for twice"),
        (Content.styled("incomplete", "$text-warning"), "not all of its content is there"),
        (Content.styled("!no parent", "bold $text-error"), "the record of its parent is missing"),
        (Content.styled("!circle", "bold $text-error"), "its parents lead back to itself"),
        (Content.styled("nginx", "bold $text-secondary"), "an image that ends in this layer"),
        (Content.styled("[web]", "bold $text-secondary"), "a container on this layer"),
        (Content.styled("A", "bold $text-success"), "added"),
        (Content.styled("M", "bold $text-warning"), "modified"),
        (Content.styled("D", "bold $text-error"), "deleted"),
        (Content("12 MB+"), "at least: a size in the sum is not known"),
        (Content.styled("\\x1b", "$text-warning"), "a character of a name that a terminal would obey or not show"),
    ]


def _entries(bindings: Iterable[Binding], display: Callable[[Binding], str]) -> list[Entry]:
    return [(_keys(binding, display), binding.description, binding.tooltip) for binding in bindings]


def _keys(binding: Binding, display: Callable[[Binding], str]) -> str:
    keys = [
        binding.with_key(key, binding.key_display if not number else None)
        for number, key in enumerate(binding.key.split(","))
    ]
    return ", ".join(display(key) for key in keys)
