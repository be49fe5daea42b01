"""The public face of `layerstore` is complete: whatever it takes, returns or raises can be imported from it."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest

import layerstore

RAISES = re.compile(r"\n\s*Raises:\n(.*?)(?:\n\s*\n|\Z)", re.DOTALL)
HEAD = re.compile(r"^\s*(\w+(?:, \w+)*):", re.MULTILINE)


@dataclass(frozen=True)
class Mention:
    """A name in the annotation or docstring of a public member."""

    where: str
    name: str
    value: object


def namespace(module: types.ModuleType) -> dict[str, object]:
    """Return the names of a module, including those that it imports for type checking only."""
    names = dict(vars(typing)) | dict(vars(module))
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("layerstore"):
            source = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(source, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
                names[alias.asname or alias.name] = getattr(source, alias.name)
    return names


def annotated(where: str, annotation: object, module: types.ModuleType) -> Iterator[Mention]:
    """Yield the names in one annotation, looking into the targets of aliases."""
    if not isinstance(annotation, str):
        assert annotation is None or getattr(annotation, "__module__", "") in {"builtins", "typing"}, where
        return
    names = namespace(module)
    for node in ast.walk(ast.parse(annotation, mode="eval")):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from annotated(where, node.value, module)
        elif isinstance(node, ast.Name):
            yield Mention(where, node.id, names.get(node.id, getattr(__builtins__, node.id, None)))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield Mention(where, node.attr, getattr(names.get(node.value.id), node.attr, None))


def raised(where: str, member: object, module: types.ModuleType) -> Iterator[Mention]:
    """Yield the errors of this package in the "Raises" section of a docstring."""
    for section in RAISES.findall(f"{inspect.getdoc(member) or ''}\n"):
        for heads in HEAD.findall(section):
            for name in heads.split(", "):
                value = namespace(module).get(name, vars(layerstore.errors).get(name))
                if inspect.isclass(value) and value.__module__.startswith("layerstore"):
                    yield Mention(where, name, value)


def members(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and properties of a class and of its bases in this package."""
    for base in cls.__mro__:
        if base.__module__.startswith("layerstore"):
            for name, value in vars(base).items():
                if not name.startswith("_"):
                    yield name, value


def functions(value: Any) -> list[Callable[..., Any]]:
    """Return the functions behind a method, class method, property or function."""
    if isinstance(value, property):
        return [value.fget] if value.fget else []
    if isinstance(value, cached_property):
        return [value.func]
    value = getattr(value, "__func__", value)
    return [inspect.unwrap(value)] if inspect.isfunction(value) else []


def mentions(value: object) -> Iterator[Mention]:
    """Yield everything that a public class or function mentions."""
    module = sys.modules[getattr(value, "__module__", "layerstore")]
    if inspect.isclass(value):
        for base in value.__mro__:
            if base.__module__.startswith("layerstore"):
                for name, annotation in inspect.get_annotations(base).items():
                    if not name.startswith("_"):
                        yield from annotated(f"{value.__name__}.{name}", annotation, sys.modules[base.__module__])
        yield from raised(value.__name__, value, module)
        for name, member in members(value):
            for function in functions(member):
                yield from signature(f"{value.__name__}.{name}", function)
    elif inspect.isfunction(value):
        yield from signature(value.__name__, value)


def signature(where: str, function: Callable[..., Any]) -> Iterator[Mention]:
    module = sys.modules[function.__module__]
    for annotation in function.__annotations__.values():
        yield from annotated(where, annotation, module)
    yield from raised(where, function, module)


def hidden(mention: Mention) -> Iterator[str]:
    """Yield the parts of a mention that callers need but cannot import from `layerstore`."""
    exported = [getattr(layerstore, name) for name in layerstore.__all__]
    value = mention.value
    if inspect.isclass(value) and value.__module__.startswith("layerstore"):
        if not any(value is known for known in exported):
            yield f"{mention.where} mentions {value.__module__}.{value.__qualname__}"
    elif typing.get_origin(value) is not None:
        if typing.get_origin(value) is typing.get_origin(Callable[[], None]) and not any(
            value == known for known in exported if typing.get_origin(known) is not None
        ):
            yield f"{mention.where} takes the callback {mention.name}"
        arguments = [one for one in typing.get_args(value) if not isinstance(one, list)]
        for argument in arguments:
            yield from hidden(Mention(mention.where, mention.name, argument))


@pytest.mark.parametrize("name", layerstore.__all__)
def test_everything_that_a_public_name_mentions_is_public(name: str) -> None:
    found = {problem for mention in mentions(getattr(layerstore, name)) for problem in hidden(mention)}
    assert found == set()


def test_the_walk_sees_returned_raised_and_aliased_types() -> None:
    """Guard against a walk that finds nothing."""
    seen = {(mention.where, mention.name) for mention in mentions(layerstore.LayerStore)}
    assert {
        ("LayerStore.read", "StoreSnapshot"),
        ("LayerStore.mount_users", "MountUsers"),
        ("LayerStore.repair", "StepProgress"),
        ("LayerStore.delete", "LayerInUse"),
        ("LayerStore.image_stores", "Path"),
    } <= seen
    secret = type("Secret", (), {"__module__": "layerstore.inner"})
    assert list(hidden(Mention("here", "Secret", secret)))
    assert list(hidden(Mention("here", "Alias", tuple[secret, ...])))  # type: ignore[valid-type]
    assert list(hidden(Mention("here", "Hook", Callable[[int, str, bytes], None])))


def test_the_lists_of_public_names_agree() -> None:
    lazy = set(layerstore._MODULES)
    eager = {name for name, value in vars(layerstore.errors).items() if inspect.isclass(value) and is_error(value)}
    assert set(layerstore.__all__) == lazy | eager
    assert len(layerstore.__all__) == len(set(layerstore.__all__))
    with pytest.raises(AttributeError, match="nothing"):
        _ = layerstore.nothing
    assert dir(layerstore) == sorted(layerstore.__all__)


def is_error(value: type) -> bool:
    return issubclass(value, layerstore.LayerStoreError) and value.__module__ == "layerstore.errors"


def test_importing_the_package_imports_no_store() -> None:
    """Starting up must not pay for modules that a command does not use."""
    code = "import sys, layerstore; print(sorted(name for name in sys.modules if name.startswith('layerstore')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout) == ["layerstore", "layerstore.errors"]
