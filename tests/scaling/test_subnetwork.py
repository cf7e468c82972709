"""A level dropped from a trained model leaves the others exactly as they were."""

from pathlib import Path

import pytest
import torch
from torch import nn

from scantling.blocks import fuse_norms
from scantling.checkpoints import Model, load_model, save_effdet, save_model
from scantling.checkpoints.model import build_network
from scantling.cli import main
from scantling.darknet import read_cfg
from scantling.errors import InvalidCheckpoint, InvalidSpec, InvalidValue
from scantling.inference import load
from scantling.scaling.laws import as_small, deepen, widen, with_neck
from scantling.scaling.subnetwork import extract_subnetwork
from scantling.specs import ModelSpec, find_spec

SIZES = [(256, 256), (128, 384), (192, 320)]  # the last divided by the stride below the coarsest


def trained(spec: ModelSpec) -> Model:
    """A model whose weights and statistics all matter."""
    torch.manual_seed(0)
    network = build_network(spec)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.5, 0.5)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.5, 0.5)
    names = tuple(f"class{label}" for label in range(spec.num_classes))
    return Model(spec, network.eval(), names)


def thin(name: str, neck: str | None = None) -> ModelSpec:
    spec = find_spec(name)
    spec = spec if neck is None else with_neck(spec, neck)
    return widen(deepen(spec, 0.2), 0.125).replace(num_classes=3, image_size=256)


def raw_levels(model: Model, images: torch.Tensor) -> list[list[torch.Tensor]]:
    """What the network says, by level, finest first."""
    with torch.inference_mode():
        raw = model.network(images)
    levels = len(model.network.strides)
    return [raw[level::levels] for level in range(levels)]


def assert_same_levels(whole: Model, dropped: Model, size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size)
    expected, found = raw_levels(whole, images), raw_levels(dropped, images)
    assert len(found) < len(expected)
    for before, after in zip(expected, found, strict=False):
        assert len(before) == len(after)
        for one, other in zip(before, after, strict=True):
            assert torch.equal(one, other)


def parameters(model: Model) -> int:
    return sum(parameter.numel() for parameter in model.network.parameters())


CASES = [
    ("yolov4-p7", None),
    ("yolov4-p6", "pan"),
    ("yolov4-tiny-3l", None),
    ("yolov4-sam-mish", None),
    ("efficientdet-d0", None),
    ("efficientdet-d0", "csp-pan"),
    *(("yolov4-p6", neck) for neck in ("asff", "sfam", "fpn", "panet", "fully-connected-fpn")),
]


@pytest.mark.parametrize(("name", "neck"), CASES)
def test_the_other_levels_say_exactly_what_they_said(name: str, neck: str | None):
    whole = trained(thin(name, neck))
    for levels in (1, 2):
        dropped = extract_subnetwork(whole, levels)
        assert dropped.network.strides == whole.network.strides[:-levels]
        assert parameters(dropped) < parameters(whole)
        for size in SIZES:
            assert_same_levels(whole, dropped, size)


def test_nothing_is_left_that_no_output_needs():
    dropped = trained(extract_subnetwork(trained(thin("yolov4-p7"))).spec)
    dropped.network.train()
    sum(level.square().sum() for level in dropped.network(torch.rand(2, 3, 256, 256))).backward()
    unused = [name for name, one in dropped.network.named_parameters() if one.grad is None]
    assert unused == []


def test_dropping_twice_is_dropping_two():
    whole = trained(thin("yolov4-p7"))
    once, twice = extract_subnetwork(extract_subnetwork(whole)), extract_subnetwork(whole, 2)
    assert once.spec == twice.spec
    assert once.spec.name.endswith("-to-s32")
    assert all(
        torch.equal(one, other)
        for one, other in zip(
            once.network.state_dict().values(), twice.network.state_dict().values(), strict=True
        )
    )


@pytest.mark.slow
def test_p7_itself_without_one_and_two_levels_says_what_it_said():
    whole = trained(find_spec("yolov4-p7"))
    for levels in (1, 2):
        dropped = extract_subnetwork(whole, levels)
        assert_same_levels(whole, dropped, (256, 384))


def test_a_smaller_image_fits_once_the_coarsest_stride_is_gone():
    dropped = extract_subnetwork(trained(thin("yolov4-p7")))
    assert dropped.spec.sizes.divisor == 64
    assert dropped.spec.sizes.step == 128  # of the map that the other levels rest on
    assert dropped.spec.replace(image_size=(192, 320)).image_size == (192, 320)


