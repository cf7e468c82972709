"""A model converted for another runtime, kept in the user's folder so that it is made once."""

import atexit
import hashlib
import logging
import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from ..cache import can_keep, make_room
from ..errors import CannotWrite, InvalidExport, ScantlingError
from ..io import default_cache, open_regular, write_file
from ..io.folders import atomic_files
from ..specs.metadata import GraphForm, Metadata
from .contract import EngineSettings
from .files import read_metadata
from .formats import Format
from .hardware import package_version
from .runtimes import find_format

if TYPE_CHECKING:
    from ..checkpoints import Model

logger = logging.getLogger(__name__)

SPARE = 3  # times the weights that a conversion writes, at most
PACKAGES = ("scantling", "torch", "openvino", "onnx", "onnxscript")


def convert(model: "Model", chosen: Format, settings: EngineSettings) -> tuple[Path, Metadata]:
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
    path = folder_of(settings) / f"{key_of(metadata)}{chosen.suffix}"
    if is_whole(path, metadata):
        return path, metadata
    size = sum(tensor.nbytes for tensor in model.network.state_dict().values())
    if can_keep(path.parent, SPARE * size):
        logger.info(f"converting the model to {chosen.suffix}, once; it is kept in {path.parent}")
        try:
            with atomic_files(path, chosen.companions) as draft:
                chosen.write(model, metadata, draft)
            write_file(_seal(path), _digest(path))
        except CannotWrite as error:
            logger.info(str(error))
        else:
            make_room(folder_of(settings).parent, keep=[path])
            return path, read_metadata(path)
    logger.info(f"converting the model to {chosen.suffix}; {path.parent} cannot keep it")
    path = _temporary_folder() / path.name
    with atomic_files(path, chosen.companions) as draft:
        chosen.write(model, metadata, draft)
    return path, read_metadata(path)


def _temporary_folder() -> Path:
    """A folder that goes when the program ends."""
    folder = Path(mkdtemp(prefix="scantling-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def is_converted(model: "Model", chosen: Format, settings: EngineSettings) -> bool:
    """Whether `convert` has the file already."""
    if not any(folder_of(settings).glob(f"*{chosen.suffix}")):
        return False  # nothing was ever converted: no reason to look at every weight
    try:
        metadata = _metadata_for(model, settings)
    except ScantlingError:
        return False
    return is_whole(folder_of(settings) / f"{key_of(metadata)}{chosen.suffix}", metadata)


def folder_of(settings: EngineSettings) -> Path:
    """Where converted models are kept."""
    return (settings.cache or default_cache()) / "engines"


def _metadata_for(model: "Model", settings: EngineSettings) -> Metadata:
    """For any number of images of any size; of one size where that is all that can be."""
    from .graphs import make_metadata

    try:
        return make_metadata(model, form=GraphForm(batch=None, any_size=True))
    except ScantlingError:
        form = GraphForm(batch=None)
        return make_metadata(model, form=form, image_size=settings.size)


def key_of(metadata: Metadata) -> str:
    """What changes with everything that the file depends on."""
    told = f"{metadata.model_dump_json()}\n{versions()}"
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def versions() -> str:
    """Of all packages on which a converted file depends."""
    return "\n".join(f"{name} {package_version(name) or 'not there'}" for name in PACKAGES)


def is_whole(path: Path, metadata: Metadata) -> bool:
    """Whether a file is there, as it was written, and of this model."""
    try:
        with open_regular(_seal(path)) as stream:
            seal = stream.read(1024)
        whole = seal == _digest(path).encode() and read_metadata(path) == metadata
        path.touch()
    except (OSError, InvalidExport):
        return False
    return whole


def _seal(path: Path) -> Path:
    return path.with_suffix(f"{path.suffix}.sha256")


def _digest(path: Path) -> str:
    """Of the bytes of a file, and of the weights beside it."""
    found = hashlib.sha256()
    for one in _files(path):
        with open_regular(one) as stream:
            found.update(hashlib.file_digest(stream, "sha256").digest())
    return found.hexdigest()


def _files(path: Path) -> tuple[Path, ...]:
    """A file and what lies beside it, by its format."""
    found = find_format(path)
    return (path,) if found is None else found.files(path)
