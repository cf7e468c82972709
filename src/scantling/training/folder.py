"""The folder of a run: settings, environment, metrics, weights; each file whole or not there."""

import csv
import hashlib
import io
import json
import platform
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from ..errors import InvalidSettings, InvalidValue, printable, unreadable
from ..io import LEFT, count_cores, make_folder, remove_left, write_file, writing
from ..io.folders import Lock
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
DAMAGED = "Without it the run cannot be resumed; last.safetensors can start another"
LOST_ROWS = "Delete the file to go on without the figures of the epochs so far"
_METRICS = TypeAdapter(dict[str, int | float | None])  # of each row
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
        digests: SHA-256 of the files of `args.model` and `args.weights`, by these names.
    """

    args: RunArgs
    data: dict[str, Any]
    settings: dict[str, dict[str, Any]]
    recipe: dict[str, Any]
    sources: dict[str, str]
    digests: dict[str, str] = field(default_factory=dict)


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
        CannotWrite: it cannot be made.
    """
    if path is None:
        make_folder(base)
        for number in count(1):
            new = base / f"train-{number}"
            with writing(new), suppress(FileExistsError):
                new.mkdir()
                break
        return RunFolder(new)
    require_empty(path)
    make_folder(path)
    return RunFolder(path)


def require_empty(path: Path) -> None:
    """Require a folder that holds nothing of a run but what one that is killed at once leaves."""
    if not path.exists():
        return
    held = [one.name for one in path.iterdir()] if path.is_dir() else [path.name]
    empty = {RunFolder(path).environment.name}
    if any(name not in empty and not LEFT.fullmatch(name) for name in held):
        raise InvalidValue("out", str(path), "a folder that is empty or not there; or --resume it")


def lock_folder(folder: RunFolder) -> Lock:
    """Lock the folder of a run until it ends, and remove what a killed one was writing there.

    Raises:
        InUse: another process trains there.
    """
    lock = Lock(folder.path / ".scantling-lock", folder.path)
    remove_left(folder.path)
    return lock


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
        file_digests(args),
    )
    write_file(folder.settings, json.dumps(asdict(record), indent=1) + "\n")


def file_digests(args: RunArgs) -> dict[str, str]:
    """SHA-256 of the model's file and that of its weights, as far as they are files."""
    files = {"model": args.model, "weights": args.weights}
    found = {}
    for name, path in files.items():
        if path is not None and Path(path).is_file():
            with Path(path).open("rb") as stream:
                found[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


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
        found = {"args": args, "data": record["data"], **named}
        found["digests"] = record.get("digests", {})
        return TypeAdapter(RunRecord).validate_json(json.dumps(found), strict=True)
    except OSError as error:
        if not folder.path.is_dir():
            why = unreadable(error)
        elif folder.environment.exists() and isinstance(error, FileNotFoundError):
            why = (
                "it ended before it wrote its settings, and holds nothing to resume yet; start it"
                " again with the same --out"
            )
        else:
            why = f"in settings.json, {unreadable(error)}"
        raise InvalidSettings([f"{folder.path}: is not the folder of a run: {why}"]) from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part)[:40] for part in first["loc"])
        raise InvalidSettings([f"{folder.settings}: {place}: {first['msg']}. {DAMAGED}"]) from error
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        why = printable(f"{type(error).__name__}: {error}", limit=200)
        raise InvalidSettings([f"{folder.settings}: is damaged ({why}). {DAMAGED}"]) from error


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
    """The rows of `metrics.jsonl`, one an epoch; none where there is no file.

    Raises:
        InvalidSettings: it is damaged; names the line.
    """
    if not folder.metrics.exists():
        return []
    rows: list[dict[str, Any]] = []
    try:
        lines = folder.metrics.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings([f"{folder.metrics}: {unreadable(error)}. {LOST_ROWS}"]) from error
    for number, line in enumerate(lines, start=1):
        try:
            row = _METRICS.validate_json(line, strict=True)
            whole = all(isinstance(row[name], int) for name in ("epoch", "step"))
            if not whole or row["total"] is None or row["learning_rate"] is None:
                raise ValueError
        except (ValueError, KeyError) as error:
            problem = f"{folder.metrics}:{number}: is no row of metrics"
            raise InvalidSettings([f"{problem}. {LOST_ROWS}"]) from error
        rows.append(row)
    return rows


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
