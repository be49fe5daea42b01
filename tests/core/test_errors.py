"""Errors keep their type, attributes, text and notes when they are copied or pickled."""

from __future__ import annotations

import copy
import importlib
import pickle
import pkgutil
from collections.abc import Callable
from pathlib import Path

import pytest

import layerstore
from layerstore import (
    BadArchive,
    Cancelled,
    DamagedLayer,
    DuplicateID,
    DuplicateName,
    LayerInUse,
    LayerStoreError,
    LayerUnknown,
    LockTimeout,
    NoSuchFile,
    NotSupported,
    ParentUnknown,
    StoreAccess,
    StoreCorrupt,
    StoreMissing,
    StoreReadOnly,
    TargetExists,
    UnusableFile,
    UnusableID,
)

SAMPLES: list[LayerStoreError] = [
    LayerStoreError("plain"),
    LayerUnknown("ab", ["abc", "abd"]),
    LayerUnknown("zz"),
    ParentUnknown("child", "parent"),
    ParentUnknown("", "parent"),
    DuplicateID("one"),
    DuplicateID("one", Path("/graph/vfs/dir/one")),
    UnusableID("a/b"),
    DuplicateName("name", "holder" * 10),
    LayerInUse("one"),
    LayerInUse(
        "one",
        children=["child"],
        images=["image"],
        containers=["container"],
        mounts=["/mount"],
        processes=["sleep 300 (PID 812)"],
        hint="stop it",
    ),
    StoreMissing(Path("/graph"), "pass --root"),
    StoreCorrupt("/layers.json", "truncated", line=3, column=7, hint="restore a backup"),
    StoreReadOnly("/graph", "mount"),
    StoreReadOnly("/shared", "mount", layer="one"),
    StoreAccess("/graph", "this user may not read it", "use sudo"),
    LockTimeout("/layers.lock", 2.5, ["podman (PID 7)"]),
    BadArchive("bad checksum", entry="etc/\udcff", offset=512),
    DamagedLayer("one", "it has changed", path="/etc/passwd"),
    NotSupported("not here"),
    Cancelled("the export", "the file was removed"),
    NoSuchFile("one", "/etc/x"),
    UnusableFile("one", "/dev/null", "it is a device", "use sudo"),
    TargetExists(Path("/target")),
]

WAYS: dict[str, Callable[[LayerStoreError], LayerStoreError]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


def error_classes(base: type[LayerStoreError] = LayerStoreError) -> set[type[LayerStoreError]]:
    """Return the base and all subclasses that any module of the package defines."""
    for module in pkgutil.walk_packages(layerstore.__path__, "layerstore."):
        importlib.import_module(module.name)
    found, pending = {base}, [base]
    while pending:
        new = [cls for cls in pending.pop().__subclasses__() if cls.__module__.startswith("layerstore")]
        found.update(new)
        pending += new
    return found


def test_every_error_class_has_a_sample() -> None:
    assert {type(error) for error in SAMPLES} == error_classes()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_survives(error: LayerStoreError, way: str) -> None:
    error = copy.copy(error)
    error.__notes__ = ["2 layers had been deleted before."]
    made = WAYS[way](error)
    assert made is not error
    assert type(made) is type(error)
    assert str(made) == str(error) != ""
    assert made.args == error.args
    assert vars(made) == vars(error)
    assert made.__notes__ == ["2 layers had been deleted before."]


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_a_copied_error_can_be_raised_and_caught_as_its_builtin(error: LayerStoreError) -> None:
    builtin = next(base for base in type(error).__mro__ if base.__module__ == "builtins")
    with pytest.raises(builtin) as caught:
        raise pickle.loads(pickle.dumps(error))
    assert str(caught.value) == str(error)


def test_a_text_names_the_object_the_cause_and_the_remedy() -> None:
    texts = [str(error) for error in SAMPLES]
    assert "'ab' is ambiguous: it matches 2 layers (abc, abd); use a longer ID prefix" in texts
    assert "/layers.json, line 3, column 7: truncated; restore a backup" in texts
    users = "layers child; images image; containers container; mounts /mount; processes sleep 300 (PID 812)"
    assert f"layer one is in use by {users}: stop it" in texts
    assert "the store at /graph is open read-only: cannot mount" in texts
    assert "/layers.lock is locked by podman (PID 7); gave up after 2.5 s" in texts
