"""Agreement with the `effdet` package, which holds the published EfficientDets."""

import numpy as np
import pytest
import torch

import effdet_oracle as oracle
from scantling.checkpoints import load_model
from scantling.engines import EngineSettings
from scantling.engines.torch_engine import TorchEngine
from scantling.postprocess import Selection, select
from scantling.specs import CATALOG

LARGE = {
    f"efficientdet-{size}"
    for size in ("d0-ap", "d2-pt", "d3-pt", "d4", "d5", "d6", "d7", "d7x", "lite3x", "lite4")
}
EVERY = [
    pytest.param(name, marks=pytest.mark.slow if name in LARGE else ())
    for name in oracle.NAMES
    if not name.endswith("-ap") or name == "efficientdet-d0-ap"  # the same networks otherwise
]
# Of effdet: no threshold, the best 5000 of all anchors and classes, class by class, 100 at most.
AS_EFFDET = Selection(
    min_score=0.0, iou_threshold=0.5, max_candidates=5000, max_detections=100, class_aware=True
)


def ours(network, name, folder):
    """Our model, through a file that torch writes."""
    torch.save(network.state_dict(), folder / "theirs.pth")
    return load_model(name, weights=folder / "theirs.pth")


@torch.inference_mode()
def compare_raw(name, size, folder):
    theirs = oracle.build(name, image_size=size)
    batch = oracle.images(1, size)
    classes, boxes = theirs(batch)
    expected = [*classes, *boxes]
    assert max(level.abs().max() for level in expected) > 1  # so that equality means something
    model = ours(theirs, name, folder)
    for level, raw in zip(expected, model.network(batch), strict=True):
        torch.testing.assert_close(raw, level, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", EVERY)
def test_raw_outputs_equal_effdets(name, tmp_path):
    compare_raw(name, (160, 192) if name == "efficientdet-d7x" else (128, 192), tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "efficientdet-d0",
        pytest.param("efficientdet-d1", marks=pytest.mark.slow),
        pytest.param("efficientdet-d2", marks=pytest.mark.slow),
    ],
)
def test_raw_outputs_equal_effdets_at_the_default_size(name, tmp_path):
    compare_raw(name, CATALOG[name].image_size, tmp_path)


def assert_same_detections(theirs, found):
    """Each row of theirs, (M, 6) xyxy, score, class from 1, is one of ours."""
    label, score, boxes = theirs[:, 5].numpy() - 1, theirs[:, 4].numpy(), theirs[:, :4].numpy()
    assert len(found) == len(theirs)
    apart = np.abs(boxes[:, None] - found.boxes).max(-1) / 1e-2
    apart = np.maximum(apart, np.abs(score[:, None] - found.scores) / 1e-5)
    apart[label[:, None] != found.labels] = np.inf
    nearest = apart.argmin(1)
    assert apart.min(1).max() < 1
    assert len(set(nearest.tolist())) == len(theirs)


# Sizes that are no multiple of the coarsest stride too: effdet then has narrower cells.
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("efficientdet-d0", (128, 256)),
        ("efficientdet-d0", (200, 328)),
        ("efficientdet-d0-pt", (200, 328)),
        ("efficientdet-lite0", (320, 320)),
        pytest.param("efficientdet-d7", (160, 256), marks=pytest.mark.slow),  # anchors of 5 cells
        pytest.param("efficientdet-d7x", (192, 256), marks=pytest.mark.slow),  # six levels
    ],
)
@torch.inference_mode()
def test_boxes_and_detections_equal_effdets_predict_path(name, size, tmp_path):
    from effdet import DetBenchPredict
    from effdet.anchors import decode_box_outputs

    network = oracle.build(name, image_size=size)
    batch = oracle.images(2, size)
    predict = network.class_net.predict.conv_pw
    logits = torch.cat([level.flatten() for level in network(batch)[0]])
    predict.weight.mul_(2 / logits.std())  # ranks apart
    best = max(level.max() for level in network(batch)[0])
    predict.bias.sub_(best - 3)  # and none saturated, so no ties
    bench = DetBenchPredict(network).eval()
    model = ours(network, name, tmp_path)
    candidates = model.network.decode(model.network(batch), size)

    offsets = [level.permute(0, 2, 3, 1).reshape(2, -1, 4) for level in network(batch)[1]]
    for image in range(2):
        flat = torch.cat([level[image] for level in offsets])
        expected = decode_box_outputs(flat, bench.anchors.boxes, output_xyxy=True)
        torch.testing.assert_close(candidates.boxes[image], expected, atol=1e-2, rtol=1e-4)

    selected = select(candidates, settings=AS_EFFDET)
    for theirs, found in zip(bench(batch), selected, strict=True):
        assert theirs[:, 4].min() > 0  # none of the rows is padding
        assert_same_detections(theirs, found)


@pytest.mark.parametrize("name", ["efficientdet-d0", "efficientdet-d0-ap"])
@torch.inference_mode()
def test_engine_sees_images_as_effdet_normalises_them(name, tmp_path):
    """Mean and standard deviation come from the spec, and the norms are folded."""
    size = (128, 192)
    network = oracle.build(name, image_size=size)
    config = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)} | {
        name: network.config[name] for name in ("mean", "std") if name in network.config
    }
    mean, std = (255 * torch.tensor(tuple(config[name])).view(3, 1, 1) for name in ("mean", "std"))
    pixels = (oracle.images(1, size) * std + mean).clamp(0, 255).to(torch.uint8)
    classes, _ = network((pixels.float() - mean) / std)
    expected = torch.cat([level.permute(0, 2, 3, 1).reshape(1, -1, 90) for level in classes], 1)

    engine = TorchEngine(
        ours(network, name, tmp_path), EngineSettings(device="cpu", image_size=size)
    )
    candidates = engine(pixels.permute(0, 2, 3, 1).numpy())
    torch.testing.assert_close(candidates.scores, expected.sigmoid(), atol=1e-4, rtol=0)
