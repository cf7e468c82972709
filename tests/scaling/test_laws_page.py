"""The page of scaling laws says what the networks say."""

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_scaling_is_what_the_networks_say(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(DOCS))
    script = runpy.run_path(str(DOCS / "scaling.py"))
    assert script["page"]() == (DOCS / "scaling.md").read_text("utf-8")
