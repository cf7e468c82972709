"""Tests that need something of their own are skipped where it is not; collecting loads little."""

import pytest

from markers import BROWSERS, find_absent


def test_a_package_that_is_not_installed_is_named():
    assert not find_absent([pytest.mark.needs("numpy", "pytest").mark, pytest.mark.slow.mark])
    absent = find_absent([pytest.mark.needs("numpy", "no_such_package").mark])
    assert absent == "the package no_such_package is not installed"


def test_a_browser_is_looked_for_on_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no browser" in find_absent([pytest.mark.browser.mark])
    (tmp_path / BROWSERS[0]).write_text("")
    (tmp_path / BROWSERS[0]).chmod(0o755)
    assert not find_absent([pytest.mark.browser.mark])


def test_an_environment_is_named_by_a_variable(monkeypatch: pytest.MonkeyPatch):
    mark = pytest.mark.environment("SCANTLING_OTHER_PYTHON").mark
    monkeypatch.delenv("SCANTLING_OTHER_PYTHON", raising=False)
    assert "SCANTLING_OTHER_PYTHON" in find_absent([mark])
    monkeypatch.setenv("SCANTLING_OTHER_PYTHON", "/usr/bin/python3")
    assert not find_absent([mark])


def test_collecting_loads_no_heavy_package(loaded_by_collecting: list[str]):
    assert not loaded_by_collecting, "import them inside of the tests that need them"
