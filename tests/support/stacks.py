"""Random chains of layers whose tars add, replace and hide files."""

from __future__ import annotations

import io
import random
import tarfile

from layerstore import LayerStore

_NAMES = ("a", "b", "c", "d", "e")
_SECOND = 1_700_000_000


def put_stack(store: LayerStore, seed: int, layers: int = 5) -> list[str]:
    """Put a chain of random layers, and return their IDs from the bottom up."""
    chance = random.Random(seed)
    ids: list[str] = []
    for number in range(layers):
        tar = random_layer(chance, _SECOND + number, base=number == 0)
        layer, _ = store.put(tar, id=f"s{seed}l{number}", parent=ids[-1] if ids else None)
        ids.append(layer.id)
    return ids


def random_layer(chance: random.Random, mtime: int, *, base: bool) -> bytes:
    """Return the tar of one layer. Few names recur as files, folders, links and whiteouts."""
    kinds: dict[str, str] = {}
    for _ in range(chance.randint(4, 30)):
        parts = [chance.choice(_NAMES) for _ in range(chance.randint(1, 4))]
        parents = ["/".join(parts[:length]) for length in range(1, len(parts))]
        if any(kinds.get(parent, "folder") != "folder" for parent in parents) or "/".join(parts) in kinds:
            continue
        kinds.update(dict.fromkeys(parents, "folder"))
        choices = ["file"] * 6 + ["folder", "folder", "symlink", "fifo", "device"]
        kinds["/".join(parts)] = chance.choice(choices if base else [*choices, "whiteout", "whiteout", "whiteout"])
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        files: list[str] = []
        for path in sorted(kinds):
            _add(tar, path, kinds[path], chance, mtime, files)
            if kinds[path] == "folder" and not base and chance.random() < 0.15:
                _add(tar, f"{path}/.wh..wh..opq", "file", chance, mtime, [])
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, path: str, kind: str, chance: random.Random, mtime: int, files: list[str]) -> None:
    info = tarfile.TarInfo(path)
    info.mtime, info.mode = mtime, chance.choice((0o644, 0o600, 0o4755, 0o2711))
    info.uid, info.gid = chance.choice((0, 1000)), chance.choice((0, 50))
    data = b""
    if kind == "folder":
        info.type, info.mode = tarfile.DIRTYPE, chance.choice((0o755, 0o700, 0o1777))
    elif kind == "symlink":
        info.type, info.linkname = tarfile.SYMTYPE, chance.choice(("a", "/b/c", "../d", "/nowhere", "../../../etc"))
    elif kind == "fifo":
        info.type = tarfile.FIFOTYPE
    elif kind == "device":
        info.type, info.devmajor, info.devminor = tarfile.CHRTYPE, 1, 3
    elif kind == "whiteout":
        folder, _, name = path.rpartition("/")
        info.name = f"{folder}/.wh.{name}" if folder else f".wh.{name}"
    elif files and chance.random() < 0.25:
        info.type, info.linkname = tarfile.LNKTYPE, chance.choice(files)
    else:
        data = chance.randbytes(chance.choice((0, 1, 100, 5000)))
        info.size = len(data)
        if chance.random() < 0.2:
            info.pax_headers = {"SCHILY.xattr.user.note": "kept"}
        files.append(path)
    tar.addfile(info, io.BytesIO(data))
