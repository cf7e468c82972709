"""The last word on what is wrong: what the numbers say and what the metadata says, together."""

from collections.abc import Sequence

import numpy as np

from .classes import describe_order
from .comparator import Bench, Probe
from .distance import Answer, soft_logit
from .explain import CLASSES
from .result import Fault
from .tensors import STALE, describe_fingerprints


def settle(
    bench: Bench,
    probes: Sequence[Probe],
    found: Sequence[Fault],
    told: Sequence[Fault],
    notes: Sequence[str],
    *,
    passed: bool,
) -> tuple[list[Fault], list[Fault], list[str]]:
    """Add what only both together show.

    Args:
        bench: both sides.
        probes: what they were shown.
        found: faults that the tensors show.
        told: faults in the metadata.
        notes: what is worth knowing.
        passed: the tensors agree.

    Returns:
        The same three, completed.
    """
    faults, remarks = list(found), list(notes)
    metadata, right = bench.metadata, bench.reference.metadata
    named = {fault.name for fault in faults}
    if metadata.names != right.names and CLASSES not in named and _names_moved(bench, probes):
        words = describe_order(bench.columns, right.names)
        evidence = f"{words}, says its metadata; its scores say otherwise"
        faults.insert(0, Fault(CLASSES, "metadata", evidence))
    if passed and not faults and metadata.fingerprint != right.fingerprint:
        if metadata.spec == right.spec and metadata.precision != "fp32":
            evidence = (
                f"what it says cannot be told from rounding to {metadata.precision}, but "
                f"{describe_fingerprints(bench)}"
            )
            faults.append(Fault(STALE, "tensors", evidence))
        else:
            remarks.append(f"{describe_fingerprints(bench)}; it answers as these do")
    return faults, list(told), remarks


def _names_moved(bench: Bench, probes: Sequence[Probe]) -> bool:
    """Whether only the names of a file are in another order, and its scores are not."""
    moved = np.flatnonzero(bench.columns != np.arange(len(bench.columns)))
    if not len(moved):
        return False
    by_name = by_place = 0.0
    for probe in probes:
        expected, said = bench.expect(bench.told(probe), probe), bench.said(probe)
        if not (isinstance(expected, Answer) and isinstance(said, Answer)):
            return False  # the labels of detections were compared by name already
        if expected.scores.shape != said.scores.shape:
            return False
        unmoved = np.empty_like(said.scores)
        unmoved[:, bench.columns] = said.scores
        right = soft_logit(expected.scores[:, moved])
        by_name += float(np.square(right - soft_logit(said.scores[:, moved])).sum())
        by_place += float(np.square(right - soft_logit(unmoved[:, moved])).sum())
    return by_place < by_name
