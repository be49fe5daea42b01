"""The API pages name everything that the library exports."""

from __future__ import annotations

import re
from pathlib import Path

import layerstore
from layerstore import errors

PAGES = Path(__file__).parents[2] / "docs/api"


def test_every_public_name_is_on_one_page() -> None:
    text = "".join(page.read_text() for page in PAGES.glob("*.md"))
    named = re.findall(r"^::: layerstore\.(\w+)$", text, re.MULTILINE)
    assert len(named) == len(set(named))
    assert "errors" in named, "one directive shows the whole module"
    of_errors = {name for name in layerstore.__all__ if hasattr(errors, name)}
    assert {*named} - {"errors"} | of_errors == set(layerstore.__all__)
