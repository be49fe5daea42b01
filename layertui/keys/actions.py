"""Every key of the browser: one table a place.

Each has an ID, by which it can be remapped, and a sentence for the help. IDs stand in people's files: they stay.
"""

from __future__ import annotations

from textual.binding import Binding


def key(
    keys: str,
    action: str,
    label: str,
    sentence: str,
    name: str,
    *,
    show: bool = False,
    as_: str = "",
    priority: bool = False,
) -> Binding:
    """Return a binding; `as_` is how the key bar writes the key, `show` whether it is there.

    With `priority` the key works in dialogs as well.
    """
    return Binding(
        keys, action, label, show=show, key_display=as_ or None, priority=priority, tooltip=sentence, id=name
    )


NO_KEY = "no-key-"
"""How the key of an action begins that has none: no terminal sends it."""

WAYS_OUT = {
    "app.quit": "leaves the program",
    "app.help": "shows all keys",
    "app.palette": "finds the actions that have no key",
    "jobs.cancel": "cancels what runs",
    "layers.back": "goes back",
    "preview.back": "goes back",
    "filter.leave": "leaves the filter",
    "filter.clear": "leaves the filter",
    "check.cancel": "stops the check",
    "check.close": "goes back to the layers",
}
"""What each of those actions does whose key may be another one, but not none: somebody would be stuck without it."""


def keyless(action: str, label: str, sentence: str, name: str) -> Binding:
    """Return a binding for an action of the palette: few need it, and who does may give it a key."""
    return key(NO_KEY + name, action, label, sentence, name)


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

FILES_BINDINGS: list[Binding] = [
    key("enter", "toggle_fold", "Open", "Open the folder, or look into the file", "files.open", show=True, as_="⏎"),
    key("space", "toggle_fold", "Open", "Open the folder, or look into the file", "files.toggle"),
    key(
        "x", "screen.file('extract')", "Extract", "Take the file or folder out of the layer", "files.extract", show=True
    ),
    key("w", "screen.file('where')", "Where", "Show in which layers this path occurs", "files.where", show=True),
    key("y", "screen.file('copy')", "Copy path", "Copy the path", "files.copy", show=True),
]

PREVIEW_BINDINGS: list[Binding] = [
    key("up,k", "move(-1)", "Up", "Scroll one line up", "preview.up"),
    key("down,j", "move(1)", "Down", "Scroll one line down", "preview.down"),
    key("pageup,ctrl+b", "page(-1)", "Page up", "Scroll one screen up", "preview.page-up"),
    key("pagedown,ctrl+f,space", "page(1)", "Page down", "Scroll one screen down", "preview.page-down"),
    key("home,g", "edge('first')", "First", "Go to the beginning of the file", "preview.first"),
    key("end,G", "edge('last')", "Last", "Read to the end of the file", "preview.last"),
    key("left,h", "sideways(-1)", "Left", "Look further left", "preview.left"),
    key("right,l", "sideways(1)", "Right", "Look further right into long lines", "preview.right"),
    key("b", "toggle_hex", "Bytes", "Show the file as bytes, or as text", "preview.bytes", show=True),
    key("x", "screen.file('extract')", "Extract", "Take the file out of the layer", "preview.extract", show=True),
    key("y", "screen.file('copy')", "Copy path", "Copy the path", "preview.copy", show=True),
    key(
        "escape",
        "screen.back",
        "Back",
        "Go back to the tree; again to close the preview",
        "preview.back",
        show=True,
        as_="esc",
    ),
]

WASTE_BINDINGS: list[Binding] = [
    key(
        "enter",
        "toggle_fold",
        "Layers",
        "Show the layers with this path; on one of them, go there",
        "waste.open",
        show=True,
        as_="⏎",
    ),
    key("space", "toggle_fold", "Layers", "Show the layers with this path; on one of them, go there", "waste.toggle"),
    key("y", "screen.copy_waste", "Copy path", "Copy the path", "waste.copy", show=True),
]

