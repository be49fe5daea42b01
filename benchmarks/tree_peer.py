"""The rows that `benchmarks/screen.py` browses, in Textual's own Tree.

`tree_peer.py layers LAYERS_JSON` shows all records, unfolded. `tree_peer.py files FOLDER` shows the files of a folder,
folded from the second level on like in the browser.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from textual.app import App, ComposeResult
from textual.widgets import Static, Tree
from textual.widgets.tree import TreeNode


class Peer(App[None]):
    """A tree and, once it is filled, the number of its rows."""

    def compose(self) -> ComposeResult:
        """Yield the tree and the label with the number of rows."""
        yield Tree("rows")
        yield Static(id="count")

    def on_mount(self) -> None:
        """Schedule filling the tree, after the first picture."""
        self.call_after_refresh(self._fill)

    def _fill(self) -> None:
        tree = self.query_one(Tree)
        tree.show_root = False
        tree.root.expand()
        kind, place = sys.argv[1:]
        count = _layers(tree.root, Path(place)) if kind == "layers" else _files(tree.root, place)
        self.query_one("#count", Static).update(f"{count:,} rows")
        tree.focus()


def _layers(root: TreeNode[None], path: Path) -> int:
    nodes = {"": root}
    records = json.loads(path.read_text())
    for record in records:
        label = f"{record.get('names', [record['id'][:12]])[0]}  {record['diff-size']:,}"
        nodes[record["id"]] = nodes[record.get("parent", "")].add(label, expand=True)
    return len(records)


def _files(root: TreeNode[None], folder: str) -> int:
    count, waiting = 0, [(root, folder, 0)]
    while waiting:
        node, path, level = waiting.pop()
        for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
            count += 1
            if entry.is_dir():
                waiting.append((node.add(entry.name, expand=level == 0), entry.path, level + 1))
            else:
                node.add_leaf(f"{entry.name}  {entry.stat().st_size:,}")
    return count


if __name__ == "__main__":
    Peer().run()