def test_the_smaller_model_is_saved_and_loaded_like_any_other(tmp_path: Path):
    dropped = extract_subnetwork(trained(thin("yolov4-p7")), 2)
    save_model(dropped, tmp_path / "small.safetensors")
    loaded = load_model(tmp_path / "small.safetensors")
    assert loaded.spec == dropped.spec
    assert all(
        torch.equal(one, other)
        for one, other in zip(
            loaded.network.state_dict().values(), dropped.network.state_dict().values(), strict=True
        )
    )


def test_specs_that_drop_nothing_are_written_as_before():
    text = find_spec("yolov4-p7").model_dump_json()
    assert 'outputs":null' not in text
    assert "spp_lead" not in text
    dropped = extract_subnetwork(trained(thin("yolov4-tiny"))).spec
    assert ModelSpec.model_validate_json(dropped.model_dump_json()) == dropped
    small = as_small(find_spec("yolov4-csp"))
    assert ModelSpec.model_validate_json(small.model_dump_json()) == small


def test_what_cannot_be_dropped_is_refused(assets: Path, tmp_path: Path):
    model = trained(thin("yolov4-p6"))
    for levels in (0, 4):
        with pytest.raises(InvalidValue, match="from 1 to 3: it has 4"):
            extract_subnetwork(model, levels)
    with pytest.raises(InvalidSpec, match="4 outputs of 4 levels"):
        model.spec.neck.replace(outputs=4)
    with pytest.raises(InvalidSpec, match="levels were dropped"):
        with_neck(extract_subnetwork(model).spec, "bifpn")
    fuse_norms(model.network)
    with pytest.raises(InvalidCheckpoint, match="norms were folded"):
        extract_subnetwork(model)
    cfg = read_cfg(assets / "weights" / "yolov4-tiny-coco" / "yolov4-tiny.cfg")
    with pytest.raises(InvalidSpec, match="network of a darknet cfg"):
        extract_subnetwork(Model(cfg, build_network(cfg), ()))
    pyramid = extract_subnetwork(trained(thin("efficientdet-d0")))
    with pytest.raises(InvalidSpec, match="effdet's files"):
        save_effdet(pyramid, tmp_path / "x.pth")


@pytest.fixture
def tiny_weights(assets: Path) -> Path:
    return assets / "weights" / "yolov4-tiny-coco" / "yolov4-tiny.weights"


@pytest.mark.usefixtures("real_assets")
def test_the_command_drops_a_level_of_real_weights_and_the_rest_still_finds_objects(
    assets: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    small = tmp_path / "small.safetensors"
    words = ["scale", "yolov4-tiny", "--set", f"weights={tiny_weights}", "--drop-level"]
    assert main([*words, "--out", str(small)]) == 0
    assert "strides 16, " in capsys.readouterr().out
    image = assets / "images" / "darknet" / "horses.jpg"
    whole = load("yolov4-tiny", weights=tiny_weights)(image)
    found = load(small)(image)
    expected = {round(float(score), 6) for score in whole.scores}
    assert len(found) >= 1
    assert {round(float(score), 6) for score in found.scores} & expected
    assert main([*words, "--out", str(small)]) == 2  # it exists
    assert main([*words[:-1], "--out", str(small)]) == 2
    assert main([*words, "--out", str(tmp_path / "small.pt")]) == 2
    errors = capsys.readouterr().err
    assert "--overwrite" in errors
    assert "once for each level" in errors
    assert ".safetensors file to write" in errors


def test_the_smaller_model_is_evaluated(
    assets: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    model = load_model("yolov4-tiny", weights=tiny_weights)
    save_model(extract_subnetwork(model), tmp_path / "small.safetensors")
    data = assets / "datasets" / "coco-val2017-first128"
    names = (data / "config.yaml").read_text("utf-8").split("\nnames:")[1]
    table = tmp_path / "data.yaml"
    table.write_text(f"path: {data}\nval: images\nnames:{names}", "utf-8")
    words = ["evaluate", str(tmp_path / "small.safetensors"), "--data", str(table), "--json"]
    code = main([*words, "--limit", "16", "--image-size", "320"])
    assert code == 0, capsys.readouterr().err
