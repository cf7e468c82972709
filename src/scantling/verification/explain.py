"""Explain a difference: which error, made on purpose, lets the reference give what the candidate
does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from ..images.letterbox import RESIZE_MODES
from .classes import describe_order, fit_classes, reorder
from .comparator import Comparator, SampleImage
from .distance import (
    AnyOutput,
    DetectionArrays,
    Output,
    RelativeErrors,
    compare_outputs,
    mean_errors,
    pair,
    soft_logit,
)
from .input_errors import input_changes
from .metadata_diff import name_resizing
from .output_errors import output_changes
from .reference import InputChange
from .result import CLASSES, Fault

SHARE = 0.9  # of the error that a hypothesis must explain
NEAR = 0.01  # error that may remain whatever the tolerance is: 20 dB
HALF = 0.6  # share that it must explain where the limits hold, because they are wide


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """An error, and the output for each sample if it were made."""

    name: str
    evidence: str
    outputs: tuple[AnyOutput, ...]


def explain(
    comparator: Comparator,
    samples: Sequence[SampleImage],
    tolerances: RelativeErrors,
    *,
    thorough: bool = True,
) -> list[Fault]:
    """Find the errors that explain why the candidate differs; none where none does.

    Args:
        comparator: runs both.
        samples: images on which they differ.
        tolerances: relative errors that a right file keeps.
        thorough: try changed inputs too, and two errors at once.
    """
    one = samples[:1]  # has thousands of boxes, and the model is slow
    search = _Search(comparator, samples, tolerances)
    search.add_all(
        _of_classes(
            comparator, samples, [comparator.reference_output(sample) for sample in samples]
        )
    )
    search = search.narrowed(one)
    outputs = [comparator.reference_output(sample) for sample in one]
    search.add_all(_of_outputs(comparator, one, outputs))
    if not thorough:
        return search.faults()
    search.add_all(_of_selection(comparator, one, outputs))
    search.add_all(_of_resizing(comparator, one))
    seen = list(_of_inputs(comparator, one, search))
    if search.best is None:  # two mistakes at once
        for change, known in seen:
            for second in (
                *_of_classes(comparator, one, known),
                *_transposed(comparator, one, known),
            ):
                name = f"{change.name}\n{second.name}"
                evidence = f"{change.evidence}\n{second.evidence}"
                search.add(replace(second, name=name, evidence=evidence))
    return search.faults()


def _of_inputs(
    comparator: Comparator, samples: Sequence[SampleImage], search: "_Search"
) -> Iterator[tuple[InputChange, list[Output]]]:
    """Try changed inputs as long as nothing explains all; give the reference's output for each."""
    height, width = comparator.metadata.image_size
    for change in input_changes(comparator.reference.metadata.input_spec, square=height == width):
        if search.settled:
            return
        fed = [comparator.with_input_change(sample, change) for sample in samples]
        known = [one for one in fed if one is not None]
        if len(known) == len(samples):
            search.add(_expected(comparator, samples, known, change.name, change.evidence))
            yield change, known


