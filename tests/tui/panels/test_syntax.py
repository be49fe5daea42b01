"""Syntax highlighting: which languages are known, and which characters are coloured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layertui.panels.files.syntax import language_of, tones_of


def never() -> bool:
    return False


@pytest.mark.parametrize(
    ("path", "piece", "language"),
    [
        ("/app/main.py", b"", "python"),
        ("/app/Dockerfile", b"", "docker"),
        ("/etc/shop.CONF", b"", "ini"),
        ("/usr/bin/tool", b"#!/usr/bin/env python3\n", "python"),
        ("/usr/bin/tool", b"#!/bin/sh\n", "bash"),
        ("/usr/bin/tool", b"\x7fELF", ""),
        ("/etc/py.d/readme", b"text", ""),
        ("/var/data.py/x", b"", ""),
    ],
)
def test_languages_are_known_by_name_or_first_line(path: str, piece: bytes, language: str) -> None:
    assert language_of(path, piece) == language


def test_runs_cover_the_tokens() -> None:
    lines = ["import os  # so", 'TEXT = """one', 'two""" + str(3)', ""]
    runs = tones_of("python", lines, never)
    found = [[(line[first:end], tone) for first, end, tone in row] for line, row in zip(lines, runs, strict=True)]
    assert found[0] == [("import", "keyword"), ("# so", "comment")]
    assert ('"""', "string") in found[1]
    assert ("two", "string") in found[2]
    assert ("3", "number") in found[2]


@given(
    st.sampled_from(["python", "bash", "json", "yaml", "html", "docker", "make", "ini"]), st.lists(st.text(max_size=30))
)
def test_runs_lie_within_their_lines_in_order(language: str, texts: list[str]) -> None:
    lines = [text.replace("\n", " ") for text in texts]
    for line, runs in zip(lines, tones_of(language, lines, never), strict=True):
        ends = [0, *(end for _, end, _ in runs)]
        assert all(before <= first < end for before, (first, end, _) in zip(ends, runs, strict=False))
        assert ends[-1] <= len(line)


def test_text_with_very_long_lines_is_not_highlighted() -> None:
    assert tones_of("json", ["[1]", "x" * 3000], never) == ()


def test_it_stops_when_asked() -> None:
    runs = tones_of("python", ["import os"] * 100, lambda: True)
    assert sum(map(len, runs)) <= 1
