"""A model converted for another runtime, kept in the user's folder so that it is made once."""

import hashlib
import importlib.metadata
import logging
from pathlib import Path

from ..checkpoints import Model
from ..errors import InvalidExport, ScantlingError
from ..io import default_cache
from ..specs.metadata import GraphForm, Metadata
from .contract import EngineSettings
from .files import read_metadata
from .formats import Format
from .formats.format import replace_files
from .runtimes import find_format

logger = logging.getLogger(__name__)

KEPT = 16  # converted models; the ones used longest ago go first
PACKAGES = ("torch", "openvino", "onnx", "onnxscript")


def convert(model: Model, chosen: Format, settings: EngineSettings) -> tuple[Path, Metadata]:
    """The model as a file of a format: one made before if it is whole, else a new one.

    It takes any number of images, of any size that the model takes.

    Args:
        model: what to convert.
        chosen: of the engine that is to run it.
        settings: its folder and its image size, for a model that takes one size only.

    Raises:
        ScantlingError: the model cannot be converted, or the file cannot be written.
    """
    metadata = _metadata_for(model, settings)
    path = (settings.cache or default_cache()) / "engines" / f"{_key(metadata)}{chosen.suffix}"
    if _is_whole(path, metadata):
        return path, metadata
    logger.info(f"converting the model to {chosen.suffix}, once; it is kept in {path.parent}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidExport(str(path), f"it cannot be written: {error}", "Name a cache") from error
    with replace_files(path, chosen) as draft:
        chosen.write(model, metadata, draft)
    _seal(path).write_text(_digest(path))
    _let_go(path.parent)
    return path, read_metadata(path)


def _metadata_for(model: Model, settings: EngineSettings) -> Metadata:
    """For any number of images of any size; of one size where that is all that can be."""
    from .graphs import make_metadata

    try:
        return make_metadata(model, form=GraphForm(batch=None, any_size=True))
    except ScantlingError:
        form = GraphForm(batch=None)
        return make_metadata(model, form=form, image_size=settings.size)


def _key(metadata: Metadata) -> str:
    """What changes with everything that the file depends on."""
    told = [metadata.model_dump_json()]
    for name in PACKAGES:
        try:
            told.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            told.append(f"no {name}")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:32]


def _is_whole(path: Path, metadata: Metadata) -> bool:
    """Whether a file is there, as it was written, and of this model."""
    try:
        whole = _seal(path).read_text() == _digest(path) and read_metadata(path) == metadata
        path.touch()
    except (OSError, UnicodeDecodeError, InvalidExport):
        return False
    return whole


def _seal(path: Path) -> Path:
    return path.with_suffix(f"{path.suffix}.sha256")


def _digest(path: Path) -> str:
    """Of the bytes of a file, and of the weights beside it."""
    found = hashlib.sha256()
    for one in _files(path):
        with one.open("rb") as stream:
            found.update(hashlib.file_digest(stream, "sha256").digest())
    return found.hexdigest()


def _files(path: Path) -> tuple[Path, ...]:
    """A file and what lies beside it, by its format."""
    found = find_format(path)
    return (path,) if found is None else found.files(path)


def _let_go(folder: Path) -> None:
    """Remove what was used longest ago, where there is more than is kept."""
    kept = [one for one in folder.iterdir() if find_format(one) is not None]
    try:
        kept.sort(key=lambda one: one.stat().st_mtime)
        for path in kept[:-KEPT]:
            for one in (*_files(path), _seal(path)):
                one.unlink(missing_ok=True)
    except OSError:  # another process does the same
        return
