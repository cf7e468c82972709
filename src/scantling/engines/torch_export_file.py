"""The metadata of a torch.export file (.pt2), read with nothing but `zipfile`.

Such a file may hold pickles, which run code when they are read: see `torch_archive`, which lets
nothing of the kind through to torch.
"""

import re
from pathlib import Path
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from ..errors import InvalidExport

AGAIN = "Export the model again with `scantling export`"
MAX_MEMBERS = 100_000
MAX_ENTRY = 8 << 20  # bytes of the metadata


def read_entry(path: Path, key: str) -> bytes | None:
    """The contents of an extra file in the archive; None where there is none.

    Raises:
        InvalidExport: the file is no archive of torch.export, or damaged.
        OSError: it cannot be read.
    """
    try:
        with ZipFile(path) as archive:
            members = list_members(archive, str(path))
            member = members.get(f"extra/{key}.json")
            return None if member is None else read_member(archive, member, MAX_ENTRY, str(path))
    except (BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise InvalidExport(str(path), f"it is no whole archive: {error}", AGAIN) from error


def list_members(archive: ZipFile, source: str) -> dict[str, ZipInfo]:
    """What is in an archive, by its name without the folder that everything lies in.

    Nothing may be compressed, so that it takes no more memory than the file has bytes.

    Raises:
        InvalidExport: there is too much, twice the same, or something compressed in it.
    """
    found: dict[str, ZipInfo] = {}
    listed = archive.infolist()
    if len(listed) > MAX_MEMBERS:
        raise InvalidExport(source, f"it has {len(listed):,} parts", AGAIN)
    for member in listed:
        name = member.filename.partition("/")[2]
        if member.compress_type != ZIP_STORED or member.file_size != member.compress_size:
            raise InvalidExport(source, f"its part {name[:60]!r} is compressed", AGAIN)
        if name in found or not re.fullmatch(r"[\w./-]{1,300}", name, re.ASCII):
            raise InvalidExport(source, f"its part {name[:60]!r} is there twice, or odd", AGAIN)
        found[name] = member
    if "models/model.json" not in found:
        raise InvalidExport(source, "it is no archive of torch.export", AGAIN)
    return found


def read_member(archive: ZipFile, member: ZipInfo, most: int, source: str) -> bytes:
    """The bytes of one part.

    Raises:
        InvalidExport: it has more than `most`.
    """
    if member.file_size > most:
        problem = f"its part {member.filename[:60]!r} has {member.file_size:,} bytes"
        raise InvalidExport(source, problem, AGAIN)
    return archive.read(member)