JSON_BINDINGS: list[Binding] = [
    key("enter", "toggle_fold", "Fold", "Fold or unfold the object or list", "json.fold", show=True, as_="⏎"),
    key("space", "toggle_fold", "Fold", "Fold or unfold the object or list", "json.toggle"),
    key(
        "y",
        "copy_value",
        "Copy value",
        "Copy the value under the cursor; on the first line, the record",
        "json.copy",
        show=True,
    ),
]

FINDINGS_BINDINGS: list[Binding] = [
    key("space", "mark", "Mark", "Mark or unmark the finding; on a group, all of it", "findings.mark", show=True),
    key("enter", "toggle_fold", "Plan", "Show what a repair would do; on a group, fold it", "findings.open"),
]

CHECK_BINDINGS: list[Binding] = [
    key("ctrl+x", "cancel_job", "Stop", "Stop the check, or what runs", "check.cancel", show=True, as_="^x"),
    key("f", "plan", "Repair…", "Show what a repair of the marked findings would do", "check.plan", show=True),
    key("D", "deep", "Deep check", "Read every layer and compare it with its tar", "check.deep", show=True),
    key("R,f5,c", "again", "Check again", "Check again, without reading the layers", "check.again", show=True, as_="R"),
    key("tab", "app.focus_next", "Next pane", "Go to the next pane", "check.next-pane"),
    key("shift+tab", "app.focus_previous", "Previous pane", "Go to the previous pane", "check.previous-pane"),
    key("escape", "close", "Back", "Go back to the layers", "check.close", show=True, as_="esc"),
]

