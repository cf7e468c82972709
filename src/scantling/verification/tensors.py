"""Compare tensors: the outputs of the candidate's graph against those of the reference network.

Nominal tolerances are what any network keeps that is computed with care. Where a file misses one,
the reference is computed with its weights and features rounded as the file's are, see `rounded`,
and the file may lose a few times as much: its ranges may be less lucky, its layers fused in another
order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from ..specs.metadata import Precision
from .comparator import Comparator, SampleImage, make_sample
from .distance import (
    LEAST_ERROR,
    Output,
    RelativeErrors,
    box_errors,
    compare_outputs,
    decibels,
    mean_errors,
)
from .explain import explain
from .metadata_diff import describe_fingerprints
from .result import LARGEST_SCORE_ERROR, STALE, Fault, Figure, Stage
from .scenes import NOISES, ON_SCENES, draw_noise

NOISE = "INT8 calibrated on noise"
QUIETER = 10**0.8  # times less that noise must cost than images do: 8 dB
BEYOND = 10.0  # times its tolerance, past which no rounding of floats explains an error
COSTLY = 4.0  # times the cost of rounding, from which on calibration is suspected: 6 dB
OTHER = "another model"
# Decibels that any network keeps: fp32 an error of a thousandth, int8 of a twentieth.
NOMINAL: dict[Precision, float] = {"fp32": 60.0, "fp16": 40.0, "bf16": 30.0, "int8": 26.0}
# The same after non-maximum suppression: the share of what was found that may be different.
NOMINAL_DETECTIONS: dict[Precision, float] = {"fp32": 0.02, "fp16": 0.04, "bf16": 0.1, "int8": 0.2}
# Times the error that rounding costs. Of int8 that is rounding at its best: real ranges are those
# of other images, and decoding is often rounded too.
MARGIN: dict[Precision, float] = {"fp32": 4.0, "fp16": 4.0, "bf16": 6.0, "int8": 16.0}
MARGIN_DETECTIONS = 2.0
WORST = 0.5  # error: a file that agrees to less than 3 dB is no use
GREY = 1  # level by which a graph that resizes images itself may see pixels differently


@dataclass(frozen=True)
class Tensors:
    """Result of comparing tensors.

    Args:
        stage: the figures.
        faults: what explains an error beyond its tolerance.
        tolerances: relative errors by output.
    """

    stage: Stage
    faults: tuple[Fault, ...]
    tolerances: RelativeErrors


def compare_tensors(
    comparator: Comparator, samples: Sequence[SampleImage], *, real: str
) -> Tensors:
    """Compare the outputs for some images and for noise; explain them if they differ.

    Args:
        comparator: runs both.
        samples: images.
        real: what they are, in words.
    """
    start = perf_counter()
    own = [comparator.expected(sample) for sample in samples]
    given = [comparator.candidate_output(sample) for sample in samples]
    error = mean_errors(list(map(compare_outputs, own, given)))
    if not np.isfinite(list(error.values())).all():
        return _unlike(comparator, samples, error, perf_counter() - start)
    tolerances = nominal_tolerances(comparator.metadata.precision, list(error))
    if exceeds(error, tolerances):
        tolerances = own_tolerances(comparator, samples)
    faults: list[Fault] = []
    if exceeds(error, tolerances):
        # noise first: a mistake that explain knows would show on noise as well
        found = calibrated_on_noise(comparator, samples, error) or explain(
            comparator, samples, tolerances
        )
        faults = _name(comparator, error, tolerances, found)
    elif comparator.metadata.precision != "fp32":
        faults = explain(comparator, samples, tolerances, thorough=False)
        if real != ON_SCENES:  # of which INT8 that was calibrated on photographs may know little
            faults = faults or calibrated_on_noise(comparator, samples, error)
    usual = nominal_tolerances(comparator.metadata.precision, list(error))
    figures = [*error_figures(error, tolerances, real, usual), *_statistics(own, given)]
    figures += error_figures(_noise_error(comparator, NOISES[0])[1], None, f"{NOISES[0]} noise")
    compared = f"{len(samples)} {real}, and noise"
    stage = Stage("tensors", tuple(figures), compared, perf_counter() - start)
    return Tensors(stage, tuple(faults), tolerances)


def exceeds(error: RelativeErrors, tolerances: RelativeErrors) -> bool:
    """Whether any error is beyond its tolerance."""
    return any(value > tolerances[name] for name, value in error.items())


def _noise_error(comparator: Comparator, kind: str) -> tuple[SampleImage, RelativeErrors]:
    """A kind of noise, and the relative errors on it."""
    size = comparator.metadata.image_size
    sample = make_sample(draw_noise(size)[kind], comparator.reference.metadata.input_spec, size)
    return sample, compare_outputs(comparator.expected(sample), comparator.candidate_output(sample))


def _name(
    comparator: Comparator, error: RelativeErrors, tolerances: RelativeErrors, found: list[Fault]
) -> list[Fault]:
    """Why the candidate differs: what was found, else stale weights or coarse rounding."""
    if found:
        return found
    metadata, right = comparator.metadata, comparator.reference.metadata
    worst = max(error, key=lambda name: error[name] / tolerances[name])
    short = f"{worst} agree to {decibels(error[worst]):.1f} dB only"
    near = error[worst] < (WORST if metadata.precision == "int8" else BEYOND * tolerances[worst])
    if metadata.precision != "fp32" and metadata.fingerprint == right.fingerprint and near:
        return [
            Fault(
                f"{metadata.precision} loses too much",
                "tensors",
                f"{short}, where rounding alone would leave {decibels(tolerances[worst]):.1f} dB;"
                " it was exported from these weights, and no other mistake explains it",
            )
        ]
    return [Fault(STALE, "tensors", f"{short}, and no mistake but other weights explains it"
                  f"; {describe_fingerprints(comparator)}")]  # fmt: skip


def calibrated_on_noise(
    comparator: Comparator, samples: Sequence[SampleImage], error: RelativeErrors
) -> list[Fault]:
    """Whether an INT8 file loses much more on images, and less on noise, than rounding costs.

    A file that was calibrated on images loses about as much on both, against what the best ranges
    for each would cost; one that was calibrated on noise is as good on noise as can be. Evidence:
    yolov4-tiny and Yolo-Fastest, calibrated on photographs, lose at most 4 dB more on photographs
    than on the noise that costs least; calibrated on noise, 12 to 19 dB.
    """
    metadata = comparator.metadata
    if (
        metadata.precision != "int8"
        or metadata.fingerprint != comparator.reference.metadata.fingerprint
    ):
        return []
    cost = rounding_cost(comparator, samples)
    if cost is None:
        return []
    name = max(error, key=lambda one: error[one] / max(cost[one], LEAST_ERROR))
    excess = error[name] / max(cost[name], LEAST_ERROR)
    if excess < COSTLY:
        return []
    for kind in NOISES:
        sample, quiet = _noise_error(comparator, kind)
        least = rounding_cost(comparator, [sample])
        if least is not None and excess > QUIETER * quiet[name] / max(least[name], LEAST_ERROR):
            evidence = (
                f"on images {name} agree to {decibels(error[name]):.1f} dB, where rounding at its "
                f"best would leave {decibels(cost[name]):.1f}; on {kind} noise to "
                f"{decibels(quiet[name]):.1f} dB of {decibels(least[name]):.1f}: its ranges fit "
                "noise. Calibrate it on images like those that it will see"
            )
            return [Fault(NOISE, "tensors", evidence)]
    return []


def error_figures(
    error: RelativeErrors,
    tolerances: RelativeErrors | None,
    on: str,
    usual: RelativeErrors | None = None,
) -> list[Figure]:
    """How far outputs differ, against the tolerances, and the usual ones where they are others."""
    figures = []
    for name, value in error.items():
        limit = None if tolerances is None else tolerances[name]
        plain = None if usual is None or limit == usual[name] else usual[name]
        if name == "detections":
            share = [None if one is None else 100 * one for one in (limit, plain)]
            figure = Figure(f"detections that differ, {on}", 100 * value, share[0], unit="%")
            figures.append(replace(figure, at_least=False, usual=share[1]))
        else:
            bound, least = (None if one is None else decibels(one) for one in (limit, plain))
            name = f"{name} agree, {on}"
            figures.append(Figure(name, decibels(value), bound, unit="dB", usual=least))
    return figures


def _statistics(own: Sequence[object], given: Sequence[object]) -> list[Figure]:
    """Median and largest errors, for information: they have no tolerance."""
    pairs = [
        (a, b)
        for a, b in zip(own, given, strict=True)
        if isinstance(a, Output) and isinstance(b, Output)
    ]
    if not pairs:
        return []
    boxes = np.concatenate([box_errors(a.boxes, b.boxes, scale=a.boxes) for a, b in pairs])
    scores = np.concatenate([np.abs(a.scores - b.scores).ravel() for a, b in pairs])
    return [
        Figure("box error, median", 100 * float(np.median(boxes)), unit="% of a side"),
        Figure("box error, 99 of 100", 100 * float(np.percentile(boxes, 99)), unit="% of a side"),
        Figure(LARGEST_SCORE_ERROR, float(np.nan_to_num(scores, nan=1.0).max(initial=0))),
    ]


def _unlike(
    comparator: Comparator, samples: Sequence[SampleImage], error: RelativeErrors, seconds: float
) -> Tensors:
    """The result for arrays of other shapes: it cannot be the same model."""
    own = comparator.expected(samples[0])
    given = comparator.candidate_output(samples[0])
    evidence = f"it gives {_shapes(given)} where the model gives {_shapes(own)}"
    stage = Stage("tensors", tuple(error_figures(error, error, "shapes")), evidence, seconds)
    figures = tuple(Figure(f.name, float("nan"), 0.0, unit=f.unit) for f in stage.figures)
    stage = Stage("tensors", figures, evidence, seconds)
    return Tensors(stage, (Fault(OTHER, "tensors", evidence),), error)


def _shapes(output: object) -> str:
    if not isinstance(output, Output):
        return "detections"
    return f"{output.boxes.shape[0]} boxes of {output.scores.shape[1]} classes"


def nominal_tolerances(precision: Precision, names: Sequence[str]) -> RelativeErrors:
    """The tolerances of any model in this precision: relative errors by output."""
    usual, found = 10 ** (-NOMINAL[precision] / 10), NOMINAL_DETECTIONS[precision]
    return {name: found if name == "detections" else usual for name in names}


def own_tolerances(comparator: Comparator, samples: Sequence[SampleImage]) -> RelativeErrors:
    """The tolerances of this model: what rounding costs it on the samples, with a margin.

    Where the reference cannot be rounded, because it is a file itself, ten times the nominal ones.
    """
    precision = comparator.metadata.precision
    own = comparator.expected(samples[0])
    tolerances = nominal_tolerances(precision, list(compare_outputs(own, own)))
    cost = rounding_cost(comparator, samples)
    if cost is None:
        return {name: min(WORST, 10 * tolerance) for name, tolerance in tolerances.items()}
    for name, tolerance in tolerances.items():
        margin = MARGIN_DETECTIONS if name == "detections" else MARGIN[precision]
        tolerances[name] = max(tolerance, min(WORST, margin * cost[name]))
    return tolerances


def rounding_cost(comparator: Comparator, samples: Sequence[SampleImage]) -> RelativeErrors | None:
    """Relative errors of the rounded reference, in the mean over the samples; None without one."""
    rounded = comparator.rounded_reference
    if rounded is None:
        return None
    costs = []
    for sample in samples:
        canvas = sample.canvas
        if comparator.whole_images:  # whose pixels may differ by a grey level
            canvas = np.bitwise_xor(canvas, np.uint8(GREY))
        output = rounded.run(canvas)
        if output is None:
            return None
        own = comparator.expected(sample)
        costs.append(compare_outputs(own, comparator.as_candidate(output, sample)))
    return mean_errors(costs)
