"""The scaling laws: published variants from each other, and what cannot be is refused."""

import pytest
import torch

from scantling.blocks import STAGES
from scantling.detector import build_detector
from scantling.errors import InvalidSpec, InvalidValue, UnknownName
from scantling.necks import NECKS
from scantling.scaling.laws import (
    add_level,
    as_large,
    as_small,
    as_x,
    compound,
    csp_ise,
    deepen,
    plain,
    remove_level,
    resize,
    scale_size,
    widen,
    with_depths,
    with_neck,
    with_stage_kind,
)
from scantling.scaling.laws.kinds import FEATURE_NECKS, PYRAMIDS, STAGE_KINDS
from scantling.specs import CATALOG, BackboneSpec, ModelSpec, find_spec
from scantling.specs.efficientdet import BACKBONES, anchor_boxes

CSP, P5 = find_spec("yolov4-csp"), find_spec("yolov4-p5-pt")
D0 = find_spec("efficientdet-d0")
GRAPHS = [name for name in CATALOG if not name.endswith(("-pt", "-ap", "d3", "d5", "d7"))]
TIMM = BackboneSpec(kind="timm", name="resnet18", feature_strides=(8, 16, 32))


def nameless(spec: ModelSpec) -> ModelSpec:
    return spec.replace(name="")


def count(spec: ModelSpec) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build_detector(spec).parameters())


def thin(spec: ModelSpec) -> ModelSpec:
    """Small enough to build in no time, of any kind."""
    thinner = widen(deepen(spec, 0.1), 0.1)
    return resize(thinner, 2 * thinner.strides[-1])


@pytest.mark.parametrize(
    ("levels", "name"), [(3, "yolov4-p5-pt"), (4, "yolov4-p6-pt"), (5, "yolov4-p7")]
)
@pytest.mark.parametrize("start", ["yolov4-p5-pt", "yolov4-csp-pt"])
def test_p6_and_p7_derive_from_p5_and_csp(start: str, levels: int, name: str):
    assert nameless(as_large(find_spec(start), levels)) == nameless(find_spec(name))


def test_p7_derives_from_p5_by_one_law_after_the_other():
    p7 = find_spec("yolov4-p7")
    derived = resize(widen(add_level(add_level(P5)), 1.25), 1536)
    anchors = p7.head.anchors  # found by clustering, not by a law
    assert nameless(derived.replace(head=derived.head.replace(anchors=anchors))) == nameless(p7)


def test_the_x_variant_derives_from_csp():
    assert nameless(as_x(CSP)) == nameless(find_spec("yolov4x-mish"))


def test_the_s_variant_is_as_large_as_its_darknet_cfg():
    small = as_small(CSP)
    assert count(small) == 8_270_621  # of yolov4-csp-s-mish.cfg
    assert [stage.channels for stage in small.backbone.stages] == [32, 64, 128, 256, 512]


def test_the_backbone_of_csp_is_that_of_yolov4_with_a_plain_first_stage():
    changed = plain(find_spec("yolov4"), stages=[0], neck=False)
    assert changed.backbone == CSP.backbone


@pytest.mark.parametrize("phi", range(8))
def test_every_efficientdet_derives_from_d0(phi: int):
    published = find_spec(f"efficientdet-d{phi}")
    assert nameless(compound(D0, phi, published=True)) == nameless(published)


@pytest.mark.parametrize("phi", [0, 1, 3])
def test_the_formulas_alone_give_the_published_variant_where_the_table_keeps_to_them(phi: int):
    assert nameless(compound(D0, phi)) == nameless(find_spec(f"efficientdet-d{phi}"))


@pytest.mark.parametrize(
    ("phi", "size", "width", "cells", "head"),
    [
        (2, 768, 120, 5, 3),
        (4, 1024, 216, 7, 4),
        (5, 1152, 288, 8, 4),
        (6, 1280, 384, 9, 5),
        (7, 1408, 520, 10, 5),
    ],
)
def test_the_formulas_depart_from_the_published_table(
    phi: int, size: int, width: int, cells: int, head: int
):
    law = compound(D0, phi)
    assert law.image_size == (size, size)
    assert (law.neck.channels[0], law.neck.depth, law.head.depth) == (width, cells, head)
    assert nameless(law) != nameless(find_spec(f"efficientdet-d{phi}"))


def test_d7x_is_d7_with_a_larger_backbone_and_one_more_level():
    d7, b7 = find_spec("efficientdet-d7"), compound(D0, 7).backbone
    anchors = tuple(anchor_boxes(stride, 4.0) for stride in (*d7.strides, 256))
    derived = add_level(d7.replace(backbone=b7))
    derived = derived.replace(head=derived.head.replace(anchors=anchors))
    assert nameless(derived) == nameless(find_spec("efficientdet-d7x"))


@pytest.mark.parametrize("phi", range(1, 5))
def test_lite_backbones_derive_from_lite0(phi: int):
    found = compound(find_spec("efficientdet-lite0"), phi).backbone
    published = BACKBONES[f"lite{phi}"]
    assert found.stem_channels == published.stem
    assert tuple(stage.channels for stage in found.stages) == published.channels
    assert tuple(stage.depth for stage in found.stages) == published.depths


