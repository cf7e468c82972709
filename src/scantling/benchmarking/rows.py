"""What was measured of each contender, as a row of figures."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from statistics import median

from .. import __version__
from .outcome import STAGES, Row, Turn
from .samples import Ratio, Sample, ratio_of, spread_of, undisturbed
from .turns import Standing

# Which packages run the network of an engine.
PACKAGES = {
    "torch": ("torch",),
    "onnxruntime": ("onnxruntime",),
    "openvino": ("openvino",),
    "tensorrt": ("tensorrt",),
}


def make_rows(standings: Sequence[Standing]) -> tuple[Row, ...]:
    """A row each, with ratios to the first that has figures."""
    base = next((one for one in standings if one.problem is None), None)
    return tuple(_make_row(one, base) for one in standings)


def package_versions(engine: str) -> dict[str, str]:
    """The versions of scantling and of what runs the network."""
    found = {"scantling": __version__}
    for package in PACKAGES.get(engine, ()):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _make_row(standing: Standing, base: Standing | None) -> Row:
    contender, predictor = standing.contender, standing.predictor
    row = Row(
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
        problem=standing.problem,
    )
    if standing.problem is not None or base is None:
        return row
    return _with_figures(row, standing, base)


def _with_figures(row: Row, standing: Standing, base: Standing) -> Row:
    ours, theirs = _series(standing), _series(base)
    starts = standing.starts
    memories = [one.memory for one in starts if one.memory is not None]
    on_device = [one.device_memory for one in starts if one.device_memory is not None]

    def ratio(name: str, *, rates: bool = False) -> Ratio | None:
        return None if standing is base else ratio_of(theirs[name], ours[name], rates=rates)

    return replace(
        row,
        latency=spread_of(ours["latency"]),
        network=spread_of(ours["network"]),
        stages=_stages(standing.turns),
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
        accuracy=standing.accuracy,
    )


def _series(standing: Standing) -> dict[str, list[Sample]]:
    """What was sampled of a contender, by name, a sample each turn or stretch."""
    return {
        "latency": [turn.latency for turn in standing.turns],
        "network": [turn.network for turn in standing.turns],
        "throughput": [stretch.files for stretch in standing.stretches],
        "network_throughput": [stretch.network for stretch in standing.stretches],
    }


def _stages(turns: Sequence[Turn]) -> dict[str, float] | None:
    """The median of each stage, of the turns that `latency` is the median of."""
    kept = undisturbed([turn.latency for turn in turns])
    chosen = [turn for turn, keeps in zip(turns, kept, strict=True) if keeps]
    if not chosen:
        return None
    return {stage: median(turn.stages[stage] for turn in chosen) for stage in STAGES}
