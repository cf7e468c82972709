"""What was measured of each contender, as a row of figures."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from statistics import median

from .. import __version__
from ..engines import ENGINES
from ..inference.predictor import STAGES
from .outcome import BenchmarkRow, Trial
from .timings import Ratio, Timing, ratio_of, spread_of, undisturbed
from .trials import Entry


def make_rows(entries: Sequence[Entry]) -> tuple[BenchmarkRow, ...]:
    """A row each, with ratios to the first that has figures."""
    base = next((one for one in entries if one.problem is None), None)
    return tuple(_make_row(one, base) for one in entries)


def package_versions(engine: str) -> dict[str, str]:
    """The versions of scantling and of what runs the network."""
    found = {"scantling": __version__}
    for package in ENGINES[engine].packages if engine in ENGINES else ():
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _make_row(entry: Entry, base: Entry | None) -> BenchmarkRow:
    contender, predictor = entry.contender, entry.predictor
    row = BenchmarkRow(
        name=contender.source.name,
        description="" if predictor is None else predictor.engine.description,
        engine=contender.engine if predictor is None else predictor.engine.name,
        precision=contender.precision if predictor is None else predictor.engine.precision,
        image_size=contender.image_size if predictor is None else predictor.engine.image_size,
        batch=contender.batch,
        threads=contender.threads,
        streams=contender.streams,
        device=contender.device,
        versions=package_versions(contender.engine if predictor is None else predictor.engine.name),
        problem=entry.problem,
    )
    if entry.problem is not None or base is None:
        return row
    return _with_figures(row, entry, base)


def _with_figures(row: BenchmarkRow, entry: Entry, base: Entry) -> BenchmarkRow:
    ours, theirs = _series(entry), _series(base)
    starts = entry.starts
    memories = [one.memory for one in starts if one.memory is not None]
    on_device = [one.device_memory for one in starts if one.device_memory is not None]

    def ratio(name: str, *, rates: bool = False) -> Ratio | None:
        return None if entry is base else ratio_of(theirs[name], ours[name], rates=rates)

    return replace(
        row,
        latency=spread_of(ours["latency"]),
        network=spread_of(ours["network"]),
        stages=_stages(entry.trials),
        throughput=spread_of(ours["throughput"]),
        network_throughput=spread_of(ours["network_throughput"]),
        latency_ratio=ratio("latency"),
        network_ratio=ratio("network"),
        throughput_ratio=ratio("throughput", rates=True),
        network_throughput_ratio=ratio("network_throughput", rates=True),
        memory=max(memories, default=None),
        device_memory=max(on_device, default=None),
        start=starts[-1].start if len(starts) > 1 else None,
        first_start=starts[0].start if starts else None,
        accuracy=entry.accuracy,
    )


def _series(entry: Entry) -> dict[str, list[Timing]]:
    """The timings of a contender by name, one for each trial or throughput run."""
    return {
        "latency": [trial.latency for trial in entry.trials],
        "network": [trial.network for trial in entry.trials],
        "throughput": [run.files for run in entry.throughput_runs],
        "network_throughput": [run.network for run in entry.throughput_runs],
    }


def _stages(trials: Sequence[Trial]) -> dict[str, float] | None:
    """The median of each stage, of the trials that `latency` is the median of."""
    kept = undisturbed([trial.latency for trial in trials])
    chosen = [trial for trial, keeps in zip(trials, kept, strict=True) if keeps]
    if not chosen:
        return None
    return {stage: median(trial.stages[stage] for trial in chosen) for stage in STAGES}