class _Search:
    """Keeps the hypothesis that explains most."""

    def __init__(
        self, comparator: Comparator, samples: Sequence[SampleImage], tolerances: RelativeErrors
    ) -> None:
        self.comparator = comparator
        self.precision = comparator.metadata.precision
        self.tolerances = tolerances
        self.given = [comparator.candidate_output(sample) for sample in samples]
        self.own = [comparator.expected(sample) for sample in samples]
        self.error = mean_errors(list(map(compare_outputs, self.own, self.given)))
        self.failing = {name for name, value in self.error.items() if value > tolerances[name]}
        self.best: tuple[float, Hypothesis] | None = None

    @property
    def settled(self) -> bool:
        """Whether the best hypothesis leaves nothing to explain."""
        return self.best is not None and self.best[0] <= 1

    def narrowed(self, samples: Sequence[SampleImage]) -> "_Search":
        """The same search on some of the samples, with the best so far."""
        search = _Search(self.comparator, samples, self.tolerances)
        search.best = self.best
        return search

    def add_all(self, hypotheses: Iterator[Hypothesis]) -> None:
        """Try one after the other, until one explains all."""
        while not self.settled:
            hypothesis = next(hypotheses, None)
            if hypothesis is None:
                return
            self.add(hypothesis)

    def add(self, hypothesis: Hypothesis) -> None:
        """Remember a hypothesis that explains the difference better than any before."""
        left = mean_errors(list(map(compare_outputs, hypothesis.outputs, self.given)))
        if not np.isfinite(list(left.values())).all() or not self._explains(hypothesis, left):
            return
        # the earlier of two that are about as good: it is the likelier
        cost = max(left[name] / self.tolerances[name] for name in left)
        if self.best is None or cost < 0.5 * self.best[0]:
            self.best = (max(cost, 1e-3), hypothesis)

    def _explains(self, hypothesis: Hypothesis, left: RelativeErrors) -> bool:
        """Whether little remains, of what there was and of what the hypothesis itself says."""
        shares = self._shares(hypothesis)
        if not self.failing:
            best = max(shares.values())
            kept = all(left[name] <= max(self.tolerances[name], self.error[name]) for name in left)
            return kept and best >= HALF and all(share > -0.1 for share in shares.values())
        for name, value in left.items():
            tolerance = self.tolerances[name]
            if name not in self.failing:
                if value > max(tolerance, 4 * self.error[name]):
                    return False
                continue
            if value <= tolerance:  # by what the hypothesis says itself, however far that is off
                continue
            exact = self.precision == "int8" or value <= max(10 * tolerance, NEAR)
            if not exact or shares[name] < SHARE:
                return False
        return True

    def _shares(self, hypothesis: Hypothesis) -> RelativeErrors:
        """The share of the error that a hypothesis takes away, relative to the expected output."""
        triples = zip(hypothesis.outputs, self.given, self.own, strict=True)
        left = mean_errors([compare_outputs(one, given, scale=own) for one, given, own in triples])
        return {
            name: 1 - left[name] / max(value, 1e-20) if np.isfinite(left[name]) else -1.0
            for name, value in self.error.items()
        }

    def faults(self) -> list[Fault]:
        """The best hypothesis, which may be two mistakes."""
        if self.best is None:
            return []
        hypothesis = self.best[1]
        pairs = zip(hypothesis.name.split("\n"), hypothesis.evidence.split("\n"), strict=True)
        return [Fault(name, "tensors", evidence) for name, evidence in pairs]


def _expected(
    comparator: Comparator,
    samples: Sequence[SampleImage],
    outputs: Sequence[Output],
    name: str,
    evidence: str,
) -> Hypothesis:
    pairs = zip(outputs, samples, strict=True)
    expected = tuple(comparator.as_candidate(one, sample) for one, sample in pairs)
    return Hypothesis(name, evidence, expected)


def _of_outputs(
    comparator: Comparator, samples: Sequence[SampleImage], outputs: Sequence[Output]
) -> Iterator[Hypothesis]:
    """Boxes or scores rewritten."""
    metadata = comparator.reference.metadata
    streams = [output_changes(one, metadata, own=comparator.metadata) for one in outputs]
    for together in zip(*streams, strict=True):
        name, evidence, _ = together[0]
        yield _expected(comparator, samples, [one[2] for one in together], name, evidence)


def _transposed(
    comparator: Comparator, samples: Sequence[SampleImage], outputs: Sequence[Output]
) -> Iterator[Hypothesis]:
    """Boxes with x and y exchanged: the first of the output changes."""
    yield from islice(_of_outputs(comparator, samples, outputs), 1)


def _of_classes(
    comparator: Comparator, samples: Sequence[SampleImage], outputs: Sequence[Output]
) -> Iterator[Hypothesis]:
    """Classes in another order, found from the numbers."""
    metadata = comparator.reference.metadata
    expected = [
        comparator.as_candidate(one, sample) for one, sample in zip(outputs, samples, strict=True)
    ]
    given = [comparator.candidate_output(sample) for sample in samples]
    if isinstance(expected[0], DetectionArrays):
        yield from _of_labels(comparator, expected, given)
        return
    scores = [
        (soft_logit(a.scores), soft_logit(b.scores))
        for a, b in zip(expected, given, strict=True)
        if isinstance(a, Output) and isinstance(b, Output) and a.scores.shape == b.scores.shape
    ]
    if len(scores) < len(samples):
        return
    columns = fit_classes(*(np.concatenate(parts) for parts in zip(*scores, strict=True)))
    if columns is None:
        return
    words = describe_order(columns, metadata.names)
    for raw in (False, True):
        moved = [reorder(one, columns, metadata, raw=raw) for one in outputs]
        yield _expected(comparator, samples, moved, CLASSES, words)


