"""The README's library example, run as a program."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from layerstore import LayerStore, find_store
from support.tars import make_tar

README = Path(__file__).parents[2] / "README.md"


def example() -> str:
    """Return the code of the README's only Python block."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    return code


def test_the_library_example_lists_layers_and_writes_a_diff(tmp_path: Path) -> None:
    shared = LayerStore.open(tmp_path / "shared", tmp_path / "shared-run", driver="vfs")
    below, _ = shared.put(make_tar({"etc": None}), id="b" * 64, names=["below"])
    conf = tmp_path / "storage.conf"
    conf.write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/graph"\nrunroot = "{tmp_path}/run"\n'
        f'[storage.options]\nadditionalimagestores = ["{tmp_path}/shared"]\n'
    )
    environ = {"CONTAINERS_STORAGE_CONF": str(conf), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    place = find_store(environ=environ)
    store = LayerStore.open(place.graph_root, place.run_root, driver=place.driver, options=place.all_options)
    tar = make_tar({"file": b"content\n" * 1000})
    layer, _ = store.put(tar, id="a1b2c3" + "0" * 58, parent=below.id, names=["app"])
    images = tmp_path / "graph/vfs-images"
    images.mkdir()
    (images / "images.json").write_text(
        f'[{{"id": "{"1" * 64}", "names": ["localhost/app:1"], "layer": "{layer.id}"}}]'
    )

    done = subprocess.run(
        [sys.executable, "-c", example()],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    *lines, digest = done.stdout.splitlines()
    assert sorted(lines) == [
        f"a1b2c3000000 ('app',) {len(tar)} ('localhost/app:1',)",
        f"bbbbbbbbbbbb ('below',) {below.diff_size} ('localhost/app:1',)",
    ]
    assert digest == layer.diff_digest
    assert (tmp_path / "layer.tar.zst").read_bytes()[:4] == bytes.fromhex("28b52ffd")
    again, _ = store.put((tmp_path / "layer.tar.zst").read_bytes())
    assert again.diff_digest == layer.diff_digest
