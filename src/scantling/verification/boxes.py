"""Compare boxes: the detections of both, after resizing, decoding and NMS."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from time import perf_counter

import numpy as np

from ..engines import Ready
from ..images.letterbox import RESIZE_MODES
from ..inference.predictor import Predictor
from ..postprocess import Selection
from ..specs.metadata import Precision
from ..specs.schema import InputSpec
from ..structures import Candidates, FloatArray, Image
from .comparator import Comparator
from .distance import DetectionArrays, pair
from .metadata_diff import name_resizing
from .reference import Reference
from .result import Fault, Figure, Stage
from .tensors import GREY

logger = logging.getLogger(__name__)

LOWEST = 1e-4  # score below which nothing is looked at
PER_IMAGE = 30  # detections that a low floor leaves in an image, where there are as many
MOST = 1000  # detections of an image
NEAR_FLOOR = 0.5  # share of a score down to which the other is searched
STANDS_OUT = 1.02  # times the low floor that the best score must be: else the order is chance


@dataclass(frozen=True)
class Agreement:
    """How alike two sets of detections are.

    Args:
        count: detections of both.
        matched: share of them that the other has too.
        mean_iou, least_iou: of the pairs.
        score: mean difference of the pairs.
    """

    count: int
    matched: float
    mean_iou: float
    least_iou: float
    score: float


# Tolerances of a right file: matched, mean IoU, mean difference of scores.
NOMINAL: dict[Precision, Agreement] = {
    "fp32": Agreement(0, 0.99, 0.99, 0.0, 0.002),
    "fp16": Agreement(0, 0.98, 0.98, 0.0, 0.01),
    "bf16": Agreement(0, 0.95, 0.95, 0.0, 0.02),
    "int8": Agreement(0, 0.75, 0.85, 0.0, 0.15),
}
MARGIN = 2.0  # times what rounding costs the model itself


class ReferenceEngine:
    """A reference as an engine, for a `Predictor`."""

    name = "reference"
    precision = "fp32"
    whole_images = False
    in_background = False
    streams = 1
    size_divisor: int | None = None

    def __init__(self, reference: Reference, image_size: tuple[int, int], *, grey: int = 0) -> None:
        self.image_size = image_size
        self.grey = np.uint8(grey)  # grey levels by which pixels are off
        self.description = reference.description
        self._reference = reference

    def new_batch(self, images: int, image_size: tuple[int, int] | None = None) -> Image:
        """An (images, H, W, 3) array to be filled."""
        return np.zeros((images, *(image_size or self.image_size), 3), np.uint8)

    def __call__(self, images: Image) -> Candidates:
        """(N, H, W, 3) → their candidates."""
        outputs = [self._reference.run(np.bitwise_xor(image, self.grey)) for image in images]
        known = [one for one in outputs if one is not None]
        return Candidates(
            np.stack([one.boxes for one in known]), np.stack([one.scores for one in known])
        )

    def submit(self, images: Image) -> Ready:
        """The answer, which is there at once."""
        return Ready(self(images))

    def run(self, images: Image) -> dict[str, FloatArray]:
        """Boxes and scores by name."""
        found = self(images)
        return {"boxes": found.boxes, "scores": found.scores}

    def close(self) -> None:
        """There is nothing to let go of."""


class BoxComparison:
    """Detections of candidate and reference in the same images.

    Args:
        comparator: has both.
        images: (H, W, 3) each.
    """

    def __init__(self, comparator: Comparator, images: Sequence[Image]) -> None:
        metadata, columns = comparator.metadata, comparator.columns
        self.comparator = comparator
        self.metadata = metadata
        self.reference = comparator.reference
        self.images = images
        back = np.empty_like(columns)
        back[columns] = np.arange(len(columns))
        self.selection = (
            comparator.selection()
            if metadata.form.gives == "detections"
            else Selection(
                min_score=LOWEST, iou_threshold=metadata.iou_threshold, max_detections=MOST
            )
        )
        right = self.reference.metadata
        self.expected = self._detect(self.reference, right.input_spec)
        predictor = Predictor(
            comparator.engine,
            right.names,
            input_spec=metadata.input_spec,
            # what a graph leaves out of classes it leaves out itself
            selection=replace(self.selection, classes=None, class_scores=None),
        )
        self.given = [
            DetectionArrays(found.boxes, found.scores, back[found.labels])
            for found in map(predictor, images)
        ]
        self.floors = self._floors()

    def _detect(
        self, reference: Reference, spec: InputSpec, *, grey: int = 0
    ) -> list[DetectionArrays]:
        """Detections of a reference in the images, resized by this spec."""
        engine = ReferenceEngine(reference, self.metadata.image_size, grey=grey)
        names = reference.metadata.names
        predictor = Predictor(engine, names, input_spec=spec, selection=self.selection)
        return [
            DetectionArrays(found.boxes, found.scores, found.labels)
            for found in map(predictor, self.images)
        ]

    def _floors(self) -> dict[str, float]:
        """The scores from which on both are compared: the metadata's, and a low one.

        Without the low one where all scores are nearly equal: which boxes an untrained network
        prefers is decided by its last digits.
        """
        usual = self.metadata.min_score
        if self.metadata.form.gives == "detections":
            # nothing is known of what lies just below: the very edge is left out
            edge = 1.2 * max([usual, *self.metadata.class_scores.values()])
            return {f"from {edge:.2g}": min(edge, 1.0)}
        ranked = [np.sort(one.scores)[::-1][:PER_IMAGE] for one in self.expected]
        low = min([float(scores[-1]) for scores in ranked if len(scores)], default=LOWEST)
        low = max(2 * LOWEST, min(low, usual / 2))
        best = max([float(scores[0]) for scores in ranked if len(scores)], default=0.0)
        floors = {f"from {usual:.2g}": usual}
        return floors | ({f"from {low:.1g}": low} if best > STANDS_OUT * low else {})

    def agreement(
        self, expected: Sequence[DetectionArrays], given: Sequence[DetectionArrays], floor: float
    ) -> Agreement:
        """How alike the detections above a score are."""
        ious: list[FloatArray] = []
        scores: list[FloatArray] = []
        count = matched = 0
        for a, b in zip(expected, given, strict=True):
            near = NEAR_FLOOR * floor
            mine, theirs, overlap = pair(_above(a, near), _above(b, near))
            first, second = a.scores[mine], b.scores[theirs]
            both = (first >= floor).astype(int) + (second >= floor)
            count += int((a.scores >= floor).sum() + (b.scores >= floor).sum())
            matched += int(both.sum())
            ious.append(overlap[both > 0])
            scores.append(np.abs(first - second)[both > 0])
        every, apart = np.concatenate(ious), np.concatenate(scores)
        if not len(every):
            share = 1.0 if not count else 0.0
            return Agreement(count, share, share, share, 0.0)
        return Agreement(
            count, matched / count, float(every.mean()), float(every.min()), float(apart.mean())
        )

    def with_input_spec(self, spec: InputSpec) -> list[DetectionArrays]:
        """Detections of the reference in images resized and padded otherwise."""
        return self._detect(self.reference, spec)

    @cached_property
    def _rounded(self) -> list[DetectionArrays] | None:
        """Detections of the reference in the candidate's precision; None without one."""
        rounded = self.comparator.rounded_reference
        if rounded is None:
            return None
        grey = GREY if self.metadata.form.takes == "image" else 0
        return self._detect(rounded, self.reference.metadata.input_spec, grey=grey)

    def tolerances(self, floor: float, *, own: bool) -> Agreement:
        """The least agreement: nominal, or by what rounding costs this very model (`own`)."""
        nominal = NOMINAL[self.metadata.precision]
        found = self._rounded if own else None
        if found is None:
            return nominal
        cost = self.agreement(self.expected, found, floor)
        return Agreement(
            0,
            max(0.0, min(nominal.matched, 1 - MARGIN * (1 - cost.matched))),
            max(0.0, min(nominal.mean_iou, 1 - MARGIN * (1 - cost.mean_iou))),
            0.0,
            max(nominal.score, MARGIN * cost.score),
        )


