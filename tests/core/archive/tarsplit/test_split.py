"""Tests that a tar gives the same tar-split, byte for byte, whatever its chunks are."""

from __future__ import annotations

import base64
import io
import itertools
import json

from hypothesis import given, settings
from hypothesis import strategies as st
from isal import isal_zlib

from layerstore.archive.tarsplit.split import TarSplit
from support.tars import END, entry, header, pax

SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "900"}
TAR = b"".join(
    (
        pax(b"g", comment="c"),
        entry(b"a", b"1" * 700) + entry(b"d/", kind=b"5") + pax(path=b"n" * 150) + entry(b"n", b"2"),
        pax(**SPARSE) + entry(b"s", b"1\n0\n900\n".ljust(512, b"\0") + b"x" * 900),
        header(b"h", b"1", 700, link=b"a"),
        entry(b"volume", b"v" * 2000, b"V"),
        entry(b"z", b"end") + END,
        b"garbage" * 500,
    )
)


def lines(tar: bytes, cuts: list[int]) -> bytes:
    """Return the decompressed tar-split of a tar that arrives in chunks with these ends."""
    out = io.BytesIO()
    ends = [*sorted(cuts), len(tar)]
    chunks = [tar[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    for _ in TarSplit(chunks, out).entries():
        pass
    return isal_zlib.decompress(out.getvalue(), 31)


WHOLE = lines(TAR, [])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, len(TAR)), max_size=20))
def test_chunks_of_any_length_give_the_same_tar_split(cuts: list[int]) -> None:
    assert lines(TAR, cuts) == WHOLE


def test_segments_are_split_at_every_mebibyte_for_any_chunks() -> None:
    tar = TAR + bytes(range(251)) * 10_000
    found = [lines(tar, list(range(0, len(tar), length))) for length in (7_777, 1 << 20, 1_500_001)]
    assert found[0] == found[1] == found[2]
    payloads = [json.loads(line)["payload"] or "" for line in found[0].splitlines()]
    sizes = [len(base64.b64decode(payload)) for payload in payloads]
    assert max(sizes) == 1 << 20
    assert sizes.count(1 << 20) == 2


def test_adjacent_segments_form_one_line() -> None:
    kinds = [json.loads(line)["type"] for line in WHOLE.splitlines()]
    assert 2 not in [kind for kind, after in itertools.pairwise(kinds) if kind == after]
