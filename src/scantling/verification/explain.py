"""Which one mistake would make the model answer as the file does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from ..images.letterbox import RESIZE_MODES
from ..specs.schema import InputSpec
from .classes import describe_order, fit_classes, reorder
from .comparator import Bench, Probe, Said, measure
from .distance import Answer, Energies, Found, mean_energies, pair, soft_logit
from .inputs import InputChange, input_changes
from .outputs import rewritings
from .reference import Told
from .result import Fault

SHARE = 0.9  # of the error energy that a mistake must explain
NEAR = 0.01  # energy that may remain whatever the limit is: 20 dB
HALF = 0.6  # share that it must explain where the limits hold, because they are wide
CLASSES = "classes reordered"
FITTED = {"stretch": "stretched", "letterbox": "letterboxed", "corner": "put into the corner"}


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """A mistake, and what the file would say of each probe if it were made."""

    name: str
    evidence: str
    answers: tuple[Said, ...]


def explain(
    bench: Bench, probes: Sequence[Probe], limits: Energies, *, thorough: bool = True
) -> list[Fault]:
    """The mistakes that explain why the file differs from its model; none where none does.

    Args:
        bench: both sides.
        probes: images on which they differ.
        limits: energies that a right file would keep.
        thorough: ask the model about changed inputs too, and try two mistakes at once.
    """
    one = probes[:1]  # has thousands of boxes, and the model is slow
    trial = _Trial(bench, probes, limits)
    trial.add_all(_of_classes(bench, probes, [bench.told(probe) for probe in probes]))
    trial = trial.narrowed(one)
    told = [bench.told(probe) for probe in one]
    trial.add_all(_of_outputs(bench, one, told))
    if not thorough:
        return trial.faults()
    trial.add_all(_of_selection(bench, one, told))
    trial.add_all(_of_fits(bench, one))
    seen = list(_of_inputs(bench, one, trial))
    if trial.best is None:  # two mistakes at once
        for change, known in seen:
            for second in (*_of_classes(bench, one, known), *_transposed(bench, one, known)):
                name = f"{change.name}\n{second.name}"
                evidence = f"{change.evidence}\n{second.evidence}"
                trial.add(replace(second, name=name, evidence=evidence))
    return trial.faults()


def _of_inputs(
    bench: Bench, probes: Sequence[Probe], trial: "_Trial"
) -> Iterator[tuple[InputChange, list[Told]]]:
    """Images fed otherwise: each is tried as long as nothing explains all; then what was said."""
    height, width = bench.metadata.image_size
    for change in input_changes(bench.reference.metadata.input_spec, square=height == width):
        if trial.settled:
            return
        fed = [bench.changed(probe, change) for probe in probes]
        known = [one for one in fed if one is not None]
        if len(known) == len(probes):
            trial.add(_expected(bench, probes, known, change.name, change.evidence))
            yield change, known


class _Trial:
    """Keeps the hypothesis that explains most."""

    def __init__(self, bench: Bench, probes: Sequence[Probe], limits: Energies) -> None:
        self.bench = bench
        self.precision = bench.metadata.precision
        self.limits = limits
        self.said = [bench.said(probe) for probe in probes]
        self.own = [bench.expect(bench.told(probe), probe) for probe in probes]
        self.error = mean_energies(list(map(measure, self.own, self.said)))
        self.failing = {name for name, value in self.error.items() if value > limits[name]}
        self.best: tuple[float, Hypothesis] | None = None

    @property
    def settled(self) -> bool:
        """What was found leaves nothing to explain."""
        return self.best is not None and self.best[0] <= 1

    def narrowed(self, probes: Sequence[Probe]) -> "_Trial":
        """The same on some of the probes, with what was found so far."""
        trial = _Trial(self.bench, probes, self.limits)
        trial.best = self.best
        return trial

    def add_all(self, hypotheses: Iterator[Hypothesis]) -> None:
        """Try one after the other, until one explains all."""
        while not self.settled:
            hypothesis = next(hypotheses, None)
            if hypothesis is None:
                return
            self.add(hypothesis)

    def add(self, hypothesis: Hypothesis) -> None:
        """Remember a hypothesis that explains the difference better than any before."""
        left = mean_energies(list(map(measure, hypothesis.answers, self.said)))
        if not np.isfinite(list(left.values())).all() or not self._explains(hypothesis, left):
            return
        # the earlier of two that are about as good: it is the likelier
        cost = max(left[name] / self.limits[name] for name in left)
        if self.best is None or cost < 0.5 * self.best[0]:
            self.best = (max(cost, 1e-3), hypothesis)

    def _explains(self, hypothesis: Hypothesis, left: Energies) -> bool:
        """Whether little remains, of what there was and of what the hypothesis itself says."""
        shares = self._shares(hypothesis)
        if not self.failing:
            best = max(shares.values())
            kept = all(left[name] <= max(self.limits[name], self.error[name]) for name in left)
            return kept and best >= HALF and all(share > -0.1 for share in shares.values())
        for name, value in left.items():
            limit = self.limits[name]
            if name not in self.failing:
                if value > max(limit, 4 * self.error[name]):
                    return False
                continue
            if value <= limit:  # by what the hypothesis says itself, however far that is off
                continue
            exact = self.precision == "int8" or value <= max(10 * limit, NEAR)
            if not exact or shares[name] < SHARE:
                return False
        return True

    def _shares(self, hypothesis: Hypothesis) -> Energies:
        """What part of the error a hypothesis takes away, measured by the model's own answer."""
        triples = zip(hypothesis.answers, self.said, self.own, strict=True)
        left = mean_energies([measure(one, said, scale=own) for one, said, own in triples])
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
    bench: Bench, probes: Sequence[Probe], told: Sequence[Told], name: str, evidence: str
) -> Hypothesis:
    answers = [bench.expect(one, probe) for one, probe in zip(told, probes, strict=True)]
    return Hypothesis(name, evidence, tuple(answers))


