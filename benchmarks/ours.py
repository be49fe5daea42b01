"""One operation of layerstore as a process, the counterpart of a `containers-storage` command."""

from __future__ import annotations

import sys

from layerstore import Compression, LayerStore


def main() -> None:
    verb, graph, run, driver, *rest = sys.argv[1:]
    store = LayerStore.open(graph, run, driver=driver)
    if verb == "apply":
        with open(rest[0], "rb") as file:
            store.put(file, id=rest[1], parent=rest[2] if len(rest) > 2 else None)
    elif verb == "diff":
        with store.diff(rest[0], compression=Compression.NONE) as reader, open("/dev/null", "wb", buffering=0) as out:
            reader.copy_to(out)
    elif verb == "changes":
        lines = [f'{change.kind.name.title()} "{change.path}"\n' for change in store.changes(rest[0])]
        sys.stdout.buffer.write("".join(lines).encode(errors="surrogateescape"))
    else:
        sys.exit(f"no such verb: {verb}")


main()
