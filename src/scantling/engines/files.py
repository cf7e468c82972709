"""Read the metadata of exported files, without any runtime."""

from pathlib import Path

from pydantic import ValidationError

from ..errors import InvalidExport
from ..heads import HEADS
from ..specs.metadata import PT2_ADVICE, Metadata
from .formats import FORMATS, find_format
from .formats.format import AGAIN, MAX_METADATA

MAX_SIDE = 8192  # pixels of an input


def read_metadata(path: str | Path) -> Metadata:
    """Read the metadata in an exported file. It runs nothing of the file.

    Raises:
        InvalidExport: there is no such file, it is damaged or not of this kind, it carries no
            metadata or some that contradicts itself, or it asks for what an exported file
            never needs: other files, code, control flow.
    """
    path = Path(path)
    if path.suffix.lower() == ".pt2":
        raise InvalidExport(str(path), "programs of torch.export are no longer read", PT2_ADVICE)
    kind = find_format(path)
    if kind is None:
        known = ", ".join(one.suffix for one in FORMATS.values())
        problem = f"its suffix is {path.suffix.lower()!r}"
        raise InvalidExport(str(path), problem, f"Name a file that ends {known}")
    if not path.is_file():
        raise InvalidExport(str(path), "there is no such file", "Check the name")
    try:
        data = kind.read_metadata(path)
    except OSError as error:
        problem = f"it cannot be read: {error.strerror or error}"
        raise InvalidExport(str(path), problem, "Check the file") from error
    if data is None:
        raise InvalidExport(str(path), "it says nothing of the model in it", AGAIN)
    return parse_metadata(data, str(path))


def parse_metadata(data: str | bytes, source: str) -> Metadata:
    """Parse and check the JSON of metadata.

    Raises:
        InvalidExport: it is not valid.
    """
    if len(data) > MAX_METADATA:
        raise InvalidExport(source, f"its metadata has {len(data):,} bytes", AGAIN)
    try:
        metadata = Metadata.model_validate_json(data)
    except (ValidationError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidExport(
            source, f"its metadata does not hold: {_first(error)}", AGAIN
        ) from error
    if max(metadata.image_size) > MAX_SIDE:
        problem = f"its input has {metadata.image_size[0]} by {metadata.image_size[1]} pixels"
        raise InvalidExport(source, problem, f"Sides of {MAX_SIDE} pixels are the most")
    _check_head(metadata, source)
    return metadata


def _check_head(metadata: Metadata, source: str) -> None:
    """Refuse raw predictions that nothing here can decode. Other graphs hold their own decoder."""
    head = metadata.spec.head_kind
    kind = HEADS.get(head)
    if kind is None:
        if metadata.form.gives == "raw":
            known = ", ".join(sorted(HEADS))
            raise InvalidExport(source, f"no head is called {head[:100]!r}", f"Known: {known}")
        return
    for level in metadata.levels:
        if level.box_coding not in kind.box_codings:
            expected = " or ".join(map(repr, kind.box_codings))
            problem = f"box_coding of its head {head} is {level.box_coding!r}"
            raise InvalidExport(source, problem, f"Expected {expected}; export the model again")


def _first(error: Exception) -> str:
    """The first error in metadata."""
    if isinstance(error, ValidationError):
        one = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in one["loc"])[:100]
        return f"{where}: {one['msg'][:200]}" if where else str(one["msg"])[:200]
    return str(error)[:200]