FILTER_BINDINGS: list[Binding] = [
    key(
        "enter,down",
        "screen.leave_filter",
        "To the list",
        "Go to the list and keep the filter",
        "filter.leave",
        show=True,
        as_="⏎",
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
    key("m", "mount", "Mount", "Mount the layer; its path is shown and copied", "layer.mount", show=True),
    key("u", "unmount", "Unmount", "Unmount the layer once, or clear a stale mount", "layer.unmount", show=True),
    key("e", "export", "Export", "Write the layer's diff to a tar file", "layer.export", show=True),
    key("d", "delete", "Delete", "Delete the layer, or all marked ones", "layer.delete", show=True),
    key(
        "slash",
        "filter",
        "Filter",
        "Filter the list: words, is:unused, is:mounted, is:stale, size:>100MB",
        "layers.filter",
        show=True,
        as_="/",
    ),
    key("s", "shell", "Shell", "Open a shell in the layer, mounted; exit comes back", "layer.shell", show=True),
    key("n", "create", "New", "Create a layer, empty or from a tar", "layer.create", show=True),
    key("a", "apply", "Apply", "Apply a tar to the layer: its diff becomes this tar", "layer.apply", show=True),
    key("o", "order", "Sort", "Sort by the next order: tree, size, total, age, name", "layers.order", show=True),
    key("r", "names", "Names", "Edit the layer's names", "layer.names", show=True),
    key("f", "flags", "Flags", "Edit the layer's flags", "layer.flags", show=True),
    key("t", "metadata", "Metadata", "Edit the text that is kept with the layer", "layer.metadata", show=True),
    key("y", "copy", "Copy", "Copy the ID, a name, the mount path or a digest", "layer.copy", show=True),
    key(
        "equals_sign",
        "compare_from",
        "Compare",
        "Show changes against this layer instead of the parent, or compare two marked layers; again to stop",
        "layer.compare-from",
        show=True,
        as_="=",
    ),
    key("X", "swap_compared", "Swap", "Swap the two layers that are compared", "layer.swap", show=True),
    key("U", "unmount_marked", "Unmount marked", "Unmount all marked layers", "layers.unmount-marked", show=True),
    key("1", "panel('summary')", "Summary", "Show all fields of the layer", "panel.summary"),
    key("2", "panel('changes')", "Changes", "Show what the layer added, modified and deleted", "panel.changes"),
    key("3", "panel('files')", "Files", "Show the files of the layer, as its container would see them", "panel.files"),
    key("4", "panel('lineage')", "Lineage", "Show the layers below and above", "panel.lineage"),
    key("5", "panel('waste')", "Waste", "Show bytes that layers carry for nothing", "panel.waste"),
    key("6", "panel('json')", "JSON", "Show the record as it stands on disk", "panel.json"),
    key("right_square_bracket", "next_panel(1)", "Next panel", "Show the next panel", "panel.next", as_="]"),
    key(
        "left_square_bracket", "next_panel(-1)", "Previous panel", "Show the previous panel", "panel.previous", as_="["
    ),
    key("c", "check", "Check", "Check the store: what is wrong, and what a repair would do", "store.check", show=True),
    key("tab", "app.focus_next", "Next pane", "Go to the next pane", "pane.next"),
    key("shift+tab", "app.focus_previous", "Previous pane", "Go to the previous pane", "pane.previous"),
    key("z", "zoom", "Zoom", "Give the pane in focus the whole screen; again to give it back", "pane.zoom"),
    key("R,f5", "reload", "Reload", "Read the store again", "store.reload", as_="R"),
    key("ctrl+x", "cancel_job", "Cancel", "Cancel the job that runs", "jobs.cancel", show=True, as_="^x"),
    key(
        "escape", "back", "Back", "Clear the filter, then the marks, and go back to the list", "layers.back", as_="esc"
    ),
    keyless(
        "compare_marked",
        "Compare the two marked layers",
        "Show what one marked layer has against the other",
        "layers.compare-marked",
    ),
    keyless(
        "unmount_all",
        "Unmount for all users",
        "Unmount the layer, however often that was asked for",
        "layer.unmount-all",
    ),
    keyless(
        "clear_stale",
        "Clear all stale mounts",
        "Forget mounts that are on record, but not there since a reboot or crash",
        "layers.clear-stale",
    ),
]

APP_BINDINGS: list[Binding] = [
    key("question_mark", "help", "Help", "Show all keys", "app.help", show=True, as_="?"),
    key("q", "quit", "Quit", "Leave the program", "app.quit", show=True),
    key("ctrl+q,ctrl+c", "quit", "Quit", "Leave the program", "app.quit-too"),
    key("ctrl+p", "command_palette", "Commands", "Find an action by its name", "app.palette", priority=True),
    keyless("change_theme", "Theme", "Choose another theme", "app.theme"),
    keyless("screenshot", "Screenshot", "Save a picture of the screen", "app.screenshot"),
    keyless("find_drivers", "Other driver", "Open the store of another driver in this root", "app.driver"),
    keyless("show_notice", "Notice", "Show what does not go as usual for this user", "app.notice"),
]

_EVERYWHERE = (LAYERS_BINDINGS, APP_BINDINGS)

PLACES: dict[str, tuple[list[Binding], ...]] = {
    "list": (LAYER_TREE_BINDINGS, TREE_BINDINGS, *_EVERYWHERE),
    "Summary": (FIELDS_BINDINGS, *_EVERYWHERE),
    "Changes": (CHANGES_BINDINGS, TREE_BINDINGS, *_EVERYWHERE),
    "Files": (FILES_BINDINGS, TREE_BINDINGS, *_EVERYWHERE),
    "preview": (PREVIEW_BINDINGS, *_EVERYWHERE),
    "Lineage": (LINEAGE_BINDINGS, TREE_BINDINGS, *_EVERYWHERE),
    "Waste": (WASTE_BINDINGS, TREE_BINDINGS, *_EVERYWHERE),
    "JSON": (JSON_BINDINGS, TREE_BINDINGS, *_EVERYWHERE),
    "check": (FINDINGS_BINDINGS, TREE_BINDINGS, CHECK_BINDINGS, APP_BINDINGS),
    "filter": (FILTER_BINDINGS, *_EVERYWHERE),
}
"""Which keys work together: the tables of each place that can have the focus, the nearest first."""
