"""The folder of this user for what can be fetched or found out again."""

import sys
from pathlib import Path


def default_cache() -> Path:
    """Where downloads and caches are kept unless another folder is named; it may not exist yet."""
    home = Path.home()
    if sys.platform == "win32":
        return home / "AppData" / "Local" / "scantling" / "Cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "scantling"
    return home / ".cache" / "scantling"
