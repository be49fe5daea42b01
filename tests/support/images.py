"""Images that Buildah builds for the tests, and what Podman reports about them."""

from __future__ import annotations

from layerstore import Change, IDMap, LayerStore
from support.peers import PodmanStore, chain

BASE = r"""
mkdir -p etc/conf.d usr/bin usr/share/doc/deep var/tmp
printf 'ID=scratch\n' > etc/os-release; printf keep > etc/keep; printf old > etc/changed; printf x > etc/gone
printf a > etc/conf.d/a; printf b > etc/conf.d/b
printf '#!/bin/sh\n' > usr/bin/tool; chmod 4755 usr/bin/tool; ln usr/bin/tool usr/bin/again; ln -s ../etc/keep usr/link
printf folder > usr/share/doc/deep/file; printf file > usr/share/becomes-folder
mkfifo var/fifo; mknod var/null c 1 3; mknod var/block b 7 0
setfattr -n user.note -v 'a b' etc/keep; chown 1000:2000 etc/conf.d/a; chmod 1777 var/tmp
truncate -s 1M var/sparse; printf end >> var/sparse; printf y > 'usr/share/ü 日本'
touch -d '1969-12-31 23:59:58 UTC' etc/keep; touch -h -d '2020-01-02 03:04:05.678901234' usr/link
"""
"""A shell script that fills a root with every kind of file."""

# Changed and deleted files, a folder emptied and refilled (opaque), and a file in place of a folder.
_MIDDLE = r"""
printf new > etc/changed; rm etc/gone; setfattr -n user.note -v c etc/keep
rm -r etc/conf.d; mkdir etc/conf.d; printf c > etc/conf.d/c
rm -r usr/share/doc; printf file > usr/share/doc
"""
_TOP = r"""
rm -r usr/share/becomes-folder var/fifo; printf z >> usr/bin/tool; rm usr/bin/again; printf again > etc/gone
ln etc/keep etc/kept; chmod 0755 usr/bin/tool
"""

OWNED = r"""
mkdir -p etc usr/bin home/user
printf a > etc/a; ln etc/a etc/again; printf b > home/user/b; chown -R 1000:1001 home/user
printf c > usr/bin/c; chown 33:44 usr/bin/c; chmod 4755 usr/bin/c; mkfifo usr/fifo
ln -s a etc/link; chown -h 7:8 etc/link; setfattr -n user.note -v x usr/fifo 2>/dev/null || true
"""
"""A shell script that fills a root with files of several owners."""
_OWNED_MORE = "printf more > etc/b; chown 5:6 etc/b; rm usr/fifo"

UIDS, GIDS = (IDMap(0, 100000, 5000),), (IDMap(0, 200000, 5000),)
MAPS = ("--uidmap", "0:100000:5000", "--gidmap", "0:200000:5000")
"""The same maps as options of `podman create`."""


def build_three(podman: PodmanStore) -> list[str]:
    """Build the images one, two and three on top of each other; return the layers of three from the bottom up."""
    podman.build("scratch", BASE, "one")
    podman.build("localhost/one", _MIDDLE, "two")
    podman.build("localhost/two", _TOP, "three")
    store = podman.ours()
    return chain(store, image_layer(store, "localhost/three:latest"))


def build_mapped(podman: PodmanStore) -> None:
    """Build an image of two layers, and a container `box` of it in a user namespace.

    Where the kernel can map owners while mounting, Podman leaves the owners on disk alone. A note in the run root says
    that this kernel cannot, which makes Podman copy the layers and change their owners.
    """
    note = podman.run / "overlay/idmapped-lower-dir-false"
    note.parent.mkdir(parents=True)
    note.touch()
    podman.build("scratch", OWNED, "one")
    podman.build("localhost/one", _OWNED_MORE, "two")
    podman.podman("create", "--pull=never", "--name", "box", *MAPS, "localhost/two", "/none")


def image_layer(store: LayerStore, name: str) -> str:
    """Return the ID of an image's top layer."""
    references = store.references()
    (top,) = [layer.id for layer in store.layers() if name in references.top_images(layer.id)]
    return top


def as_podman_prints(changes: list[Change]) -> list[str]:
    """Return changes as the sorted lines of `podman diff`."""
    return sorted(f"{'CAD'[change.kind]} {change.path}" for change in changes)


def podman_diff(podman: PodmanStore, *what: str) -> list[str]:
    """Return the lines of `podman diff`, sorted."""
    return sorted(podman.podman("diff", *what).splitlines())
