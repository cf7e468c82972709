"""The words of a command line as values."""

import re
from pathlib import Path

from ..errors import InvalidValue


def parse_image_size(text: str | None, *, option: str = "--image-size") -> tuple[int, int] | None:
    """`416` → (416, 416); `384x640` → (384, 640), height first; None stays None."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    if not found:
        raise InvalidValue(option, text, "a side such as 416, or a HEIGHTxWIDTH as 384x640")
    height, width = found.groups()
    return int(height), int(width or height)


def check_out(out: Path | None, *, overwrite: bool, suffix: str = ".safetensors") -> Path:
    """Where to write, known to be possible before anything is loaded.

    Raises:
        InvalidValue: none was given, it has another suffix, or it exists.
    """
    if out is None or out.suffix != suffix:
        raise InvalidValue("--out", out and str(out), f"a {suffix} file to write")
    if out.exists() and not overwrite:
        raise InvalidValue("--out", str(out), "a file that does not exist, or --overwrite")
    return out
