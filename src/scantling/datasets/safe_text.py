"""Text files of a data set: regular, of a stated size at most, and UTF-8."""

from pathlib import Path

from ..errors import InvalidSource
from ..images.read import check_regular, read_bytes
from .problems import data_error

UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_small(path: Path, *, max_bytes: int) -> bytes:
    """The content of a regular file of limited size; pipes and devices are never opened.

    Raises:
        InvalidData: E101 no such file, or it cannot be read; E230 too large.
    """
    try:
        size = check_regular(path)
        if size > max_bytes:
            raise data_error("E230", path, f"has {size:,} bytes, more than {max_bytes:,}")
        return read_bytes(path, max_bytes=max_bytes)
    except InvalidSource as error:
        raise data_error(
            "E101", path, error.problem.replace("not an image file", "not a file")
        ) from error


def check_utf8(data: bytes, path: Path) -> bytes:
    """The same bytes without a byte order mark, which are UTF-8 text.

    Raises:
        InvalidData: E102 they are not.
    """
    if data[:2] in UTF16:
        raise data_error("E102", path, "is UTF-16 text; expected UTF-8")
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            shown = f"0x{data[error.start]:02x}"
            raise data_error("E102", path, f"byte {shown} is not UTF-8 text", line=line) from error
    return data


def read_text(path: Path, *, max_bytes: int) -> str:
    """The text of a small UTF-8 file.

    Raises:
        InvalidData: as `read_small` and `check_utf8`.
    """
    return check_utf8(read_small(path, max_bytes=max_bytes), path).decode("utf-8")
