"""What a format of exported files is, and how its files appear: whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InvalidExport
from ...io.folders import atomic_files, lock_file

if TYPE_CHECKING:
    from ...checkpoints import Model
    from ...specs.metadata import Metadata
    from ..graphs.quantizable import Progress, QuantizableGraph

AGAIN = "Export the model again with `scantling export`"
MAX_METADATA = 4 << 20  # bytes; metadata has a few thousand


@dataclass(frozen=True, kw_only=True)
class Format:
    """How a model is written in one format, read back and run.

    Importing one loads no runtime, and its functions load theirs when they are called.

    Args:
        suffix: of the file.
        companions: suffixes of the files that are written beside it, which have to appear first.
        write: (model, metadata, path): makes the files, of a draft: see `replace_files`.
        read_metadata: path → the metadata's JSON, None where there is none. It runs nothing of
            the file, and takes bounded time and memory.
        engines: that run the file; it is verified in the first, and not at all where there is none.
        precisions: that can be had.
        packages: that an export needs.
        extra: ours, which brings the packages.
        quantizable: by precision, makes a graph of which labelled images decide what is rounded.
        quantization_packages: by precision, packages that it needs besides.
    """

    suffix: str
    companions: tuple[str, ...] = ()
    write: Callable[[Model, Metadata, Path], None]
    read_metadata: Callable[[Path], str | bytes | None]
    engines: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ("fp32",)
    packages: tuple[str, ...] = ()
    extra: str | None = None
    quantizable: Mapping[str, Callable[[Model, Metadata, Progress], QuantizableGraph]] = field(
        default_factory=dict
    )
    quantization_packages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def files(self, path: Path) -> tuple[Path, ...]:
        """The file at this path, and those beside it that belong to it."""
        return (path, *(path.with_suffix(suffix) for suffix in self.companions))


@contextmanager
def replace_files(path: Path, chosen: Format) -> Iterator[Path]:
    """A draft to write, which takes the place of `path` on success: see `io.folders.atomic_files`.

    Args:
        path: where the file is to be.
        chosen: its format.

    Raises:
        InvalidExport: the path has another suffix.
        CannotWrite, InUse: nothing can be written there, or another process is writing it.
    """
    check_suffix(path, chosen.suffix)
    with lock_file(path), atomic_files(path, chosen.companions) as draft:
        yield draft


def check_suffix(path: Path, suffix: str) -> None:
    """Require the suffix of an exported file.

    Raises:
        InvalidExport: the path has another one.
    """
    if path.suffix != suffix:
        problem = f"a file of this kind cannot end in {path.suffix!r}"
        raise InvalidExport(str(path), problem, f"Use {suffix}")
