"""The classes of a model and of the data are matched by name."""

import pytest

from scantling.errors import InvalidData, InvalidValue, UnknownName
from scantling.specs.classes import COCO_ID_NAMES, COCO_NAMES, DARKNET_COCO_NAMES, match_class_names


def test_another_order_and_older_spellings_make_no_difference():
    matched = match_class_names(DARKNET_COCO_NAMES, ["tv", "person", "motorcycle"], source="d")
    assert matched.pairs == (("tv", "tvmonitor"), ("person", "person"), ("motorcycle", "motorbike"))
    assert matched.renamed == (("tv", "tvmonitor"), ("motorcycle", "motorbike"))
    label = dict(zip(DARKNET_COCO_NAMES, matched.labels.tolist(), strict=True))
    assert [label[name] for name in ("tvmonitor", "person", "motorbike", "dog")] == [0, 1, 2, -1]
    assert len(matched.unjudged) == 77
    assert matched.unknown == ()


def test_ids_that_coco_left_unused_are_no_classes():
    matched = match_class_names(COCO_ID_NAMES, COCO_NAMES, source="d")
    assert matched.labels[:13].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, -1, 11]
    assert matched.unjudged == matched.unknown == ()


def test_a_class_that_is_not_to_be_shown_is_left_out_on_both_sides():
    names = ["cat", "dont_show dog"]
    matched = match_class_names(names, names, source="d")
    assert matched.pairs == (("cat", "cat"),)
    assert matched.unknown == ("dont_show dog",)
    assert matched.labels.tolist() == [0, -1]


def test_a_class_that_the_model_does_not_know_is_an_error_that_suggests_the_nearest():
    hint = r"does not know its class 'bycicle'.*'bicycle'.*--rename-classes"
    with pytest.raises(InvalidData, match=hint):
        match_class_names(["person", "bicycle"], ["person", "bycicle"], source="d")


def test_unknown_classes_are_left_out_when_that_is_asked_for():
    matched = match_class_names(["cat"], ["dog", "cat"], source="d", known_classes_only=True)
    assert matched.unknown == ("dog",)
    assert matched.labels.tolist() == [1]


def test_a_model_that_knows_no_class_cannot_be_judged_at_all():
    with pytest.raises(InvalidData, match=r"does not know its classes"):
        match_class_names(["cat"], ["dog", "cow"], source="d", known_classes_only=True)


def test_the_caller_can_say_what_a_class_is_called():
    matched = match_class_names(
        ["cat", "hound"], ["dog", "cat"], source="d", rename_classes={"dog": "hound"}
    )
    assert matched.pairs == (("dog", "hound"), ("cat", "cat"))
    assert matched.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("renamed", "words"),
    [({"dgo": "hound"}, "Did you mean 'dog'"), ({"dog": "hond"}, "Did you mean 'hound'")],
)
def test_a_renamed_class_that_is_not_there_is_an_error(renamed: dict[str, str], words: str):
    with pytest.raises(UnknownName, match=words):
        match_class_names(["cat", "hound"], ["dog", "cat"], source="d", rename_classes=renamed)


def test_two_classes_of_the_data_cannot_be_one_of_the_model():
    with pytest.raises(InvalidValue, match="one class of the data only"):
        match_class_names(
            ["cat", "x"], ["a", "b"], source="d", rename_classes={"a": "cat", "b": "cat"}
        )


@pytest.mark.parametrize(
    ("model", "data", "words"),
    [
        (["cat", "cat"], ["cat"], "classes of the model"),
        (["cat"], ["cat", "cat"], "two classes are called 'cat'"),
        (["cat"], ["cat", " "], "no name"),
    ],
)
def test_a_name_that_is_there_twice_or_empty_is_an_error(
    model: list[str], data: list[str], words: str
):
    with pytest.raises((InvalidValue, InvalidData), match=words):
        match_class_names(model, data, source="d")
