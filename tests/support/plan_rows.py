"""Rows of a layer tree, as the deletion plan takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from layertui.model.deletion import PlanRow


@dataclass(frozen=True)
class Row:
    id: str
    parent: str = ""
    children: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    size: int | None = 10
    images: tuple[str, ...] = ()
    tops: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    mount_count: int = 0
    read_only: bool = False

    @property
    def mounted(self) -> bool:
        return self.mount_count > 0


def rows_of(parents: dict[str, str], **more: dict[str, Any]) -> dict[str, PlanRow]:
    return {
        name: Row(name, parent, tuple(child for child in parents if parents[child] == name), **more.get(name, {}))
        for name, parent in parents.items()
    }


TREE = {"base": "", "left": "base", "right": "base", "top": "left"}
