"""The folder of a run: settings, environment, metrics, weights; each file whole or not there."""

import csv
import io
import json
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidSettings, InvalidValue, unreadable
from ..io import count_cores, write_file
from .recipe import current_name
from .resolve import ResolvedRecipe

if TYPE_CHECKING:
    from accelerate import Accelerator

# What version 0.1 padded with, whatever its model was used with, where the settings named nothing.
OLD_PAD_VALUES = {
    "affine": 114,
    "cutmix": 114,
    "darknet-crop": None,
    "darknet-mosaic": None,
    "efficientdet": (124, 116, 104),
    "mixup": 114,
    "scale-jitter": (124, 116, 104),
    "scaled-mosaic": 114,
    "scaled-yolov4": 114,
}
PACKAGES = ("scantling", "torch", "accelerate", "numpy", "opencv-python-headless")


@dataclass(frozen=True)
class RunArgs:
    """What a run is started with, beside its recipe; `open_run` explains each."""

    model: str
    data: str
    weights: str | None
    split: str | None
    validation_split: str | None
    format: str | None
    max_data_errors: int
    device: str
    trackers: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class RunRecord:
    """What `settings.json` of a run holds.

    Args:
        args: of the run.
        data: classes and counts of its data.
        settings: of each setting its `value` and `source`.
        recipe: as nested tables.
        sources: of the settings that are not defaults.
    """

    args: RunArgs
    data: dict[str, Any]
    settings: dict[str, dict[str, Any]]
    recipe: dict[str, Any]
    sources: dict[str, str]


@dataclass(frozen=True)
class RunFolder:
    """The files of a run, by name.

    Args:
        path: of the folder.
    """

    path: Path

    @property
    def settings(self) -> Path:
        """Every setting with its source, and the run's arguments."""
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
        """The state that a run resumes from."""
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
    """Make an empty folder for a run: the one named, or the next `runs/train-N`.

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
    folder: RunFolder, resolved: ResolvedRecipe, args: RunArgs, data: dict[str, Any]
) -> None:
    """Write `settings.json`: every setting with its source, the arguments, what the data holds."""
    record = RunRecord(
        args,
        data,
        {name: {"value": value, "source": source} for name, value, source in resolved.rows()},
        resolved.recipe.model_dump(mode="json"),
        resolved.sources,
    )
    write_file(folder.settings, json.dumps(asdict(record), indent=1) + "\n")


def read_settings(folder: RunFolder) -> RunRecord:
    """Read `settings.json`. One of version 0.1 gets its settings' present names, and its padding.

    Raises:
        InvalidSettings: the folder is not that of a run.
    """
    try:
        record = json.loads(folder.settings.read_text("utf-8"))
        args = record["begun" if "begun" in record else "args"]
        named = {
            table: {current_name(name): value for name, value in record[table].items()}
            for table in ("settings", "recipe", "sources")
        }
        if "begun" in record:
            _set_old_padding(named["recipe"]["augment"])
        trackers = tuple(args["trackers"])
        return RunRecord(RunArgs(**{**args, "trackers": trackers}), record["data"], **named)
    except OSError as error:
        why = (
            f"in settings.json, {unreadable(error)}" if folder.path.is_dir() else unreadable(error)
        )
        raise InvalidSettings([f"{folder.path}: is not the folder of a run: {why}"]) from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InvalidSettings([f"{folder.path}: is not the folder of a run ({error})"]) from error


def _set_old_padding(augment: Mapping[str, Any]) -> None:
    """Name the colour that version 0.1 padded with, for the augmentation and all that is added."""
    for one in (augment, *augment["extra"], *augment["mixers"]):
        name = one["kind"] if one is augment else one["name"]
        if name in OLD_PAD_VALUES and "fill" not in one["settings"]:  # then called so
            one["settings"]["pad_value"] = OLD_PAD_VALUES[name]


def write_environment(folder: RunFolder, accelerator: "Accelerator") -> None:
    """Write `environment.json`: versions, machine, device, precision."""
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
        "cores": count_cores(),
        "device": str(accelerator.device),
        "precision": accelerator.mixed_precision,
        "processes": accelerator.num_processes,
        "packages": versions,
    }
    write_file(folder.environment, json.dumps(record, indent=1) + "\n")


def read_metrics(folder: RunFolder) -> list[dict[str, Any]]:
    """The rows of `metrics.jsonl`, one an epoch; none where there is no file."""
    if not folder.metrics.exists():
        return []
    return [json.loads(line) for line in folder.metrics.read_text("utf-8").splitlines() if line]


def write_metrics(folder: RunFolder, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write `metrics.jsonl` and `metrics.csv` with all rows."""
    rows = list(rows)
    write_file(folder.metrics, "".join(json.dumps(row) + "\n" for row in rows))
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_file(folder.path / "metrics.csv", text.getvalue())
