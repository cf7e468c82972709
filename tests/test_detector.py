"""Every variant: published parameter counts and FLOPs, one map per stride, decoding."""

import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from scantling.blocks import fuse_norms
from scantling.detector import Detector, build_detector
from scantling.errors import InvalidSpec, UnknownName
from scantling.heads.yolo_decoding import decode_level
from scantling.specs import CATALOG, ModelSpec
from scantling.specs.level import Level

# Counted from darknet's cfg files, and for P7 and `-pt` from the ScaledYOLOv4 model definitions.
PARAMETERS = {
    "yolov4": 64_363_101,
    "yolov4-sam-mish": 65_742_941,
    "yolov4-csresnext50": 56_942_525,
    "yolov4-tiny": 6_056_606,
    "yolov4-tiny-3l": 6_327_453,
    "yolov4-csp": 52_921_437,
    "yolov4x-mish": 99_751_053,
    "yolov4-p5": 70_830_684,
    "yolov4-p6": 127_585_200,
    "yolov4-p7": 287_575_580,
    "yolov4-csp-pt": 52_924_765,
    "yolov4-p5-pt": 70_834_012,
    "yolov4-p6-pt": 127_590_576,
}
# Counted from the effdet package: backbone, neck, class net, box net; and the multiply-accumulates
# of all convolutions at the image size of the variant.
EFFICIENTDET = {
    "efficientdet-d0": (3_595_388, 196_281, 69_354, 19_044, 2_492_331_520),
    "efficientdet-d1": (6_101_024, 390_972, 101_394, 32_508, 6_003_416_880),
    "efficientdet-d2": (7_202_562, 708_159, 136_890, 49_428, 10_832_466_688),
    "efficientdet-d3": (10_103_336, 1_559_474, 247_050, 122_436, 24_568_753_664),
    "efficientdet-d4": (16_742_216, 3_349_829, 402_890, 228_740, 54_583_712_096),
    "efficientdet-d5": (27_288_112, 5_405_893, 591_498, 367_812, 134_133_865_152),
    "efficientdet-d6": (39_403_992, 10_583_808, 1_090_986, 792_996, 224_121_477_984),
    "efficientdet-d7": (39_403_992, 10_583_808, 1_090_986, 792_996, 322_731_636_576),
    "efficientdet-d7x": (62_143_440, 13_112_064, 1_094_826, 796_836, 407_628_345_344),
    "efficientdet-lite0": (2_958_848, 196_224, 69_354, 19_044, 973_589_696),
    "efficientdet-lite1": (3_723_520, 390_896, 101_394, 32_508, 1_966_649_904),
    "efficientdet-lite2": (4_357_952, 708_064, 136_890, 49_428, 3_371_304_384),
    "efficientdet-lite3": (6_422_016, 1_559_360, 247_050, 122_436, 7_480_187_904),
    "efficientdet-lite3x": (6_422_016, 2_333_200, 340_610, 185_036, 13_978_127_600),
    "efficientdet-lite4": (11_149_568, 3_349_696, 402_890, 228_740, 20_168_084_000),
    "efficientdet-d0-pt": (3_595_388, 194_361, 69_162, 18_852, 2_492_331_520),
    "efficientdet-d1-pt": (6_101_024, 387_628, 101_130, 32_244, 6_003_416_880),
    "efficientdet-d2-pt": (7_202_562, 703_007, 136_554, 49_092, 10_832_466_688),
    "efficientdet-d3-pt": (10_103_336, 1_550_834, 246_410, 121_796, 24_568_753_664),
}
# FLOPs of the convolutions (two per multiply-accumulate) at a side of the square input.
FLOPS = [
    ("yolov4", 608, 128_389_482_496),
    ("yolov4", 512, 91_046_281_216),
    ("yolov4", 416, 60_104_771_584),
    ("yolov4-sam-mish", 512, 92_656_893_952),
    ("yolov4-sam-mish", 608, 130_660_698_112),
    ("yolov4-csresnext50", 512, 71_291_109_376),
    ("yolov4-csresnext50", 608, 100_531_603_456),
    ("yolov4-tiny", 416, 6_907_876_352),
    ("yolov4-tiny-3l", 608, 17_735_369_728),
    ("yolov4-tiny-3l", 320, 4_912_844_800),
    ("yolov4-csp", 640, 120_239_718_400),
    ("yolov4-csp", 512, 76_953_419_776),
    ("yolov4x-mish", 640, 221_884_620_800),
    ("yolov4-p5", 896, 326_643_351_552),
    ("yolov4-p6", 1280, 717_019_545_600),
    ("yolov4-p7", 1536, 1_636_704_092_160),
]


