"""Result of a benchmark: a row for each contender, the machine, and how it was measured."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .timings import Ratio, Spread, Timing, as_milliseconds


@dataclass(frozen=True)
class Trial:
    """Latency of one contender in one trial.

    Args:
        latency: of a batch of image files, from the files to the boxes, one stage after the other.
        network: of the network alone, on a batch that is in memory.
        stages: seconds of each stage of that latency, an image.
    """

    latency: Timing
    network: Timing
    stages: Mapping[str, float]


@dataclass(frozen=True)
class ThroughputRun:
    """Throughput of one contender in one run of continuous work.

    Args:
        files: images a second, from files to boxes, with everything overlapped.
        network: images a second of the network alone, with all its streams at work.
    """

    files: Timing
    network: Timing


@dataclass(frozen=True)
class Accuracy:
    """How good a contender is on labelled images.

    Args:
        ap, ap50: COCO's, from 0 to 1.
        images: evaluated.
        protocol: which AP it is, in one line.
    """

    ap: float
    ap50: float
    images: int
    protocol: str


@dataclass(frozen=True, kw_only=True)
class BenchmarkRow:
    """One contender and its figures; those that were not measured are None.

    Args:
        name: of the model.
        description: of the engine, in one line.
        engine, precision, image_size, batch, threads, streams, device: how it was run. Threads are
            None where the engine chose them.
        versions: of the packages that ran it.
        latency: seconds from `batch` image files to their boxes, one stage after the other.
        network: seconds of the network alone, on `batch` images.
        stages: median seconds an image of read, preprocess, network and postprocess in `latency`.
        throughput: images a second from files to boxes, everything overlapped.
        network_throughput: images a second of the network alone, all streams at work.
        latency_ratio, network_ratio, throughput_ratio, network_throughput_ratio: how many times as
            fast as the first row, trial by trial.
        memory: peak of a process that does nothing else, in bytes.
        device_memory: of it, on the GPU, as far as torch knows.
        start: seconds from the command to the first boxes, when everything is in the caches.
        first_start: the same for the first time, with whatever had to be converted or built.
        accuracy: on labelled images.
        problem: why it could not be measured, or not to the end.
    """

    name: str
    description: str
    engine: str
    precision: str | None
    image_size: tuple[int, int] | None
    batch: int
    threads: int | None
    streams: int
    device: str
    versions: Mapping[str, str]
    latency: Spread | None = None
    network: Spread | None = None
    stages: Mapping[str, float] | None = None
    throughput: Spread | None = None
    network_throughput: Spread | None = None
    latency_ratio: Ratio | None = None
    network_ratio: Ratio | None = None
    throughput_ratio: Ratio | None = None
    network_throughput_ratio: Ratio | None = None
    memory: int | None = None
    device_memory: int | None = None
    start: float | None = None
    first_start: float | None = None
    accuracy: Accuracy | None = None
    problem: str | None = None

    @property
    def label(self) -> str:
        """The model and how it is run, short enough for a figure."""
        return f"{self.name}, {self.way}"

    @property
    def way(self) -> str:
        """How it is run, short enough for a figure."""
        parts = [self.engine, self.precision or ""]
        if self.image_size is not None:
            height, width = self.image_size
            parts.append(f"{height}" if height == width else f"{height}×{width}")
        parts.append("" if self.batch == 1 else f"batch {self.batch}")
        parts.append("" if self.threads is None else f"{self.threads} thr.")
        parts.append("" if self.streams == 1 else f"{self.streams} streams")
        return " ".join(part for part in parts if part)


@dataclass(frozen=True)
class Benchmark:
    """Everything that was measured in one run.

    Args:
        rows: a contender each, in the order in which they took part.
        trials, throughput_runs: of each contender, in the order of the rows, which are made from
            them. A contender that failed has none.
        machine: what it was measured on.
        images: what was measured with, in one line.
        data: the labelled data, in one line; empty without.
        fresh: random weights, where they could be used.
        interrupted: the user ended it; the rows are of what there was.
        remarks: what went wrong beside the rows.
    """

    rows: tuple[BenchmarkRow, ...]
    trials: tuple[tuple[Trial, ...], ...]
    throughput_runs: tuple[tuple[ThroughputRun, ...], ...]
    machine: Mapping[str, Any]
    images: str
    data: str = ""
    fresh: bool = False
    interrupted: bool = False
    remarks: tuple[str, ...] = ()

    @property
    def base(self) -> BenchmarkRow | None:
        """The row that the ratios are to: the first that was measured."""
        return next((row for row in self.rows if row.problem is None), None)


def summarise(benchmark: Benchmark) -> dict[str, Any]:
    """Everything but the single samples as plain values, ready for JSON.

    Times are in milliseconds, rates in images a second, memory in bytes.
    """
    base = benchmark.base
    return {
        "machine": dict(benchmark.machine),
        "images": benchmark.images,
        "data": benchmark.data or None,
        "fresh_weights": benchmark.fresh,
        "interrupted": benchmark.interrupted,
        "base": None if base is None else base.label,
        "notes": notes_of(benchmark),
        "rows": [_summarise_row(row) for row in benchmark.rows],
    }


def notes_of(benchmark: Benchmark) -> list[str]:
    """What a reader of the figures must know, a sentence each."""
    notes = list(benchmark.remarks)
    if benchmark.interrupted:
        notes.append("Interrupted: the figures are of what was measured until then.")
    if benchmark.fresh:
        notes.append("Random weights: nothing is found, so that postprocessing is at its cheapest.")
    noisy = [str(n) for n, row in enumerate(benchmark.rows, start=1) if _disturbed_in_all(row)]
    if noisy:
        notes.append(
            f"In row{'' if len(noisy) == 1 else 's'} {', '.join(noisy)} threads had to wait for a "
            "processor so often that such samples count as well: do not trust the digits. Close "
            "other programs, or ask for fewer threads."
        )
    few = [row.latency.count for row in benchmark.rows if row.latency is not None]
    if few and min(few) < 20:
        notes.append(
            f"Only {min(few)} samples a row: p95 and p99 say little; give it more seconds."
        )
    if few and benchmark.machine.get("waits_known") is False:
        notes.append("This system does not say whether threads had to wait for a processor.")
    return notes


def problems_of(benchmark: Benchmark) -> list[str]:
    """Why contenders have no figures, a line for each reason."""
    reasons: dict[str, list[str]] = {}
    for number, row in enumerate(benchmark.rows, start=1):
        if row.problem is not None:
            reasons.setdefault(row.problem, []).append(f"row {number}, {row.label}")
    return [f"Not measured: {'; '.join(rows)}: {reason}" for reason, rows in reasons.items()]


def _disturbed_in_all(row: BenchmarkRow) -> bool:
    spreads = (row.latency, row.network)
    return any(one is not None and one.disturbed > 0 and not one.cleaned for one in spreads)


def _summarise_row(row: BenchmarkRow) -> dict[str, Any]:
    times = {name: as_milliseconds(getattr(row, name)) for name in ("latency", "network")}
    rates = ("throughput", "network_throughput")
    ratios = tuple(f"{name}_ratio" for name in ("latency", "network", *rates))
    plain = ("name", "description", "engine", "precision", "batch", "threads", "streams", "device")
    return {
        **{name: getattr(row, name) for name in plain},
        "image_size": None if row.image_size is None else list(row.image_size),
        "versions": dict(row.versions),
        **times,
        "stages_ms": (
            None
            if row.stages is None
            else {stage: seconds * 1e3 for stage, seconds in row.stages.items()}
        ),
        **{name: _plain(getattr(row, name)) for name in (*rates, *ratios)},
        "memory_bytes": row.memory,
        "device_memory_bytes": row.device_memory,
        "start_seconds": row.start,
        "first_start_seconds": row.first_start,
        "accuracy": _plain(row.accuracy),
        "problem": row.problem,
    }


def _plain(value: Spread | Ratio | Accuracy | None) -> dict[str, Any] | None:
    return None if value is None else asdict(value)
