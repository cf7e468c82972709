"""What a file claims beside its usual input: several images at once, and images of other sizes.

Every row of a batch has to hold what the file gives for its image alone, and images of other sizes
what the model gives for them.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from ..specs.metadata import Metadata
from ..structures import IntArray
from .comparator import Comparator, SampleImage, make_sample
from .distance import AnyOutput, RelativeErrors, compare_outputs, decibels
from .result import Fault, Figure
from .tensors import error_figures, exceeds, own_tolerances

COUNTS = (2, 5)  # images at once, of a file that takes any number
MIXED = "images of a batch mixed up"
OTHER_SIZES = "wrong at other sizes"
Size = tuple[int, int]


def compare_claims(
    comparator: Comparator, samples: Sequence[SampleImage], tolerances: RelativeErrors
) -> tuple[list[Figure], list[Fault]]:
    """Compare batches of different images, and other sizes, as far as the file claims them.

    Args:
        comparator: runs both.
        samples: images on which they agree.
        tolerances: relative errors by output.

    Returns:
        The figures, and the faults.
    """
    figures: list[Figure] = []
    faults: list[Fault] = []
    form = comparator.metadata.form
    if form.batch is None or form.batch > 1:
        different = _at_least_two(comparator, samples)
        for count in COUNTS if form.batch is None else (form.batch,):
            more, found = _compare_batch(comparator, different, count, tolerances)
            figures += more
            faults += found
    if form.any_size and comparator.reference.any_size:
        together = 2 if form.batch is None and not faults else 1
        for size in other_sizes(comparator.metadata):
            more, found = _compare_size(comparator, samples[:together], size, tolerances)
            figures += more
            faults += found
    return figures, faults


def other_sizes(metadata: Metadata) -> list[Size]:
    """Two sizes of input besides the usual one, of about half its area: wide, and high."""
    height, width = metadata.image_size
    step = metadata.size_divisor

    def whole(side: float) -> int:
        return max(step, int(side) // step * step)

    wide = (whole(height / 2), whole(width))
    return [wide, (whole(height) + step, whole(width / 2))]


def arrangements(count: int, images: int) -> Iterator[IntArray]:
    """Which image goes into which row of a batch, so that any two rows differ in one arrangement.

    Args:
        count: rows of the batch.
        images: how many different ones there are, two or more.

    >>> [rows.tolist() for rows in arrangements(4, 3)]
    [[0, 1, 2, 0], [0, 0, 0, 1]]
    """
    rows = np.arange(count)
    while rows.any():
        yield rows % images
        rows = rows // images


def _at_least_two(comparator: Comparator, samples: Sequence[SampleImage]) -> list[SampleImage]:
    """The samples, and the mirror image of one that is alone."""
    if len(samples) > 1:
        return list(samples)
    spec, size = comparator.reference.metadata.input_spec, comparator.metadata.image_size
    return [*samples, make_sample(np.ascontiguousarray(samples[0].image[::-1, ::-1]), spec, size)]


def _compare_batch(
    comparator: Comparator, samples: Sequence[SampleImage], count: int, tolerances: RelativeErrors
) -> tuple[list[Figure], list[Fault]]:
    """Rows of a batch of different images, against what the file gives for each alone."""
    worst = dict.fromkeys(tolerances, 0.0)
    evidence = ""
    for rows in arrangements(count, len(samples)):
        shown = [samples[row] for row in rows]
        together = comparator.run_batch(shown)
        for row, (sample, given) in enumerate(zip(shown, together, strict=True)):
            alone = comparator.candidate_output(sample)
            error = compare_outputs(alone, given, scale=comparator.expected(sample))
            if exceeds(error, tolerances) and not evidence:
                other = _whose(comparator, shown, given, tolerances)
                what = "what it does not get alone" if other is None else f"that of number {other}"
                evidence = f"of {count} different images at once, number {row + 1} gets {what}"
            worst = {name: max(worst[name], value) for name, value in error.items()}
    figures = error_figures(worst, tolerances, f"{count} images at once")
    return figures, [Fault(MIXED, "tensors", evidence)] if evidence else []


def _whose(
    comparator: Comparator,
    shown: Sequence[SampleImage],
    given: AnyOutput,
    tolerances: RelativeErrors,
) -> int | None:
    """The number of the image in a batch whose output this is; None where it is of none."""
    for row, sample in enumerate(shown):
        if not exceeds(compare_outputs(comparator.candidate_output(sample), given), tolerances):
            return row + 1
    return None


def _compare_size(
    comparator: Comparator, samples: Sequence[SampleImage], size: Size, tolerances: RelativeErrors
) -> tuple[list[Figure], list[Fault]]:
    """Images of another size, all at once, against the model."""
    spec = comparator.reference.metadata.input_spec
    own = [make_sample(sample.image, spec, size) for sample in samples]
    several = len(own) > 1
    given = comparator.run_batch(own) if several else [comparator.candidate_output(own[0])]
    errors = [
        compare_outputs(comparator.expected(sample), one)
        for sample, one in zip(own, given, strict=True)
    ]
    error = {name: max(one[name] for one in errors) for name in tolerances}
    limits = tolerances
    if exceeds(error, limits):
        limits = own_tolerances(comparator, own)
    shown = f"{size[0]}×{size[1]} pixels"
    figures = error_figures(error, limits, f"at {shown}", tolerances)
    if not exceeds(error, limits):
        return figures, []
    name = max(error, key=lambda one: error[one] / limits[one])
    agree = (
        f"{100 * error[name]:.3g}% of its detections are others"
        if name == "detections"
        else f"{name} agree to {decibels(error[name]):.1f} dB only"
    )
    return figures, [Fault(OTHER_SIZES, "tensors", f"in images of {shown} {agree}")]