def _above(found: DetectionArrays, floor: float) -> DetectionArrays:
    """The detections from a score on, which are the first: the best come first."""
    count = int((found.scores >= floor).sum())
    return DetectionArrays(found.boxes[:count], found.scores[:count], found.labels[:count])


def compare_boxes(
    comparator: Comparator, images: Sequence[Image], *, real: str, explained: bool
) -> tuple[Stage, list[Fault]]:
    """Compare detections, and look for a reason in how images are resized.

    Args:
        comparator: has both.
        images: (H, W, 3) each.
        real: what they are, in words.
        explained: a fault is known already: only the figures are wanted.
    """
    start = perf_counter()
    comparison = BoxComparison(comparator, images)
    figures: list[Figure] = []
    failed = False
    total = 0
    for label, floor in comparison.floors.items():
        agreement = comparison.agreement(comparison.expected, comparison.given, floor)
        total += agreement.count
        tolerances = comparison.tolerances(floor, own=False)
        if not explained and not keeps(agreement, tolerances):
            tolerances = comparison.tolerances(floor, own=True)
        failed |= not keeps(agreement, tolerances)
        figures += _figures(agreement, tolerances, NOMINAL[comparison.metadata.precision], label)
    if not total:
        logger.info(
            "neither the file nor its model finds anything in these images, so no boxes were "
            "compared: give others, or train it"
        )
    faults = _name(comparison) if failed and not explained else []
    words = f"{len(images)} {real}"
    return Stage("boxes", tuple(figures), words, perf_counter() - start), faults


