"""A model that was converted before, opened by the files it is in, without loading it or torch."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..errors import InvalidExport
from ..io import open_regular
from .contract import Engine, EngineSettings
from .converted import folder_of, is_whole, key_of, versions
from .file_engine import FileEngine
from .files import read_metadata
from .formats import FORMATS
from .hardware import find_processor, has_nvidia_gpu
from .runtimes import ENGINES, MODEL, choose_engine, find_installed, open_chosen


def open_known(files: Sequence[Path], settings: EngineSettings) -> FileEngine | None:
    """The engine of a model that was converted before.

    Args:
        files: all that the model is loaded from.
        settings: how to run it.

    Returns:
        None where it was not converted, the files changed since, or it is to run in torch.

    Raises:
        ScantlingError: as `open_engine`.
    """
    on_gpu = settings.device != "cpu" and has_nvidia_gpu()
    if settings.engine == "torch" or settings.compile or on_gpu:
        return None
    choice = choose_engine(
        MODEL,
        asked=settings.engine,
        installed=find_installed(),
        on_gpu=False,
        architecture=find_processor().architecture,
    )
    form = ENGINES[choice.name].format
    if form is None:
        return None
    suffix = FORMATS[form].suffix
    try:
        note = next(folder_of(settings).glob(f"*.{_key(files, suffix, settings)}"))
        path = note.with_name(note.name.partition(".")[0] + suffix)
        metadata = read_metadata(path)
    except (OSError, StopIteration, InvalidExport):
        return None
    if not is_whole(path, metadata):
        return None
    own = replace(settings, image_size=settings.size or metadata.spec.image_size)
    opened = open_chosen(choice, path, metadata, own)
    return opened if isinstance(opened, FileEngine) else None


def remember(files: Sequence[Path], engine: Engine, settings: EngineSettings) -> None:
    """Note that the model in some files was converted for an engine, if it was; for `open_known`.

    Args:
        files: all that the model was loaded from.
        engine: that it was opened in.
        settings: with which it was.
    """
    form = ENGINES[engine.name].format
    if form is None or not isinstance(engine, FileEngine):
        return
    with suppress(OSError):  # what cannot be noted is found out again
        # an empty file beside the converted one, whose name begins with the same word
        note = f"{key_of(engine.metadata)}.{_key(files, FORMATS[form].suffix, settings)}"
        (folder_of(settings) / note).touch()


def _key(files: Sequence[Path], suffix: str, settings: EngineSettings) -> str:
    """What changes with everything that a converted file depends on, as `.{hash}.known`."""
    found = hashlib.sha256(f"{suffix} {settings.size} {versions()}".encode())
    for path in files:
        with open_regular(path) as stream:
            found.update(f"{path.suffix} {path.stem} ".encode(errors="surrogateescape"))
            found.update(hashlib.file_digest(stream, "sha256").digest())
    return f"{found.hexdigest()[:32]}.known"
