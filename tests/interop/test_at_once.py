"""layerstore and containers-storage write to one store at the same time."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

from layerstore import LayerStore
from support.peers import Peer
from support.tars import make_tar

WRITES = 200

OUR_HALF = textwrap.dedent(
    """
    import random, sys
    from layerstore import LayerStore
    graph, run, driver, writes = sys.argv[1:]
    store = LayerStore.open(graph, run, driver=driver, lock_timeout=120)
    chance, mine = random.Random(1), []
    for number in range(int(writes)):
        kind = chance.choice(("create", "create", "names", "metadata", "delete"))
        if kind == "create" or not mine:
            store.create(id=f"ours{number:04}", parent=chance.choice(["base", None]), names=[f"o{number}"])
            mine.append(f"ours{number:04}")
        elif kind == "names":
            store.set_names(chance.choice(mine), [f"o{number}", f"p{number}"])
        elif kind == "metadata":
            store.set_metadata(chance.choice(mine), f"m{number}")
        else:
            store.delete(mine.pop(chance.randrange(len(mine))))
    print(*mine)
    """
)


def their_half(peer: Peer) -> list[str]:
    chance, mine = random.Random(2), []
    for number in range(WRITES):
        kind = chance.choice(("create", "create", "names", "metadata", "delete"))
        if kind == "create" or not mine:
            layer = f"theirs{number:04}"
            peer("create-layer", "--id", layer, "-n", f"t{number}", *chance.choice([["base"], []]))
            mine.append(layer)
        elif kind == "names":
            peer("set-names", "-n", f"t{number}", "-n", f"u{number}", chance.choice(mine))
        elif kind == "metadata":
            peer("set-metadata", "-m", f"m{number}", chance.choice(mine))
        else:
            peer("delete-layer", mine.pop(chance.randrange(len(mine))))
    return mine


def test_two_hundred_writes_of_each_side_lose_and_duplicate_nothing(peer: Peer, ours: LayerStore) -> None:
    ours.put(make_tar({"file": b"content"}), id="base", names=["b"])
    command = [sys.executable, "-c", OUR_HALF, str(peer.graph), str(peer.run), peer.driver, str(WRITES)]
    with ThreadPoolExecutor() as pool:
        half = pool.submit(subprocess.run, command, capture_output=True, text=True, check=False)
        theirs = their_half(peer)
        done = half.result()
    assert done.returncode == 0, done.stderr
    layers = ours.layers()
    assert sorted(layer.id for layer in layers) == sorted(["base", *theirs, *done.stdout.split()])
    names = [name for layer in layers for name in layer.names]
    assert len(names) == len(set(names))
    records = peer.layers()
    assert {layer.id: (layer.names, layer.parent, layer.metadata) for layer in layers} == {
        layer_id: (tuple(record.get("names", ())), record.get("parent", ""), record.get("metadata", ""))
        for layer_id, record in records.items()
    }
    home = peer.graph / ("vfs/dir" if peer.driver == "vfs" else "overlay")
    folders = {path.name for path in home.iterdir() if not path.name.startswith(".")}
    assert folders - {"l", "tempdirs"} == set(records)
