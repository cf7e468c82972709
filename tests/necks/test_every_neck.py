"""Every neck keeps its promise: channels, sizes, gradients, a training step, export, folding."""

import math
from itertools import cycle

import pytest
import torch
from torch import nn

from scantling.blocks import ATTENTIONS, CONTEXTS, FUSIONS, SqueezeExcite, fuse_norms
from scantling.errors import InvalidSpec, UnknownName
from scantling.necks import NECKS
from scantling.necks.asff import SpatialFusion
from scantling.specs import NeckSpec

PATHS = ("csp-pan", "exact-fusion", "pan", "tiny-fpn")  # each level has its own width
PYRAMIDS = [kind for kind in NECKS if kind not in PATHS]
WIDTHS = (16, 20, 24, 28)
IN_CHANNELS = (8, 12, 16, 24)
LEVELS = {"nas-fpn": 5}  # of necks that have one number of levels only
FREE = [kind for kind in NECKS if kind not in LEVELS]
CASES = [
    *((kind, 3, LEVELS.get(kind, 3)) for kind in NECKS),
    *((kind, 2, LEVELS.get(kind, 2)) for kind in NECKS),
    *((kind, 4, 4) for kind in PATHS),
    *((kind, 3, 5) for kind in PYRAMIDS),
    *((kind, 2, 6) for kind in PYRAMIDS if kind in FREE),
]
SIZES = [(16, 16), (8, 24), (13, 9)]


def describe(kind: str, levels: int, **settings: object) -> NeckSpec:
    levels = LEVELS.get(kind, levels)
    channels = WIDTHS[:levels] if kind in PATHS else (16,) * levels
    return NeckSpec(kind=kind, channels=channels, activation="swish").replace(**settings)


def build(spec: NeckSpec, inputs: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return NECKS[spec.kind](IN_CHANNELS[:inputs], spec)


def pyramid_sizes(finest: tuple[int, int], levels: int) -> list[tuple[int, int]]:
    return [tuple(math.ceil(side / 2**level) for side in finest) for level in range(levels)]


def features(finest: tuple[int, int], inputs: int = 3, images: int = 2) -> list[torch.Tensor]:
    sizes = pyramid_sizes(finest, inputs)
    return [
        torch.randn(images, channels, *size)
        for channels, size in zip(IN_CHANNELS, sizes, strict=False)
    ]


def excite_everything(module: nn.Module) -> None:
    """Let no channel attention start out dead, as a ReLU after one or two channels may."""
    for part in module.modules():
        if isinstance(part, SqueezeExcite):
            nn.init.constant_(part.reduce.bias, 3.0)


def randomise_norms(module: nn.Module) -> None:
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_mean, -0.5, 0.5)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.5, 0.5)


def check_exported_and_folded(neck: nn.Module, maps: list[torch.Tensor]) -> None:
    """The neck, its export and the neck with folded norms find the same."""
    randomise_norms(neck.eval())
    with torch.inference_mode():
        expected = neck(maps)
    exported = torch.export.export(neck, (maps,)).module()(maps)
    fuse_norms(neck)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in neck.modules())
    with torch.inference_mode():
        folded = neck(maps)
    for level, again, reference in zip(exported, folded, expected, strict=True):
        torch.testing.assert_close(level, reference, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(again, reference, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("finest", SIZES)
@pytest.mark.parametrize(("kind", "inputs", "levels"), CASES)
def test_every_neck_announces_its_channels_and_keeps_sizes(kind, inputs, levels, finest):
    neck = build(describe(kind, levels), inputs).eval()
    outputs = neck(features(finest, inputs))
    assert [tuple(level.shape) for level in outputs] == [
        (2, channels, *size)
        for channels, size in zip(neck.channels, pyramid_sizes(finest, levels), strict=True)
    ]


@pytest.mark.parametrize("kind", NECKS)
def test_every_neck_is_as_wide_as_its_spec_says(kind: str):
    spec = describe(kind, 3, depth=2)
    times = 2 if kind == "sfam" else 1  # gathers its two passes
    assert build(spec).channels == tuple(times * width for width in spec.channels)


@pytest.mark.parametrize(("kind", "inputs", "levels"), CASES)
def test_every_neck_passes_gradients_to_every_parameter_and_feature(kind, inputs, levels):
    neck = build(describe(kind, levels), inputs)
    excite_everything(neck)
    maps = [x.requires_grad_() for x in features((16, 24), inputs)]
    sum(level.square().mean() for level in neck(maps)).backward()
    tensors = [("feature", x) for x in maps] + list(neck.named_parameters())
    assert [name for name, x in tensors if x.grad is None or x.grad.abs().sum() == 0] == []


@pytest.mark.parametrize("kind", NECKS)
def test_no_neck_changes_the_features_that_it_is_given(kind: str):
    neck = NECKS[kind]((16, 16, 16), describe(kind, 3)).eval()
    maps = [torch.randn(1, 16, side, side) for side in (8, 4, 2)]
    before = [x.clone() for x in maps]
    neck(maps)
    assert all(torch.equal(x, same) for x, same in zip(maps, before, strict=True))


@pytest.mark.parametrize("kind", NECKS)
def test_training_lowers_the_loss_of_every_neck(kind: str):
    finest = (8, 8) if kind in FREE else (32, 32)  # no level of a single cell
    neck, maps = build(describe(kind, 3)), features(finest)
    optimizer = torch.optim.Adam(neck.parameters(), lr=3e-3)
    losses = []
    for _ in range(4):
        loss = sum((level - 0.3).square().mean() for level in neck(maps))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("kind", NECKS)
def test_every_neck_predicts_the_same_exported_and_with_folded_norms(kind: str):
    levels = 3 if kind in PATHS else 4
    check_exported_and_folded(build(describe(kind, levels, depth=1)), features((13, 9), images=1))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion_trains_and_exports_inside_a_pyramid(fusion: str):
    neck = build(describe("bifpn", 3, fusion=fusion, depth=1, same_padding=True))
    sum(level.square().mean() for level in neck(features((8, 8)))).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in neck.parameters())
    check_exported_and_folded(neck, features((13, 9), images=1))


@pytest.mark.parametrize(
    ("context", "attention"), list(zip(CONTEXTS, cycle(ATTENTIONS), strict=False))
)
@pytest.mark.parametrize("kind", NECKS)
def test_every_neck_takes_every_context_and_attention(kind: str, context: str, attention: str):
    plain = build(describe(kind, 3))
    spec = describe(kind, 3, context=context, attention=attention)
    neck, maps = build(spec), features((13, 9))
    excite_everything(neck)
    outputs = neck(maps)
    assert [level.shape for level in outputs] == [level.shape for level in plain(maps)]
    sum(level.square().mean() for level in outputs).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in neck.parameters())
    assert set(neck.state_dict()) != set(plain.state_dict())


