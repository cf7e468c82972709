"""A native variant and the network that its cfg describes are the same network."""

from pathlib import Path

import pytest
import torch

from scantling.blocks import fuse_norms
from scantling.darknet import (
    build_cfg_network,
    read_cfg,
    read_weights,
    stored_tensors,
    write_weights,
)
from scantling.darknet.native import VARIANTS, darknet_variant, native_cfg, native_tensors
from scantling.detector import build_detector
from scantling.errors import InvalidSpec, InvalidValue
from scantling.specs import CATALOG, ModelSpec


def randomise(tensors: list[torch.Tensor]) -> None:
    """Weights that keep activations near 1, and statistics that matter."""
    torch.manual_seed(0)
    for tensor in tensors:
        if tensor.dim() == 4:
            torch.nn.init.kaiming_normal_(tensor, nonlinearity="linear")
        else:
            torch.nn.init.uniform_(tensor, 0.5, 1.0)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_predicts_what_its_cfg_network_does(name: str, tmp_path: Path):
    spec = CATALOG[name].replace(num_classes=3)
    spec = spec.replace(image_size=(spec.strides[-1], 2 * spec.strides[-1]))
    cfg = tmp_path / f"{name}.cfg"
    cfg.write_text(native_cfg(spec))
    cfg_spec = read_cfg(cfg)
    assert (cfg_spec.image_size, cfg_spec.num_classes) == (spec.image_size, 3)
    assert cfg_spec.input.resize_mode == spec.input.resize_mode

    with torch.device("meta"):  # the weights are all set below
        described, native = build_cfg_network(cfg_spec), build_detector(spec)
    described, native = (net.to_empty(device="cpu").eval() for net in (described, native))
    source, target = stored_tensors(described), native_tensors(native, spec)
    assert [tensor.shape for tensor in source] == [tensor.shape for tensor in target]
    randomise(source)
    with torch.inference_mode():
        for into, tensor in zip(target, source, strict=True):
            into.copy_(tensor)
        images = torch.rand(1, 3, *spec.image_size)
        expected, raw = described(images), native(images)
        for level, reference in zip(raw, expected, strict=True):
            torch.testing.assert_close(level, reference, rtol=1e-4, atol=1e-4)
        boxes = native.decode(raw, spec.image_size).boxes
        # a cfg may list its levels the other way round: compare as sets of boxes
        torch.testing.assert_close(
            boxes.sum(),
            described.decode(expected, spec.image_size).boxes.sum(),
            rtol=1e-4,
            atol=1e-2,
        )


def test_real_weights_go_through_a_native_network_to_the_byte(assets: Path, tmp_path: Path):
    weights = assets / "weights" / "yolov4-tiny-coco" / "yolov4-tiny.weights"
    spec = CATALOG["yolov4-tiny"]
    tensors = native_tensors(build_detector(spec), spec)
    header = read_weights(weights, tensors)
    write_weights(tmp_path / "back.weights", tensors, header)
    assert (tmp_path / "back.weights").read_bytes() == weights.read_bytes()


def changed(spec: ModelSpec) -> ModelSpec:
    anchors = tuple(tuple((w + 1, h + 2) for w, h in group) for group in spec.head.anchors)
    head = spec.head.replace(anchors=anchors)
    return spec.replace(name="mine", num_classes=7, image_size=spec.strides[-1] * 3, head=head)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_cfg_carries_what_the_spec_changed(name: str, tmp_path: Path):
    spec = changed(CATALOG[name])
    assert darknet_variant(spec) == name
    cfg = tmp_path / "mine.cfg"
    cfg.write_text(native_cfg(spec))
    with torch.device("meta"):
        described, native = build_cfg_network(read_cfg(cfg)), build_detector(spec)
        assert [tensor.shape for tensor in stored_tensors(described)] == [
            tensor.shape for tensor in native_tensors(native, spec)
        ]


@pytest.mark.parametrize("name", ["yolov4-p7", "yolov4-p5-pt"])
def test_a_graph_that_darknet_does_not_have_is_refused(name: str):
    with pytest.raises(InvalidSpec, match="darknet has no cfg for this graph"):
        native_cfg(CATALOG[name])


def test_folded_norms_cannot_be_stored():
    spec = CATALOG["yolov4-tiny"]
    detector = build_detector(spec).eval()
    fuse_norms(detector)
    with pytest.raises(InvalidValue, match="not folded"):
        native_tensors(detector, spec)
