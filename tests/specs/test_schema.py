"""Specs check themselves, travel as JSON, and load no torch."""

import pytest
from pydantic import ValidationError

from scantling.errors import InvalidSpec, InvalidValue, UnknownName
from scantling.specs import CATALOG, InputSpec, ModelSpec, find_spec


@pytest.mark.parametrize("name", CATALOG)
def test_every_variant_survives_json(name: str):
    spec = CATALOG[name]
    assert ModelSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize("name", CATALOG)
def test_every_variant_is_listed_under_its_own_name(name: str):
    assert find_spec(name).name == name


@pytest.mark.parametrize(
    ("name", "strides"),
    [
        ("yolov4", (8, 16, 32)),
        ("yolov4-csresnext50", (8, 16, 32)),
        ("yolov4-tiny", (16, 32)),
        ("yolov4-tiny-3l", (8, 16, 32)),
        ("yolov4-p6", (8, 16, 32, 64)),
        ("yolov4-p7", (8, 16, 32, 64, 128)),
    ],
)
def test_strides_follow_from_the_backbone(name: str, strides: tuple[int, ...]):
    assert CATALOG[name].strides == strides


def test_a_spec_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        CATALOG["yolov4"].name = "mine"


def test_replace_checks_what_it_makes():
    with pytest.raises(InvalidSpec, match=r"600 are not multiples of 32.* Use 576 or 608"):
        CATALOG["yolov4"].replace(image_size=600)


def test_a_single_side_stands_for_a_square():
    assert CATALOG["yolov4"].replace(image_size=320).image_size == (320, 320)


def test_levels_without_anchors_are_refused():
    head = CATALOG["yolov4"].head
    with pytest.raises(InvalidSpec, match="3 levels but the head has 2 groups of anchors"):
        CATALOG["yolov4"].replace(head=head.replace(anchors=head.anchors[:2]))


def test_more_outputs_than_stages_are_refused():
    backbone = CATALOG["yolov4-tiny"].backbone.replace(outputs=9)
    with pytest.raises(InvalidSpec, match="9 outputs, but the stages have 4 strides"):
        CATALOG["yolov4-tiny"].replace(backbone=backbone)


def test_an_unknown_field_is_an_error():
    with pytest.raises(UnknownName, match="No field of ModelSpec is called 'colour'"):
        CATALOG["yolov4"].replace(colour="red")
    with pytest.raises(InvalidValue, match="num_classes is 0; expected greater than 0"):
        CATALOG["yolov4"].replace(num_classes=0)


def test_an_old_name_beside_its_new_one_is_an_error():
    assert InputSpec.model_validate({"fit": "corner"}).resize_mode == "corner"
    with pytest.raises(ValidationError, match=r"fit\s+Extra inputs"):
        InputSpec.model_validate({"fit": "corner", "resize_mode": "stretch"})


def test_a_misspelt_model_name_suggests_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'yolov4-csp'"):
        find_spec("yolov4_csp")
