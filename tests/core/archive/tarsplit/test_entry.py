"""Tests of the lines of a tar-split, which have to be those that Go writes."""

from __future__ import annotations

import base64
import json
import posixpath

import msgspec
from fastcrc.crc64 import go_iso
from hypothesis import given
from hypothesis import strategies as st

from layerstore.archive.tarsplit.entry import Line, clean, file_line, segment_line


def crc(data: bytes) -> str:
    return base64.b64encode(go_iso(data).to_bytes(8, "big")).decode()


def test_lines_are_those_of_go() -> None:
    assert segment_line(b"abc", 0) == b'{"type":2,"payload":"YWJj","position":0}\n'
    assert file_line(b"d/", 0, 0, 1) == b'{"type":1,"name":"d/","payload":null,"position":1}\n'
    assert file_line(b"f", 5, go_iso(b"hello"), 7) == (
        b'{"type":1,"name":"f","size":5,"payload":"%b","position":7}\n' % crc(b"hello").encode()
    )
    assert file_line(b"", 0, 0, 2) == b'{"type":1,"payload":null,"position":2}\n'
    assert file_line(b"\xff", 0, 0, 3) == b'{"type":1,"name_raw":"/w==","payload":null,"position":3}\n'


def test_the_crc_is_that_of_go() -> None:
    # In Go: crc64.Checksum([]byte("123456789"), crc64.MakeTable(crc64.ISO))
    assert go_iso(b"123456789") == 0xB90956C775A41001
    assert go_iso(b"6789", go_iso(b"12345")) == 0xB90956C775A41001


def test_names_are_escaped_as_go_escapes_them() -> None:
    line = file_line('a<b>&"\\\n\t\x01\x7f\u2028\u2029\u00e9'.encode(), 0, 0, 0)
    assert b'"name":"a\\u003cb\\u003e\\u0026\\"\\\\\\n\\t\\u0001\x7f\\u2028\\u2029\xc3\xa9"' in line


@given(name=st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_every_name_can_be_decoded(name: bytes) -> None:
    line = file_line(name, 3, 77, 5)
    assert msgspec.json.decode(line, type=Line).archive_name() == name
    parsed = json.loads(line)
    raw = base64.b64decode(parsed.get("name_raw", ""))
    assert (raw or parsed.get("name", "").encode()) == name


@given(parts=st.lists(st.sampled_from(["", ".", "..", "a", ".b", "..c", "d."]), max_size=7))
def test_clean_is_that_of_go(parts: list[str]) -> None:
    name = "/".join(parts)
    expected = posixpath.normpath(name)
    assert clean(name.encode()).decode() == (expected[1:] if expected.startswith("//") else expected)
