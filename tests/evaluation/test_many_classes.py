"""What an evaluation costs goes by the classes that occur, not by how many have a name."""

from dataclasses import replace

import numpy as np
import pytest
from random_tables import random_tables

from bounded import bounded
from scantling.evaluation.evaluation import choose_protocol, class_table, compute_metrics
from scantling.evaluation.tables import DetectionTable, GroundTruth

APART = 3_001
KINDS = 10_000


def spread(
    truth: GroundTruth, found: DetectionTable, seed: int
) -> tuple[GroundTruth, DetectionTable]:
    """The same objects and detections of classes among ten thousand, in an order of their own."""
    ids = np.arange(KINDS)
    ids[APART * np.arange(len(truth.names))] = -np.asarray(truth.category_ids)[::-1]
    names = [f"other {label}" for label in range(KINDS)]
    for label, name in enumerate(truth.names):
        names[APART * label] = name
    many = replace(
        truth, names=tuple(names), category_ids=tuple(ids.tolist()), labels=APART * truth.labels
    )
    return many, replace(found, labels=APART * found.labels)


@pytest.mark.parametrize("protocol", ["coco", "voc12"])
@pytest.mark.parametrize("seed", range(3))
def test_ten_thousand_classes_are_judged_as_the_few_that_occur(protocol: str, seed: int):
    truth, found = random_tables(seed)
    rules = choose_protocol(protocol)
    few = compute_metrics(truth, found, rules)
    with bounded():
        many = compute_metrics(*spread(truth, found, seed), rules)
        columns, rows = class_table(many)
        confused = many.confusion.most_confused()
        per_class = many.result.class_stats()[1]
    assert many.stats == pytest.approx(few.stats, abs=1e-12)
    assert (columns, rows) == class_table(few)
    assert confused == few.confusion.most_confused()
    assert len(per_class) == KINDS
    assert many.confusion.occurring.shape == few.confusion.occurring.shape
    if protocol == "coco":
        assert many.result.tables.precision.shape == few.result.tables.precision.shape
    assert per_class[1] == (None,) * len(per_class[0])


def test_the_full_tables_are_there_for_who_asks():
    truth, found = random_tables(1)
    result = compute_metrics(truth, found, choose_protocol("coco")).result
    whole = replace(truth, names=(*truth.names, "never"), category_ids=(*truth.category_ids, 99))
    more = compute_metrics(whole, found, choose_protocol("coco"))
    assert more.result.precision.shape[2] == len(whole.names)
    assert (more.result.precision[:, :, :-1] == result.precision).all()
    assert (more.result.precision[:, :, -1] == -1).all()
    assert (more.result.recall[:, -1] == -1).all()
    assert more.confusion.counts.shape == (len(whole.names) + 1,) * 2
    assert more.confusion.counts.sum() == more.confusion.occurring.sum()