def _of_labels(
    comparator: Comparator, expected: Sequence[AnyOutput], given: Sequence[AnyOutput]
) -> Iterator[Hypothesis]:
    """Labels of detections in another order: each goes where most of its boxes lie."""
    count = len(comparator.reference.metadata.names)
    votes = np.zeros((count, count))
    for a, b in zip(expected, given, strict=True):
        if isinstance(a, DetectionArrays) and isinstance(b, DetectionArrays):
            mine, theirs, ious = pair(a, b, iou=0.9, by_class=False)
            near = np.abs(a.scores[mine] - b.scores[theirs]) < 0.02
            pairs = a.labels[mine[near]], b.labels[theirs[near]]
            np.add.at(votes, pairs, ious[near])
    labels = np.where(votes.any(axis=1), votes.argmax(axis=1), np.arange(count))
    moved = np.flatnonzero(labels != np.arange(count))
    if not len(moved):
        return
    names = comparator.reference.metadata.names
    shown = ", ".join(f"{names[one]} is called {names[labels[one]]}" for one in moved[:3].tolist())
    outputs = [
        DetectionArrays(one.boxes, one.scores, labels[one.labels])
        if isinstance(one, DetectionArrays)
        else one
        for one in expected
    ]
    yield Hypothesis(CLASSES, shown, tuple(outputs))


def _of_selection(
    comparator: Comparator, samples: Sequence[SampleImage], outputs: Sequence[Output]
) -> Iterator[Hypothesis]:
    """Other thresholds inside a graph that gives detections."""
    if comparator.form != "detections":
        return
    own = comparator.selection()
    others = [
        ("non-maximum suppression goes across classes", replace(own, class_aware=False)),
        ("there is no non-maximum suppression", replace(own, nms="none")),
        ("only the best class of a box counts", replace(own, multi_label=False)),
        ("all classes have one threshold", replace(own, class_scores=None)),
        ("it gives every class", replace(own, classes=None)),
        *(
            (f"it keeps scores from {score:g}", replace(own, min_score=score))
            for score in (0.001, 0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5)
        ),
        *(
            (f"boxes of one object overlap by {iou:g}", replace(own, iou_threshold=iou))
            for iou in (0.3, 0.4, 0.45, 0.5, 0.6, 0.65, 0.7)
        ),
        *(
            (f"it gives at most {count} detections", replace(own, max_detections=count))
            for count in (1, 10, 20, 50, 100, 300)
        ),
    ]
    for evidence, selection in others:
        selected = tuple(
            comparator.as_candidate(one, sample, selection=selection)
            for one, sample in zip(outputs, samples, strict=True)
        )
        yield Hypothesis("wrong thresholds inside", evidence, selected)


def _of_resizing(comparator: Comparator, samples: Sequence[SampleImage]) -> Iterator[Hypothesis]:
    """Images resized or padded otherwise, by a graph that does that itself."""
    if not comparator.whole_images:
        return
    own = comparator.reference.metadata.input_spec
    specs = [own.replace(resize_mode=mode) for mode in RESIZE_MODES if mode != own.resize_mode]
    specs += [
        own.replace(pad_value=value) for value in (0, 114, 127, 128, 255) if value != own.pad_value
    ]
    for spec in specs:
        outputs = []
        for sample in samples:
            resized = comparator.with_input_spec(sample, spec)
            if resized is not None:
                outputs.append(comparator.as_candidate(resized[0], sample, placement=resized[1]))
        if len(outputs) == len(samples):
            name, evidence = name_resizing(own, spec)
            yield Hypothesis(name, evidence, tuple(outputs))
