"""The first comparison: what the graph itself gives, against the reference network."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from .comparator import Bench, Probe, make_probe, measure
from .distance import NOTHING, Answer, Energies, box_errors, decibels, mean_energies
from .explain import explain
from .result import Fault, Figure, Stage
from .scenes import NOISES, ON_SCENES, draw_noise
from .tolerances import WORST, nominal_limits, own_limits, rounding_cost

NOISE = "INT8 calibrated on noise"
STALE = "stale weights"
QUIETER = 10**0.8  # times less that noise must cost than images do: 8 dB
BEYOND = 10.0  # times its limit, past which no rounding of floats explains an error
COSTLY = 4.0  # times what rounding costs, from which on it is asked: 6 dB
OTHER = "another model"


@dataclass(frozen=True)
class Tensors:
    """What the comparison of tensors found.

    Args:
        stage: the figures.
        faults: what explains them, if they are past a limit.
        limits: energies by output.
    """

    stage: Stage
    faults: tuple[Fault, ...]
    limits: Energies


def compare_tensors(bench: Bench, probes: Sequence[Probe], *, real: str) -> Tensors:
    """Compare what both say of some images, and of noise; find out why if they differ.

    Args:
        bench: both sides.
        probes: images.
        real: what they are, in words.
    """
    start = perf_counter()
    own = [bench.expect(bench.told(probe), probe) for probe in probes]
    said = [bench.said(probe) for probe in probes]
    error = mean_energies(list(map(measure, own, said)))
    if not np.isfinite(list(error.values())).all():
        return _unlike(bench, probes, error, perf_counter() - start)
    limits = nominal_limits(bench.metadata.precision, list(error))
    if _past(error, limits):
        limits = own_limits(bench, probes)
    faults: list[Fault] = []
    if _past(error, limits):
        # noise first: a mistake that explain knows would show on noise as well
        found = calibrated_on_noise(bench, probes, error) or explain(bench, probes, limits)
        faults = _name(bench, error, limits, found)
    elif bench.metadata.precision != "fp32":
        faults = explain(bench, probes, limits, thorough=False)
        if real != ON_SCENES:  # of which INT8 that was calibrated on photographs may know little
            faults = faults or calibrated_on_noise(bench, probes, error)
    figures = [*_figures(error, limits, real), *_statistics(own, said)]
    figures += _figures(_noise_error(bench, NOISES[0])[1], None, f"{NOISES[0]} noise")
    compared = f"{len(probes)} {real}, and noise"
    stage = Stage("tensors", tuple(figures), compared, perf_counter() - start)
    return Tensors(stage, tuple(faults), limits)


def _past(error: Energies, limits: Energies) -> bool:
    return any(value > limits[name] for name, value in error.items())


def _noise_error(bench: Bench, kind: str) -> tuple[Probe, Energies]:
    """A kind of noise, and how far both are apart on it."""
    size = bench.metadata.image_size
    probe = make_probe(draw_noise(size)[kind], bench.reference.metadata.input_spec, size)
    return probe, measure(bench.expect(bench.told(probe), probe), bench.said(probe))


def _name(bench: Bench, error: Energies, limits: Energies, found: list[Fault]) -> list[Fault]:
    """Why a file is not its model: what was found, or what is left where nothing was."""
    if found:
        return found
    metadata, right = bench.metadata, bench.reference.metadata
    worst = max(error, key=lambda name: error[name] / limits[name])
    short = f"{worst} agree to {decibels(error[worst]):.1f} dB only"
    near = error[worst] < (WORST if metadata.precision == "int8" else BEYOND * limits[worst])
    if metadata.precision != "fp32" and metadata.fingerprint == right.fingerprint and near:
        return [
            Fault(
                f"{metadata.precision} loses too much",
                "tensors",
                f"{short}, where rounding alone would leave {decibels(limits[worst]):.1f} dB;"
                " it was exported from these weights, and no other mistake explains it",
            )
        ]
    return [Fault(STALE, "tensors", f"{short}, and no mistake but other weights explains it"
                  f"; {describe_fingerprints(bench)}")]  # fmt: skip


def describe_fingerprints(bench: Bench) -> str:
    """Whether the file says that it was exported from other weights."""
    metadata, right = bench.metadata, bench.reference.metadata
    if metadata.fingerprint == right.fingerprint:
        return "its metadata names these weights, so the graph was changed after its export"
    what = "weights" if metadata.spec == right.spec else "description and weights"
    return (
        f"its metadata says that it was exported from other {what} "
        f"({metadata.fingerprint[:12]}… of {metadata.source!r}, not {right.fingerprint[:12]}…)"
    )


def calibrated_on_noise(bench: Bench, probes: Sequence[Probe], error: Energies) -> list[Fault]:
    """Whether an INT8 file loses much more on images, and less on noise, than rounding costs.

    A file that was calibrated on images loses about as much on both, against what the best ranges
    for each would cost; one that was calibrated on noise is as good on noise as can be. Evidence:
    yolov4-tiny and Yolo-Fastest, calibrated on photographs, lose at most 4 dB more on photographs
    than on the noise that costs least; calibrated on noise, 12 to 19 dB.
    """
    metadata = bench.metadata
    if metadata.precision != "int8" or metadata.fingerprint != bench.reference.metadata.fingerprint:
        return []
    cost = rounding_cost(bench, probes)
    if cost is None:
        return []
    name = max(error, key=lambda one: error[one] / max(cost[one], NOTHING))
    excess = error[name] / max(cost[name], NOTHING)
    if excess < COSTLY:
        return []
    for kind in NOISES:
        probe, quiet = _noise_error(bench, kind)
        least = rounding_cost(bench, [probe])
        if least is not None and excess > QUIETER * quiet[name] / max(least[name], NOTHING):
            evidence = (
                f"on images {name} agree to {decibels(error[name]):.1f} dB, where rounding at its "
                f"best would leave {decibels(cost[name]):.1f}; on {kind} noise to "
                f"{decibels(quiet[name]):.1f} dB of {decibels(least[name]):.1f}: its ranges fit "
                "noise. Calibrate it on images like those that it will see"
            )
            return [Fault(NOISE, "tensors", evidence)]
    return []


def _figures(error: Energies, limits: Energies | None, on: str) -> list[Figure]:
    figures = []
    for name, value in error.items():
        limit = None if limits is None else limits[name]
        if name == "detections":
            figures.append(Figure(f"detections that differ, {on}", value, limit, at_least=False))
        else:
            bound = None if limit is None else decibels(limit)
            figures.append(Figure(f"{name} agree, {on}", decibels(value), bound, unit="dB"))
    return figures


def _statistics(own: Sequence[object], said: Sequence[object]) -> list[Figure]:
    """How the errors are distributed: told, and not held to a limit."""
    pairs = [
        (a, b)
        for a, b in zip(own, said, strict=True)
        if isinstance(a, Answer) and isinstance(b, Answer)
    ]
    if not pairs:
        return []
    boxes = np.concatenate([box_errors(a.boxes, b.boxes, scale=a.boxes) for a, b in pairs])
    scores = np.concatenate([np.abs(a.scores - b.scores).ravel() for a, b in pairs])
    return [
        Figure("box error, median", 100 * float(np.median(boxes)), unit="% of a side"),
        Figure("box error, 99 of 100", 100 * float(np.percentile(boxes, 99)), unit="% of a side"),
        Figure("score error, largest", float(np.nan_to_num(scores, nan=1.0).max(initial=0))),
    ]


def _unlike(bench: Bench, probes: Sequence[Probe], error: Energies, seconds: float) -> Tensors:
    """Arrays of other shapes: it cannot be the same model."""
    own, said = bench.expect(bench.told(probes[0]), probes[0]), bench.said(probes[0])
    evidence = f"it gives {_shapes(said)} where the model gives {_shapes(own)}"
    stage = Stage("tensors", tuple(_figures(error, error, "shapes")), evidence, seconds)
    figures = tuple(Figure(f.name, float("nan"), 0.0, unit=f.unit) for f in stage.figures)
    stage = Stage("tensors", figures, evidence, seconds)
    return Tensors(stage, (Fault(OTHER, "tensors", evidence),), error)


def _shapes(answer: object) -> str:
    if not isinstance(answer, Answer):
        return "detections"
    return f"{answer.boxes.shape[0]} boxes of {answer.scores.shape[1]} classes"
