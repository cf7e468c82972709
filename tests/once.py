"""A folder that one process of a test run makes, and the others wait for."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder of this name of a whole test run.

    Args:
        factory: of temporary folders.
        name: of the folder.
        make: fills it.
    """
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    draft, folder = shared / f"{name}-draft", shared / name
    try:
        draft.mkdir()
    except FileExistsError:
        while not folder.is_dir():
            if (shared / f"{name}-failed").exists():
                pytest.fail(f"{folder} could not be made: see the first test that failed")
            time.sleep(0.1)
        return folder
    try:
        make(draft)
    except BaseException:
        (shared / f"{name}-failed").touch()
        raise
    return draft.rename(folder)
