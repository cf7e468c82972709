"""The folder of a run: settings, environment, metrics, weights; each file whole or not there."""

import csv
import io
import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..errors import InvalidValue
from ..io import write_file
from .resolve import Resolved

PACKAGES = ("scantling", "torch", "accelerate", "numpy", "opencv-python-headless")


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps what it makes.

    Args:
        path: of the folder.
    """

    path: Path

    @property
    def settings(self) -> Path:
        """Every setting with its source, and what the run was begun with."""
        return self.path / "settings.json"

    @property
    def environment(self) -> Path:
        """Versions and the machine."""
        return self.path / "environment.json"

    @property
    def metrics(self) -> Path:
        """One JSON object an epoch; the same as a table is in `metrics.csv`."""
        return self.path / "metrics.jsonl"

    @property
    def state(self) -> Path:
        """All that is needed to go on."""
        return self.path / "state.safetensors"

    @property
    def last(self) -> Path:
        """The model after the last epoch, or where the run was stopped."""
        return self.path / "last.safetensors"

    @property
    def best(self) -> Path:
        """The model of the best evaluation."""
        return self.path / "best.safetensors"

    @property
    def report(self) -> Path:
        """Curves and settings on one page."""
        return self.path / "report.html"

    @property
    def samples(self) -> Path:
        """The first images as the network saw them."""
        return self.path / "samples.jpg"

    @property
    def curves(self) -> Path:
        """The curves alone."""
        return self.path / "curves.png"


def new_folder(path: Path | None, *, base: Path = Path("runs")) -> RunFolder:
    """An empty folder for a run: the one named, or the next `runs/train-N`.

    Raises:
        InvalidValue: there is something in it already.
    """
    if path is None:
        number = 1
        while True:
            path = base / f"train-{number}"
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                number += 1
            else:
                return RunFolder(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InvalidValue("out", str(path), "a folder that is empty or not there; or --resume it")
    path.mkdir(parents=True, exist_ok=True)
    return RunFolder(path)


def write_settings(
    folder: RunFolder,
    resolved: Resolved,
    begun: Mapping[str, Any],
    data: Mapping[str, Any],
) -> None:
    """Keep every setting with its source, what the run was begun with, and what is in its data."""
    settings = {name: {"value": value, "source": source} for name, value, source in resolved.rows()}
    record = {
        "begun": dict(begun),
        "data": dict(data),
        "settings": settings,
        "recipe": resolved.recipe.model_dump(mode="json"),
        "sources": resolved.sources,
    }
    write_file(folder.settings, json.dumps(record, indent=1) + "\n")


def write_environment(folder: RunFolder, *, device: str, precision: str, processes: int) -> None:
    """Keep what the run was made with."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    record = {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "device": device,
        "precision": precision,
        "processes": processes,
        "packages": versions,
    }
    write_file(folder.environment, json.dumps(record, indent=1) + "\n")


def read_metrics(folder: RunFolder) -> list[dict[str, Any]]:
    """The rows so far; nothing where there are none."""
    if not folder.metrics.exists():
        return []
    return [json.loads(line) for line in folder.metrics.read_text("utf-8").splitlines() if line]


def write_metrics(folder: RunFolder, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write all rows anew, as JSON lines and as CSV."""
    rows = list(rows)
    write_file(folder.metrics, "".join(json.dumps(row) + "\n" for row in rows))
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_file(folder.path / "metrics.csv", text.getvalue())
