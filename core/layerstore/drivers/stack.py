"""Which folders make up a layer's file system: what a driver says of itself to whoever looks without mounting."""

from __future__ import annotations

from dataclasses import dataclass

from layerstore.drivers.overlay.whiteouts import Marks


@dataclass(frozen=True, slots=True)
class Stack:
    """A layer's ID and folder, and those of the layers below it that show through, the topmost first.

    A layer can be there with more than one folder. `marks` are the attributes by which folders hide what is below
    them, and with them devices 0/0 are whiteouts; None where one folder holds everything. With `named_whiteouts` files
    called `.wh.NAME` and `.wh..wh..opq` hide, too: fuse-overlayfs makes them.
    """

    folders: tuple[tuple[str, str], ...]
    marks: Marks | None = None
    named_whiteouts: bool = False
