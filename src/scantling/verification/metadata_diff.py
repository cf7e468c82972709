"""Metadata of the candidate against that of the reference: settings, levels, class names."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ..specs.level import Level
from ..specs.metadata import Metadata
from ..specs.schema import InputSpec
from ..structures import IntArray
from .classes import describe_order
from .comparator import Comparator, SampleImage
from .distance import Output, soft_logit
from .result import CLASSES, DECODING, STALE, Fault

NAMES = "wrong class names"
THRESHOLDS, NMS, SIZES = "useless thresholds", "another NMS", "other image sizes"
# Thresholds that somebody may want of a file: beyond them predict shows nothing, or everything.
USEFUL = {"min_score": (0, 0.9), "iou_threshold": (0.1, 0.95), "max_detections": (2, 1e5)}
RESIZED = {"stretch": "stretched", "letterbox": "letterboxed", "corner": "put into the corner"}


def compare_metadata(metadata: Metadata, right: Metadata) -> tuple[list[Fault], list[str]]:
    """Compare metadata: faults, and notes on differences that are none.

    Args:
        metadata: of the candidate.
        right: of the reference.
    """
    faults: list[Fault] = []
    notes: list[str] = []
    own, wrong = right.input_spec, metadata.input_spec
    if own.resize_mode != wrong.resize_mode or (
        own.resize_mode != "stretch" and _as_color(own.pad_value) != _as_color(wrong.pad_value)
    ):
        name, evidence = name_resizing(own, wrong)
        faults.append(Fault(name, "metadata", f"{evidence}, says its metadata"))
    if metadata.levels != right.levels and len(metadata.levels) == len(right.levels):
        evidence = f"its metadata has {describe_levels(right.levels, metadata.levels)}"
        faults.append(Fault(DECODING, "metadata", evidence))
    faults += compare_thresholds(metadata, right, notes)
    if (own.mean, own.std) != (wrong.mean, wrong.std):
        notes.append(
            f"its metadata has mean {wrong.mean} and std {wrong.std}, the model {own.mean} and "
            f"{own.std}; what the graph does is seen from its tensors"
        )
    if len(metadata.names) == len(right.names) and sorted(metadata.names) != sorted(right.names):
        pairs = zip(metadata.names, right.names, strict=True)
        wrongly = [f"{a!r} for {b!r}" for a, b in pairs if a != b]
        more = f" and {len(wrongly) - 3} more" if len(wrongly) > 3 else ""
        faults.append(Fault(NAMES, "metadata", f"it says {', '.join(wrongly[:3])}{more}"))
    kept = [metadata.names[label] for label in metadata.classes or ()]
    scores = [f"{metadata.names[one]} {score:g}" for one, score in metadata.class_scores.items()]
    if kept:
        notes.append(f"its user gets these classes alone, says its metadata: {', '.join(kept)}")
    if scores:
        notes.append(f"its metadata has thresholds of some classes: {', '.join(scores)}")
    return faults, notes


def compare_thresholds(metadata: Metadata, right: Metadata, notes: list[str]) -> list[Fault]:
    """What `predict` takes from metadata: thresholds, the kind of NMS, the step of sizes.

    Its exporter may have wanted other thresholds, so only those are faults that leave next to
    nothing of what the graph gives, or all of it; others are told, where the graph says nothing
    of them.

    Args:
        metadata: of the candidate.
        right: of the reference.
        notes: where differences that are no faults are told.
    """
    found: list[Fault] = []
    for name, (least, most) in USEFUL.items():
        value, own = getattr(metadata, name), getattr(right, name)
        if value == own:
            continue
        told = f"its metadata has {name} {value:g} in place of {own:g}"
        if not least <= value <= most:
            evidence = f"{told}; of use are {least:g} to {most:g}. Export it again without that"
            found.append(Fault(THRESHOLDS, "metadata", evidence))
        elif metadata.form.gives != "detections":
            notes.append(f"{told}, which is what predict begins with")
    highest = USEFUL["min_score"][1]
    for label, score in metadata.class_scores.items():
        if score > highest and right.class_scores.get(label) != score:
            evidence = f"its metadata has class_scores {score:g} of {metadata.names[label]}"
            found.append(
                Fault(THRESHOLDS, "metadata", f"{evidence}; of use is {highest:g} at most")
            )
    nms, own_nms = metadata.spec.nms, right.spec.nms
    if nms != own_nms:
        evidence = f"its metadata has nms {nms.kind}, beta {nms.beta:g}"
        found.append(
            Fault(NMS, "metadata", f"{evidence} in place of {own_nms.kind}, {own_nms.beta:g}")
        )
    if metadata.form.any_size and metadata.size_divisor != right.size_divisor:
        evidence = f"size_divisor {metadata.size_divisor} in place of {right.size_divisor}"
        found.append(Fault(SIZES, "metadata", f"its metadata has {evidence}"))
    return found


def _as_color(value: int | tuple[int, int, int]) -> tuple[int, int, int]:
    return (value, value, value) if isinstance(value, int) else value


def match_columns(names: Sequence[str], right: Sequence[str]) -> IntArray:
    """Match the candidate's score columns to the reference's classes by name.

    Args:
        names: of the file's columns.
        right: of the model's classes; where those are others, positions count.

    Returns:
        (K,) the column of each class of the model.
    """
    if len(names) != len(right) or sorted(names) != sorted(right):
        return np.arange(len(right))
    places: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        places[name].append(place)
    return np.array([places[name].pop(0) for name in right], np.int64)


def describe_levels(right: Sequence[Level], wrong: Sequence[Level]) -> str:
    """The differences between two lists of levels, in words."""
    if len(right) != len(wrong):
        return f"{len(wrong)} levels in place of {len(right)}"
    differences = []
    for name in Level.model_fields:
        pairs = [(getattr(a, name), getattr(b, name)) for a, b in zip(right, wrong, strict=True)]
        first = next((pair for pair in pairs if pair[0] != pair[1]), None)
        if first is not None:
            differences.append(f"{name} {first[1]} in place of {first[0]}")
    return "; ".join(differences)


def name_resizing(right: InputSpec, wrong: InputSpec) -> tuple[str, str]:
    """Name and evidence of the fault that images are resized or padded otherwise."""
    if right.resize_mode == wrong.resize_mode:
        evidence = f"around an image is {wrong.pad_value} in place of {right.pad_value}"
        return "wrong padding value", evidence
    evidence = f"images are resized by {wrong.resize_mode!r}, the model's by {right.resize_mode!r}"
    return f"{RESIZED[wrong.resize_mode]} instead of {RESIZED[right.resize_mode]}", evidence


def describe_fingerprints(comparator: Comparator) -> str:
    """Whether the file says that it was exported from other weights."""
    metadata, right = comparator.metadata, comparator.reference.metadata
    if metadata.fingerprint == right.fingerprint:
        return "its metadata names these weights, so the graph was changed after its export"
    what = "weights" if metadata.spec == right.spec else "description and weights"
    return (
        f"its metadata says that it was exported from other {what} "
        f"({metadata.fingerprint[:12]}… of {metadata.source!r}, not {right.fingerprint[:12]}…)"
    )


def check_names_and_weights(
    comparator: Comparator, samples: Sequence[SampleImage], faults: Sequence[Fault], *, agree: bool
) -> tuple[list[Fault], list[str]]:
    """Add the faults that only metadata and tensors together show.

    Args:
        comparator: runs both.
        samples: that the tensors were compared on.
        faults: those of the tensors.
        agree: the tensors agree.

    Returns:
        The faults, completed, and notes.
    """
    faults, notes = list(faults), list[str]()
    metadata, right = comparator.metadata, comparator.reference.metadata
    named = {fault.name for fault in faults}
    if (
        metadata.names != right.names
        and CLASSES not in named
        and _only_names_moved(comparator, samples)
    ):
        words = describe_order(comparator.columns, right.names)
        evidence = f"{words}, says its metadata; its scores say otherwise"
        faults.insert(0, Fault(CLASSES, "metadata", evidence))
    if agree and not faults and metadata.fingerprint != right.fingerprint:
        if metadata.spec == right.spec and metadata.precision != "fp32":
            evidence = (
                f"what it says cannot be told from rounding to {metadata.precision}, but "
                f"{describe_fingerprints(comparator)}"
            )
            faults.append(Fault(STALE, "tensors", evidence))
        else:
            notes.append(f"{describe_fingerprints(comparator)}; it answers as these do")
    return faults, notes


def _only_names_moved(comparator: Comparator, samples: Sequence[SampleImage]) -> bool:
    """Whether only the names in the metadata are in another order, and the scores are not."""
    moved = np.flatnonzero(comparator.columns != np.arange(len(comparator.columns)))
    if not len(moved):
        return False
    by_name = by_place = 0.0
    for sample in samples:
        expected = comparator.expected(sample)
        given = comparator.candidate_output(sample)
        if not (isinstance(expected, Output) and isinstance(given, Output)):
            return False  # the labels of detections were compared by name already
        if expected.scores.shape != given.scores.shape:
            return False
        unmoved = np.empty_like(given.scores)
        unmoved[:, comparator.columns] = given.scores
        right = soft_logit(expected.scores[:, moved])
        by_name += float(np.square(right - soft_logit(given.scores[:, moved])).sum())
        by_place += float(np.square(right - soft_logit(unmoved[:, moved])).sum())
    return by_place < by_name
