"""An export format: the weights as NumPy arrays, for whoever builds the network somewhere else.

No engine runs it, so it is written without being verified, which `export` says.
"""

from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from scantling.checkpoints import Model
from scantling.engines.formats import Format
from scantling.specs.metadata import KEY, Metadata

MAX_METADATA = 1 << 22  # bytes


def write(model: Model, metadata: Metadata, path: Path) -> None:
    """One array a tensor, under its name; the metadata's JSON beside them."""
    arrays = {name: tensor.cpu().numpy() for name, tensor in model.network.state_dict().items()}
    with path.open("wb") as file:
        np.savez(file, **arrays)
    with ZipFile(path, "a") as archive:
        archive.writestr(f"{KEY}.json", metadata.model_dump_json())


def read_metadata(path: Path) -> bytes | None:
    """The metadata of a file, if it has any; bounded, and nothing of the file is run."""
    try:
        with ZipFile(path) as archive, archive.open(f"{KEY}.json") as entry:
            return entry.read(MAX_METADATA)
    except (BadZipFile, KeyError, OSError):
        return None


NPZ = Format(suffix=".npz", write=write, read_metadata=read_metadata)
