"""What a marked test needs, and whether it is here."""

import os
import shutil
from collections.abc import Iterable
from importlib.util import find_spec

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "firefox")


def find_absent(marks: Iterable[pytest.Mark]) -> str:
    """Why a test with these marks cannot run here; empty where it can."""
    for mark in marks:
        if mark.name in ("needs", "ray"):
            for package in mark.args or ("ray",):
                if find_spec(package) is None:
                    return f"the package {package} is not installed"
        if mark.name == "browser" and not any(map(shutil.which, BROWSERS)):
            return f"no browser: none of {', '.join(BROWSERS)} is installed"
        if mark.name == "environment":
            (variable,) = mark.args
            if not os.environ.get(variable):
                return f"{variable} names no Python of the environment that this test needs"
    return ""
