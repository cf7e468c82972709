"""PyTorch as the engine of a `.pt2` file, a program of torch.export."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..errors import InvalidExport, InvalidValue, MissingPackage
from ..specs.metadata import Metadata
from .contract import Settings
from .file_engine import FileEngine, Outputs
from .outputs import output_names
from .torch_archive import safe_archive

logger = logging.getLogger(__name__)


def open_torch_file(path: Path, metadata: Metadata, settings: Settings) -> FileEngine:
    """A `.pt2` file in torch, on the processor.

    Raises:
        MissingPackage: torch is not installed.
        InvalidExport: it cannot be read, or holds what no exported model needs.
        InvalidValue: another precision than the file's, or a device other than the processor.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise MissingPackage("torch", "To run a .pt2 file") from error
    if settings.precision not in (None, "auto", metadata.precision):
        expected = f"{metadata.precision}, in which the file was exported"
        raise InvalidValue("precision", settings.precision, expected)
    if settings.device not in ("auto", "cpu"):
        raise InvalidValue("device", settings.device, "cpu or auto, for a .pt2 file")
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    archive = safe_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about its own format
            program = torch.export.load(archive)
            # guards are Python in the file; the metadata and the engine check what goes in
            module = program.module(check_guards=False)
    except Exception as error:  # whatever a damaged program makes torch raise
        problem = f"torch cannot run it: {type(error).__name__}: {_first_line(error)}"
        raise InvalidExport(str(path), problem, "Export the model again") from error
    threads = torch.get_num_threads()
    engine = FileEngine(
        metadata,
        TorchFileSession(module, metadata, str(path)),
        name="torch",
        precision=metadata.precision,
        image_size=settings.image_size,
        description=f"torch {torch.__version__.split('+')[0]} (torch.export), CPU, "
        f"{metadata.precision}, {threads} thread{'s' * (threads > 1)}, 1 stream",
    )
    engine.in_background = False  # as for a model in torch on a processor
    if settings.streams > 1:
        logger.info("torch works on one batch at a time, with all threads: one stream")
    return engine


class TorchFileSession:
    """A loaded program.

    Args:
        module: of torch.
        metadata: of the file.
        source: what an error calls it.
    """

    def __init__(self, module: Any, metadata: Metadata, source: str) -> None:
        self._module = module
        self._names = output_names(metadata)
        self._source = source

    def start(self, images: NDArray[Any]) -> Callable[[], Outputs]:
        """Run the program; what is given back gives the outputs, by name."""
        import torch

        try:
            with torch.inference_mode():
                found = self._module(torch.from_numpy(images))
        except Exception as error:  # whatever the operations of the file make torch raise
            problem = f"torch cannot run it: {_first_line(error)}"
            raise InvalidExport(self._source, problem, "Export the model again") from error
        values = found if isinstance(found, (tuple, list)) else (found,)
        if len(values) != len(self._names):
            problem = f"the graph gives {len(values)} outputs, its metadata says {len(self._names)}"
            raise InvalidExport(self._source, problem, "Export the model again")
        outputs = {
            name: value.float().numpy() for name, value in zip(self._names, values, strict=True)
        }
        return lambda: outputs

    def close(self) -> None:
        """There is nothing to let go of: the memory goes with the engine."""


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else "no reason given"
