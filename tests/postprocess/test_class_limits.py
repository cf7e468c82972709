"""Only some classes, and thresholds by class: what is left out takes no place from the others."""

import numpy as np
import pytest
import torch

from scantling.errors import InvalidValue, UnknownName
from scantling.postprocess import Selection, select
from scantling.structures import Candidates

NAMES = ("dog", "car", "7")
SCORES = np.array([[[0.9, 0.3, 0.0], [0.8, 0.6, 0.1], [0.2, 0.35, 0.5]]], np.float32)
BOXES = np.array([[[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]]], np.float32)


def found(settings: Selection, *, torch_: bool = False) -> list[tuple[int, float]]:
    boxes, scores = BOXES, SCORES
    candidates = Candidates(boxes, scores)
    if torch_:  # of half precision, so that they are not looked at as arrays
        candidates = Candidates(torch.tensor(boxes), torch.tensor(scores).double())
    (one,) = select(candidates, settings=settings)
    return [(label, round(score, 2)) for label, score in zip(
        one.labels.tolist(), one.scores.tolist(), strict=True)]  # fmt: skip


@pytest.mark.parametrize("torch_", [False, True])
def test_one_class_alone_has_every_place(torch_: bool):
    cars = Selection(classes=("car",), max_detections=2).with_labels(NAMES)
    assert found(cars, torch_=torch_) == [(1, 0.6), (1, 0.35)]
    few = Selection(classes=(1,), max_candidates=1)
    assert found(few, torch_=torch_) == [(1, 0.6)]


@pytest.mark.parametrize("torch_", [False, True])
@pytest.mark.parametrize("nms", ["greedy", "soft-linear", "none"])
def test_a_class_may_have_its_own_threshold(torch_: bool, nms: str):
    settings = Selection(class_scores={"car": 0.5, "7": 0.05}, nms=nms).with_labels(NAMES)
    expected = [(0, 0.9), (0, 0.8), (1, 0.6), (2, 0.5), (2, 0.1)]
    assert found(settings, torch_=torch_) == expected


def test_a_box_of_one_label_is_of_its_best_class_or_of_none():
    assert found(Selection(classes=(1,), multi_label=False)) == []
    assert found(Selection(classes=(2,), multi_label=False)) == [(2, 0.5)]


def test_classes_are_named_or_numbered():
    assert Selection(classes=("1", "dog", 2, "7")).with_labels(NAMES).classes == (1, 0, 2, 2)
    with pytest.raises(UnknownName, match="Did you mean 'dog'"):
        Selection(classes=("dgo",)).with_labels(NAMES)
    with pytest.raises(InvalidValue, match="a label from 0 to 2"):
        Selection(classes=(3,)).with_labels(NAMES)
    with pytest.raises(InvalidValue, match="a number from 0 to 1"):
        Selection(class_scores={"dog": 30})
