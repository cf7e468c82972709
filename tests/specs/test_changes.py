"""Settings deep inside a spec are changed by name."""

import pytest

from scantling.errors import InvalidSpec, InvalidValue, UnknownName
from scantling.specs import CATALOG, change_spec

D0 = CATALOG["efficientdet-d0"]


def test_a_setting_is_named_with_dots_or_double_underscores():
    dotted = change_spec(D0, {"neck.fusion": "softmax", "num_classes": 3})
    assert dotted == change_spec(D0, {"neck__fusion": "softmax", "num_classes": 3})
    assert dotted == D0.replace(neck=D0.neck.replace(fusion="softmax"), num_classes=3)
    assert D0.neck.fusion == "fast"


def test_a_member_of_a_list_is_named_by_its_place():
    changed = change_spec(D0, {"backbone__stages__6__depth": 2})
    assert [stage.depth for stage in changed.backbone.stages] == [1, 2, 2, 3, 3, 4, 2]


def test_settings_that_need_each_other_are_changed_together():
    levels = {"neck.channels": (64,) * 4, "head.anchors": D0.head.anchors[:4]}
    assert change_spec(D0, levels).strides == (8, 16, 32, 64)
    with pytest.raises(InvalidSpec, match="4 levels but the head has 5"):
        change_spec(D0, {"neck.channels": (64,) * 4})


def test_a_whole_part_can_be_given():
    neck = CATALOG["efficientdet-d1"].neck
    assert change_spec(D0, {"neck": neck}).neck == neck


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nek", "No setting of a model is called 'nek'. Did you mean 'neck'"),
        ("neck__fuson", "No setting of neck is called 'fuson'. Did you mean 'fusion'"),
        ("backbone.stages.7.depth", "No setting of backbone.stages is called '7'"),
    ],
)
def test_an_unknown_setting_suggests_the_nearest(name: str, message: str):
    with pytest.raises(UnknownName, match=message):
        change_spec(D0, {name: 1})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"neck.depth": 0}, r"neck\.depth is 0; expected greater than 0"),
        ({"neck.depth.more": 1}, "it has no settings inside it"),
        ({"neck": D0.neck, "neck.depth": 2}, "it alone or settings inside it"),
        ({"neck.depth": 2, "neck__depth": 3}, "each of them once"),
        ({"image_size": "large"}, "image_size is 'large'"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(changes: dict[str, object], message: str):
    with pytest.raises(InvalidValue, match=message):
        change_spec(D0, changes)