def keeps(agreement: Agreement, tolerances: Agreement) -> bool:
    """Whether enough of the detections are the same."""
    return (
        agreement.matched >= tolerances.matched
        and agreement.mean_iou >= tolerances.mean_iou
        and agreement.score <= tolerances.score
    )


def _figures(
    agreement: Agreement, tolerances: Agreement, nominal: Agreement, label: str
) -> list[Figure]:
    """The figures from one score on, with the usual limits where those of this model are others."""

    def usual(name: str, factor: float = 1.0) -> float | None:
        own, plain = getattr(tolerances, name), getattr(nominal, name)
        return None if own == plain else factor * plain

    matched = Figure(
        f"boxes matched, {label}", 100 * agreement.matched, 100 * tolerances.matched, unit="%"
    )
    apart = Figure(
        f"mean score difference, {label}", agreement.score, tolerances.score, at_least=False
    )
    overlap = Figure(f"mean IoU, {label}", agreement.mean_iou, tolerances.mean_iou)
    return [
        Figure(f"boxes compared, {label}", agreement.count),
        replace(matched, usual=usual("matched", 100)),
        replace(overlap, usual=usual("mean_iou")),
        Figure(f"least IoU, {label}", agreement.least_iou),
        replace(apart, usual=usual("score")),
    ]


def _name(comparison: BoxComparison) -> list[Fault]:
    """Which other way of resizing images explains the detections of the candidate."""
    own = comparison.reference.metadata.input_spec
    says = comparison.metadata.input_spec
    specs = [says, *(own.replace(resize_mode=mode) for mode in RESIZE_MODES)]
    floor = min(comparison.floors.values())
    best: tuple[float, InputSpec] | None = None
    for spec in specs:
        if (spec.resize_mode, spec.pad_value) == (own.resize_mode, own.pad_value):
            continue
        found = comparison.agreement(comparison.with_input_spec(spec), comparison.given, floor)
        if keeps(found, NOMINAL[comparison.metadata.precision]) and (
            best is None or found.mean_iou > best[0] + 1e-3
        ):
            best = (found.mean_iou, spec)
    if best is None:
        return []
    name, evidence = name_resizing(own, best[1])
    return [Fault(name, "boxes", f"{evidence}: resized so, the model finds what the file does")]
