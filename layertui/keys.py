"""Every key of the browser: one table a place.

Each has an ID, by which it can be remapped, and a sentence for the help.
"""

from __future__ import annotations

from textual.binding import Binding


def key(keys: str, action: str, label: str, sentence: str, name: str, *, show: bool = False, as_: str = "") -> Binding:
    """Return a binding; `as_` is how the key bar writes the key, `show` whether it is there."""
    return Binding(keys, action, label, show=show, key_display=as_ or None, tooltip=sentence, id=name)


TREE_BINDINGS: list[Binding] = [
    key("up,k", "move(-1)", "Up", "Go one line up", "tree.up"),
    key("down,j", "move(1)", "Down", "Go one line down", "tree.down"),
    key("pageup,ctrl+b", "page(-1)", "Page up", "Go one screen up", "tree.page-up"),
    key("pagedown,ctrl+f", "page(1)", "Page down", "Go one screen down", "tree.page-down"),
    key("home,g", "edge('first')", "First", "Go to the first line", "tree.first"),
    key("end,G", "edge('last')", "Last", "Go to the last line", "tree.last"),
    key("left,h", "out", "Fold", "Fold, or go to the parent", "tree.out"),
    key("right,l", "in", "Unfold", "Unfold, or go to the first child", "tree.in"),
    key("enter", "toggle_fold", "Fold", "Fold or unfold", "tree.toggle"),
    key("p,shift+left", "parent", "Parent", "Go to the parent", "tree.parent"),
    key("shift+right", "child", "Child", "Go to the first child", "tree.child"),
    key("K,shift+up", "sibling(-1)", "Previous sibling", "Go to the previous sibling", "tree.previous-sibling"),
    key("J,shift+down", "sibling(1)", "Next sibling", "Go to the next sibling", "tree.next-sibling"),
    key("minus", "fold_all", "Fold all", "Fold everything", "tree.fold-all"),
    key("plus", "unfold_all", "Unfold all", "Unfold everything", "tree.unfold-all"),
]

LAYER_TREE_BINDINGS: list[Binding] = [
    key("space", "mark", "Mark", "Mark or unmark the layer, for actions on several", "layers.mark", show=True),
]

CHANGES_BINDINGS: list[Binding] = [
    key("space", "toggle_fold", "Fold", "Fold or unfold", "changes.toggle"),
    key("A", "toggle_kind('ADD')", "Added", "Show or hide what was added", "changes.added", show=True),
    key("M", "toggle_kind('MODIFY')", "Modified", "Show or hide what was modified", "changes.modified", show=True),
    key("D", "toggle_kind('DELETE')", "Deleted", "Show or hide what was deleted", "changes.deleted", show=True),
]

LINEAGE_BINDINGS: list[Binding] = [
    key("enter", "choose", "Go to", "Go to this layer in the list", "lineage.choose", show=True),
    key("space", "toggle_fold", "Fold", "Fold or unfold", "lineage.toggle"),
]

FILTER_BINDINGS: list[Binding] = [
    key(
        "enter,down", "submit", "To the list", "Go to the list and keep the filter", "filter.leave", show=True, as_="⏎"
    ),
    key("escape", "screen.back", "Clear", "Show everything again", "filter.clear", show=True, as_="esc"),
]

FIELDS_BINDINGS: list[Binding] = [
    key("up,k", "move(-1)", "Up", "Go to the previous field", "fields.up"),
    key("down,j", "move(1)", "Down", "Go to the next field", "fields.down"),
    key("pageup,ctrl+b", "move(-10)", "Page up", "Go ten fields up", "fields.page-up"),
    key("pagedown,ctrl+f", "move(10)", "Page down", "Go ten fields down", "fields.page-down"),
    key("home,g", "edge('first')", "First", "Go to the first field", "fields.first"),
    key("end,G", "edge('last')", "Last", "Go to the last field", "fields.last"),
    key("y,enter", "copy_field", "Copy field", "Copy the field under the cursor", "fields.copy", show=True, as_="y"),
]

LAYERS_BINDINGS: list[Binding] = [
    key("ctrl+x", "cancel_job", "Cancel", "Cancel the job that runs", "jobs.cancel", show=True, as_="^x"),
    key("m", "mount", "Mount", "Mount the layer; its path is shown and copied", "layer.mount", show=True),
    key("u", "unmount", "Unmount", "Unmount the layer once", "layer.unmount", show=True),
    key("e", "export", "Export", "Write the layer's diff to a tar file", "layer.export", show=True),
    key("d", "delete", "Delete", "Delete the layer, or all marked ones", "layer.delete", show=True),
    key(
        "slash",
        "filter",
        "Filter",
        "Filter the list: words, is:unused, is:mounted, size:>100MB",
        "layers.filter",
        show=True,
        as_="/",
    ),
    key("o", "order", "Sort", "Sort by the next order: tree, size, total, age, name", "layers.order", show=True),
    key("r", "names", "Names", "Edit the layer's names", "layer.names", show=True),
    key("f", "flags", "Flags", "Edit the layer's flags", "layer.flags", show=True),
    key("y", "copy", "Copy", "Copy the ID, a name, the mount path or a digest", "layer.copy", show=True),
    key(
        "equals_sign",
        "compare_from",
        "Compare",
        "Show changes against this layer instead of the parent; again to stop",
        "layer.compare-from",
        show=True,
        as_="=",
    ),
    key(
        "U",
        "unmount_marked",
        "Unmount marked",
        "Unmount all marked layers",
        "layers.unmount-marked",
        show=True,
        as_="⇧u",
    ),
    key("1", "panel('summary')", "Summary", "Show all fields of the layer", "panel.summary"),
    key("2", "panel('changes')", "Changes", "Show what the layer added, modified and deleted", "panel.changes"),
    key("4", "panel('lineage')", "Lineage", "Show the layers below and above", "panel.lineage"),
    key("right_square_bracket", "next_panel(1)", "Next panel", "Show the next panel", "panel.next", as_="]"),
    key(
        "left_square_bracket", "next_panel(-1)", "Previous panel", "Show the previous panel", "panel.previous", as_="["
    ),
    key("z", "zoom", "Zoom", "Give the pane in focus the whole screen; again to give it back", "pane.zoom"),
    key("R,f5", "reload", "Reload", "Read the store again", "store.reload", as_="R"),
    key(
        "escape", "back", "Back", "Clear the filter, then the marks, and go back to the list", "layers.back", as_="esc"
    ),
]

APP_BINDINGS: list[Binding] = [
    key("question_mark", "help", "Help", "Show all keys", "app.help", show=True, as_="?"),
    key("q", "quit", "Quit", "Leave the program", "app.quit", show=True),
    key("ctrl+q,ctrl+c", "quit", "Quit", "Leave the program", "app.quit-too"),
]