def _of_outputs(
    bench: Bench, probes: Sequence[Probe], told: Sequence[Told]
) -> Iterator[Hypothesis]:
    """Boxes or scores rewritten."""
    metadata = bench.reference.metadata
    streams = [rewritings(one, metadata, own=bench.metadata) for one in told]
    for together in zip(*streams, strict=True):
        name, evidence, _ = together[0]
        yield _expected(bench, probes, [one[2] for one in together], name, evidence)


def _transposed(
    bench: Bench, probes: Sequence[Probe], told: Sequence[Told]
) -> Iterator[Hypothesis]:
    """Boxes with x and y exchanged: the first of the rewritings."""
    yield from islice(_of_outputs(bench, probes, told), 1)


def _of_classes(
    bench: Bench, probes: Sequence[Probe], told: Sequence[Told]
) -> Iterator[Hypothesis]:
    """Classes in another order, found from the numbers."""
    metadata = bench.reference.metadata
    expected = [bench.expect(one, probe) for one, probe in zip(told, probes, strict=True)]
    said = [bench.said(probe) for probe in probes]
    if isinstance(expected[0], Found):
        yield from _of_labels(bench, expected, said)
        return
    scores = [
        (soft_logit(a.scores), soft_logit(b.scores))
        for a, b in zip(expected, said, strict=True)
        if isinstance(a, Answer) and isinstance(b, Answer) and a.scores.shape == b.scores.shape
    ]
    if len(scores) < len(probes):
        return
    columns = fit_classes(*(np.concatenate(parts) for parts in zip(*scores, strict=True)))
    if columns is None:
        return
    words = describe_order(columns, metadata.names)
    for raw in (False, True):
        moved = [reorder(one, columns, metadata, raw=raw) for one in told]
        yield _expected(bench, probes, moved, CLASSES, words)


def _of_labels(
    bench: Bench, expected: Sequence[Said], said: Sequence[Said]
) -> Iterator[Hypothesis]:
    """Labels of detections in another order: each goes where most of its boxes lie."""
    count = len(bench.reference.metadata.names)
    votes = np.zeros((count, count))
    for a, b in zip(expected, said, strict=True):
        if isinstance(a, Found) and isinstance(b, Found):
            mine, theirs, ious = pair(a, b, iou=0.9, by_class=False)
            near = np.abs(a.scores[mine] - b.scores[theirs]) < 0.02
            pairs = a.labels[mine[near]], b.labels[theirs[near]]
            np.add.at(votes, pairs, ious[near])
    labels = np.where(votes.any(axis=1), votes.argmax(axis=1), np.arange(count))
    moved = np.flatnonzero(labels != np.arange(count))
    if not len(moved):
        return
    names = bench.reference.metadata.names
    shown = ", ".join(f"{names[one]} is called {names[labels[one]]}" for one in moved[:3].tolist())
    answers = [
        Found(one.boxes, one.scores, labels[one.labels]) if isinstance(one, Found) else one
        for one in expected
    ]
    yield Hypothesis(CLASSES, shown, tuple(answers))


def _of_selection(
    bench: Bench, probes: Sequence[Probe], told: Sequence[Told]
) -> Iterator[Hypothesis]:
    """Other thresholds inside a graph that gives detections."""
    if bench.form != "detections":
        return
    own = bench.selection()
    others = [
        ("non-maximum suppression goes across classes", replace(own, class_aware=False)),
        ("there is no non-maximum suppression", replace(own, nms="none")),
        ("only the best class of a box counts", replace(own, multi_label=False)),
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
        answers = [
            bench.expect(one, probe, selection=selection)
            for one, probe in zip(told, probes, strict=True)
        ]
        yield Hypothesis("wrong thresholds inside", evidence, tuple(answers))


def _of_fits(bench: Bench, probes: Sequence[Probe]) -> Iterator[Hypothesis]:
    """Images fitted otherwise, by a graph that takes them whole."""
    if not bench.whole_images:
        return
    own = bench.reference.metadata.input_spec
    specs = [own.replace(resize_mode=mode) for mode in RESIZE_MODES if mode != own.resize_mode]
    specs += [
        own.replace(pad_value=value) for value in (0, 114, 127, 128, 255) if value != own.pad_value
    ]
    for spec in specs:
        answers = []
        for probe in probes:
            refitted = bench.refitted(probe, spec)
            if refitted is not None:
                answers.append(bench.expect(refitted[0], probe, placement=refitted[1]))
        if len(answers) == len(probes):
            name, evidence = name_fit(own, spec)
            yield Hypothesis(name, evidence, tuple(answers))


def name_fit(right: InputSpec, wrong: InputSpec) -> tuple[str, str]:
    """The name of the fault, and what it is: images fitted or filled otherwise."""
    if right.resize_mode == wrong.resize_mode:
        return "wrong fill", f"around an image is {wrong.pad_value} in place of {right.pad_value}"
    evidence = f"images are fitted by {wrong.resize_mode!r}, the model's by {right.resize_mode!r}"
    return f"{FITTED[wrong.resize_mode]} instead of {FITTED[right.resize_mode]}", evidence