@pytest.mark.parametrize("name", CATALOG)
def test_every_variant_gains_and_loses_a_level(name: str):
    spec = CATALOG[name]
    more = add_level(spec)
    assert more.strides == (*spec.strides, 2 * spec.strides[-1])
    assert remove_level(more).replace(name="", image_size=spec.image_size) == nameless(spec)


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_every_variant_scales_in_every_direction_and_still_builds(name: str):
    small = thin(CATALOG[name])
    for scaled in (csp_ise(small), plain(small), scale_size(add_level(small), 1.5)):
        count(scaled)
        assert scaled.name != name


@pytest.mark.parametrize("kind", sorted(STAGE_KINDS))
@pytest.mark.parametrize("name", ["yolov4-csp", "efficientdet-d0", "yolov4-tiny"])
def test_every_kind_of_stage_fits_every_family(name: str, kind: str):
    spec = CATALOG[name]
    places = [place for place, stage in enumerate(spec.backbone.stages) if stage.stride == 2]
    stages = [stage.replace(channels=64) for stage in spec.backbone.stages]
    even = spec.replace(backbone=spec.backbone.replace(stages=tuple(stages)))
    spec = with_stage_kind(even, kind, stages=places)
    assert {spec.backbone.stages[place].kind for place in places} == {kind}
    count(spec)


@pytest.mark.parametrize("kind", sorted(FEATURE_NECKS | PYRAMIDS))
@pytest.mark.parametrize("name", ["yolov4-csp", "efficientdet-d0", "yolov4-tiny"])
def test_every_kind_of_neck_fits_every_family(name: str, kind: str):
    if kind == "nas-fpn" and len(CATALOG[name].neck.channels) != 5:
        with pytest.raises(InvalidSpec, match="Give it five"):
            with_neck(CATALOG[name], kind)
        return
    spec = with_neck(CATALOG[name], kind)
    assert spec.neck.kind == kind
    assert spec.strides == CATALOG[name].strides
    count(spec)


def test_the_laws_know_every_kind_there_is():
    assert set(STAGES) == STAGE_KINDS
    assert set(NECKS) == FEATURE_NECKS | PYRAMIDS


@pytest.mark.parametrize(("factor", "least", "most"), [(1.5, 2.15, 2.3), (0.5, 0.24, 0.27)])
def test_parameters_grow_with_the_square_of_the_width(factor: float, least: float, most: float):
    assert least < count(widen(CSP, factor)) / count(CSP) < most


def test_csp_and_plain_undo_each_other():
    dark = plain(CSP)
    assert {stage.kind for stage in dark.backbone.stages} == {"residual"}
    assert dark.neck.kind == "pan"
    back = csp_ise(dark, stages=range(1, 5))
    assert nameless(back) == nameless(CSP)
    assert count(dark) > 1.4 * count(CSP)


def test_widths_of_grouped_stages_stay_multiples_of_their_groups():
    widths = [
        stage.channels for stage in widen(find_spec("yolov4-csresnext50"), 0.3).backbone.stages
    ]
    assert widths == [128, 192, 320, 640]


def test_a_backbone_of_timm_keeps_its_width_and_depth_but_not_its_neck():
    spec = CSP.replace(backbone=TIMM)
    for law in (widen, deepen):
        with pytest.raises(InvalidSpec, match=r"resnet18 of timm, whose .*\(backbone=False"):
            law(spec, 0.5)
        assert law(spec, 0.5, backbone=False).neck != spec.neck
    with pytest.raises(InvalidSpec, match="ends at stride 32"):
        add_level(spec)
    assert add_level(with_neck(spec, "bifpn", width=64)).strides == (8, 16, 32, 64)


def test_what_cannot_be_is_refused():
    with pytest.raises(InvalidValue, match="factor is -1"):
        widen(CSP, -1)
    with pytest.raises(InvalidValue, match="factor is nan"):
        deepen(CSP, float("nan"))
    with pytest.raises(InvalidSpec, match=r"depths \(1, 2\) for 5 stages"):
        with_depths(CSP, (1, 2))
    with pytest.raises(InvalidSpec, match="Use 576 or 608"):
        resize(CSP, 600)
    with pytest.raises(InvalidValue, match="phi is 8"):
        compound(D0, 8)
    with pytest.raises(InvalidSpec, match="csp-pan, is no pyramid"):
        compound(CSP, 1)
    with pytest.raises(InvalidValue, match="levels is 6"):
        as_large(P5, 6)
    with pytest.raises(InvalidSpec, match="6 stages and 4 levels"):
        as_large(find_spec("yolov4-p6"), 5)
    with pytest.raises(InvalidSpec, match="its neck is pan"):
        as_x(find_spec("yolov4"))
    with pytest.raises(UnknownName, match="csp-osa"):
        with_stage_kind(CSP, "csp_osa")
    with pytest.raises(InvalidValue, match="stages is"):
        plain(CSP, stages=[7])
    with pytest.raises(InvalidSpec, match="stage 1 of 80 to 160 channels as csp-resnext"):
        with_stage_kind(widen(CSP, 1.25), "csp-resnext", stages=[1])
    with pytest.raises(InvalidSpec, match="its stage 3 is of kind conv"):
        csp_ise(with_stage_kind(CSP, "conv", stages=[3]), stages=[3])
    with pytest.raises(InvalidSpec, match="1 levels only"):
        remove_level(remove_level(find_spec("yolov4-tiny")))
