"""Tests of formatted sizes and times, and of escaped text."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layertui.text.format import (
    age_text,
    duration_text,
    exact_size,
    parse_size,
    plural,
    rate_text,
    size_text,
    time_text,
)
from layertui.text.safe import copyable, json_safe, pieces, safe
from support.needs import need_program

NOW = datetime(2025, 6, 15, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_994, "10.0 kB"),
        (99_950, "100.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (1_234_567_890, "1.2 GB"),
        (5 * 10**18, "5.0 EB"),
    ],
)
def test_sizes_have_one_decimal(size: int | None, text: str) -> None:
    assert size_text(size) == text


@given(st.integers(0, 10**20))
def test_a_size_fits_its_column(size: int) -> None:
    assert len(size_text(size)) <= 8


def test_exact_sizes_add_the_bytes_if_they_are_rounded() -> None:
    assert exact_size(12) == "12 B"
    assert exact_size(12_345) == "12.3 kB (12,345 bytes)"


@pytest.mark.parametrize(
    ("text", "size"),
    [("100MB", 10**8), ("1.5 GiB", 1_610_612_736), ("4k", 4000), ("7", 7), ("7b", 7), ("x", None), ("", None)],
)
def test_typed_sizes_are_parsed(text: str, size: int | None) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(seconds=5), "now"),
        (timedelta(minutes=3), "3m"),
        (timedelta(hours=23), "23h"),
        (timedelta(days=6), "6d"),
        (timedelta(days=20), "2w"),
        (timedelta(days=100), "3mo"),
        (timedelta(days=800), "2y"),
        (timedelta(days=-3), "now"),
    ],
)
def test_ages(ago: timedelta, text: str) -> None:
    assert age_text(NOW - ago, NOW) == text


def test_times_without_a_zone_are_utc() -> None:
    assert time_text(datetime(2025, 6, 15, 9, 0), NOW) == "2025-06-15 09:00:00 UTC (3 hours ago)"
    assert age_text(None, NOW) == time_text(None, NOW) == "–"


def test_counts_durations_and_rates() -> None:
    assert (plural(1, "child", "children"), plural(2000, "layer")) == ("1 child", "2,000 layers")
    assert [duration_text(seconds) for seconds in (0.42, 59.7, 185, 7800)] == [
        "0.4 s",
        "1 min 0 s",
        "3 min 5 s",
        "2 h 10 min",
    ]
    assert rate_text(10**7, 2.0) == "5.0 MB/s"
    assert rate_text(10**7, 0.01) == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [red]x[/] \\n", "plain [red]x[/] \\n"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x7f\x00", "\\x7f\\x00"),
        ("\x9b31m", "\\u009b31m"),
        (b"\xff\xfe".decode("utf-8", "surrogateescape"), "\\xff\\xfe"),
        ("a\u202eb\u2066", "a\\u202eb\\u2066"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("层 🚀 é", "层 🚀 é"),
        ("\u3164\u115f", "\\u3164\\u115f"),
        ("e" + "\u0301" * 6, "e" + "\u0301" * 4 + "\\u0301" * 2),
    ],
)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    assert safe(text) == shown


@given(st.text(st.characters()))
def test_any_text_becomes_one_printable_line(text: str) -> None:
    out = safe(text)
    assert out.isprintable()
    out.encode()
    assert "".join(piece for piece, _ in pieces(text)) == out
    assert safe(out) == out


def test_pieces_distinguish_a_backslash_from_an_escape() -> None:
    assert list(pieces("\\n\n")) == [("\\n", False), ("\\n", True)]


def test_combining_marks_are_limited_in_any_script() -> None:
    assert safe("e" + "\u0301" * 4) == "e" + "\u0301" * 4
    assert safe("\u0e01" + "\u0e49" * 6) == "\u0e01" + "\u0e49" * 4 + "\\u0e49" * 2
    assert safe("🚀" * 9) == "🚀" * 9


def test_printable_text_is_copied_unchanged() -> None:
    assert copyable("/usr/it's [red] \\n é 日本") == "/usr/it's [red] \\n é 日本"


@pytest.mark.parametrize(
    "text", ["a\nrm -rf x", "'\\\x1b]0;t\x07", "\udcff7\x9b", "\u202eé", "e" + "\u0301" * 9, "\t\r"]
)
def test_escaped_text_is_copied_as_one_word_of_the_shell(text: str) -> None:
    word = copyable(text)
    assert safe(word) == word
    shell = need_program("bash")
    out = subprocess.run([shell, "-c", f"printf %s {word}"], check=True, capture_output=True).stdout
    assert os.fsdecode(out) == text


@pytest.mark.parametrize("text", ["\x7f\x9b\u202e", "\U000e0001", "a\u2028b"])
def test_escaped_json_has_the_same_value(text: str) -> None:
    shown = json_safe(json.dumps(text, ensure_ascii=False))
    assert safe(shown) == shown
    assert json.loads(shown) == text