@pytest.mark.parametrize("kind", ["pan", "csp-pan"])
def test_path_aggregation_has_spatial_pyramid_pooling_unless_told_otherwise(kind: str):
    plain, told = build(describe(kind, 3)), build(describe(kind, 3, context="spp"))
    assert list(plain.state_dict()) == list(told.state_dict())
    assert {x.shape for x in plain.parameters()} == {x.shape for x in told.parameters()}


@pytest.mark.parametrize("kind", PYRAMIDS)
def test_a_pyramid_of_unequal_widths_is_refused(kind: str):
    with pytest.raises(InvalidSpec, match=r"adds its levels.*Use one width, like \(48, 48, 48\)"):
        build(NeckSpec(kind=kind, channels=(32, 40, 48)))


@pytest.mark.parametrize("kind", PYRAMIDS)
def test_a_pyramid_of_fewer_levels_than_features_is_refused(kind: str):
    with pytest.raises(InvalidSpec, match="3 features but 2 levels"):
        build(NeckSpec(kind=kind, channels=(32, 32)))


@pytest.mark.parametrize("kind", PATHS)
def test_paths_of_other_levels_than_features_are_refused(kind: str):
    with pytest.raises(InvalidSpec, match="3 features but 5 channels"):
        build(NeckSpec(kind=kind, channels=(32,) * 5))


@pytest.mark.parametrize(
    ("setting", "hint"), [("context", "'aspp'"), ("attention", "'sam'"), ("fusion", "'sum'")]
)
def test_an_unknown_part_of_a_neck_suggests_the_nearest(setting: str, hint: str):
    misspelt = {setting: hint.strip("'") + "m"}
    with pytest.raises(UnknownName, match=f"{setting} is called .* Did you mean {hint}"):
        build(describe("bifpn", 3, **misspelt))


@torch.no_grad()
def test_spatial_fusion_weighs_levels_at_every_point():
    fusion = SpatialFusion(1, 0, 2, activation="linear")
    fusion.rescale[1] = nn.Identity()
    for weigh, weight, bias in zip(fusion.weigh, (1.0, 0.0), (0.0, math.log(3)), strict=True):
        nn.init.constant_(weigh.weight, weight)
        nn.init.constant_(weigh.bias, bias)
    fine, coarse = torch.zeros(1, 1, 2, 2), torch.full((1, 1, 1, 1), 8.0)
    fine[0, 0, 1, 0] = math.log(3)  # there both weigh as much; elsewhere 1 to 3
    expected = torch.tensor([[6.0, 6.0], [math.log(3) / 2 + 4, 6.0]])
    torch.testing.assert_close(fusion([fine, coarse])[0, 0], expected)


@torch.no_grad()
def test_scale_wise_aggregation_puts_the_passes_side_by_side_and_weighs_them():
    neck = build(describe("sfam", 3, depth=2)).eval()
    for excite in neck.excite:
        nn.init.zeros_(excite.expand.weight)
        nn.init.constant_(excite.expand.bias, math.log(3))  # every channel by 3 / 4
    maps = features((8, 8))
    first, second = neck.pyramid.passes(maps)
    for output, early, late in zip(neck(maps), first, second, strict=True):
        torch.testing.assert_close(output, 0.75 * torch.cat([early, late], dim=1))


@pytest.mark.parametrize("kind", NECKS)
def test_every_neck_refuses_settings_that_it_does_not_have(kind: str):
    if kind in PATHS:
        levels, foreign = 3, {"fusion": "sum"}
    else:
        levels, foreign = 4, {"joint_norm": True}
    with pytest.raises(InvalidSpec, match=f"'{kind}': this kind has no {next(iter(foreign))}"):
        build(describe(kind, levels, **foreign))