def thin(spec: ModelSpec) -> ModelSpec:
    """The same graph at an eighth of the width and one block a stage: enough to run anywhere."""

    def eighth(channels: int) -> int:
        return max(32, channels // 8)

    stages = tuple(
        stage.replace(
            channels=eighth(stage.channels),
            depth=2 if stage.kind == "csp-osa" else 1,
            groups=4 if stage.kind == "csp-resnext" else None,
        )
        for stage in spec.backbone.stages
    )
    head = spec.head
    if head.channels is not None:
        head = head.replace(channels=tuple(map(eighth, head.channels)))
    return spec.replace(
        backbone=spec.backbone.replace(stem_channels=16, stages=stages),
        neck=spec.neck.replace(channels=tuple(map(eighth, spec.neck.channels))),
        head=head,
    )


def test_every_variant_has_a_published_count():
    advprop = {name for name in CATALOG if name.endswith("-ap")}  # the same networks
    assert {*PARAMETERS, *EFFICIENTDET, *advprop} == set(CATALOG)


def test_advprop_changes_the_input_alone():
    for name in ("efficientdet-d0", "efficientdet-d5"):
        plain, advprop = CATALOG[name], CATALOG[f"{name}-ap"]
        assert advprop.replace(name=name, input=plain.input) == plain


def flops_of(detector: Detector, image_size: tuple[int, int]) -> int:
    """Of the convolutions; the norms, which count for nothing and take long on `meta`, go first."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        fuse_norms(detector.eval())
        detector(torch.zeros(1, 3, *image_size))
    return counter.get_total_flops()


@pytest.mark.parametrize("name", EFFICIENTDET)
def test_every_part_of_efficientdet_has_the_published_counts(name: str):
    spec = CATALOG[name]
    with torch.device("meta"):
        detector = build_detector(spec)
    parts = (detector.backbone, detector.neck, detector.head.classes, detector.head.boxes)
    counts = [sum(weights.numel() for weights in part.parameters()) for part in parts]
    assert (*counts, flops_of(detector, spec.image_size) // 2) == EFFICIENTDET[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_variant_has_the_published_parameter_count(name: str):
    with torch.device("meta"):
        detector = build_detector(CATALOG[name])
    assert sum(parameter.numel() for parameter in detector.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize(("name", "side", "flops"), FLOPS)
def test_convolutions_cost_the_published_flops(name: str, side: int, flops: int):
    with torch.device("meta"):
        detector = build_detector(CATALOG[name])
    assert flops_of(detector, (side, side)) == flops


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_variant_predicts_one_map_per_stride_on_a_rectangle(name: str):
    spec = thin(CATALOG[name]).replace(num_classes=3)
    height, width = 2 * spec.strides[-1], 3 * spec.strides[-1]
    detector = build_detector(spec).eval()
    raw = detector(torch.zeros(2, 3, height, width))
    assert [tuple(level.shape) for level in raw] == [
        (2, len(anchors) * 8, height // stride, width // stride)
        for anchors, stride in zip(spec.head.anchors, spec.strides, strict=True)
    ]
    candidates = detector.decode(raw, (height, width))
    places = sum(level[0].numel() // 8 for level in raw)
    assert candidates.boxes.shape == (2, places, 4)
    assert candidates.scores.shape == (2, places, 3)


@pytest.mark.parametrize("name", CATALOG)
def test_every_variant_trains_and_evaluates_with_the_same_output_type(name: str):
    spec = thin(CATALOG[name])
    detector = build_detector(spec).train()
    raw = detector(torch.randn(2, 3, 2 * spec.strides[-1], 2 * spec.strides[-1]))
    sum(level.square().mean() for level in raw).backward()
    assert all(parameter.grad is not None for parameter in detector.parameters())
    evaluated = detector.eval()(torch.randn(2, 3, 2 * spec.strides[-1], 2 * spec.strides[-1]))
    assert [level.shape for level in raw] == [level.shape for level in evaluated]


@pytest.mark.parametrize("name", ["yolov4", "yolov4-tiny-3l", "yolov4-p5-pt"])
def test_folded_norms_and_channels_last_change_nothing(name: str):
    torch.manual_seed(0)
    spec = thin(CATALOG[name])
    detector = build_detector(spec)
    images = torch.rand(4, 3, 2 * spec.strides[-1], 2 * spec.strides[-1])
    detector.train()(images)  # statistics that matter
    detector.eval()
    with torch.inference_mode():
        expected = detector(images)
        fuse_norms(detector)
        detector.to(memory_format=torch.channels_last)
        folded = detector(images.to(memory_format=torch.channels_last))
    for level, reference in zip(folded, expected, strict=True):
        torch.testing.assert_close(level, reference, rtol=1e-4, atol=1e-4)


def test_norm_eps_of_the_spec_reaches_every_norm():
    detector = build_detector(thin(CATALOG["yolov4-p5-pt"]))
    norms = [part for part in detector.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {1e-3}


def test_an_unknown_part_suggests_the_nearest():
    spec = CATALOG["yolov4"]
    with pytest.raises(UnknownName, match="Did you mean 'csp-pan'"):
        build_detector(spec.replace(neck=spec.neck.replace(kind="csp_pan")))


def test_a_setting_that_a_stage_does_not_have_is_refused():
    spec = CATALOG["yolov4-tiny"]
    stages = (spec.backbone.stages[0].replace(groups=4), *spec.backbone.stages[1:])
    with pytest.raises(InvalidSpec, match="'groups': 4"):
        build_detector(spec.replace(backbone=spec.backbone.replace(stages=stages)))


@pytest.mark.parametrize(
    ("coding", "scale", "centre", "size"),
    [
        ("exponential", 1.2, 1 + 1.2 * 0.5 - 0.1, math.e),
        ("sigmoid", 2.0, 1 + 0.5, (2 / (1 + math.exp(-1))) ** 2),
    ],
)
def test_a_cell_is_decoded_by_hand(coding: str, scale: float, centre: float, size: float):
    raw = torch.zeros(1, 6, 2, 2)  # one anchor, one class, cells of 16 × 16
    raw[0, 2:4, 1, 1] = 1.0
    level = Level(stride=16, anchors=((10, 20),), box_coding=coding, scale_xy=scale)
    candidates = decode_level(raw, level, (32, 32))
    x, width, height = 16 * centre, 10 * size, 20 * size
    expected = torch.tensor([x - width / 2, x - height / 2, x + width / 2, x + height / 2])
    torch.testing.assert_close(candidates.boxes[0, 3], expected)
    assert candidates.scores.flatten().tolist() == [0.25] * 4


def test_candidates_are_ordered_by_anchor_then_row_then_column():
    raw = torch.full((1, 12, 2, 3), -20.0)
    raw[0, 10:12, 1, 2] = 20.0  # objectness and class of the second anchor, last cell
    level = Level(stride=16, anchors=((8, 8), (9, 9)), box_coding="sigmoid")
    scores = decode_level(raw, level, (32, 48)).scores
    assert scores[0, :, 0].argmax() == 11
