"""OpenCV's own darknet reader, given the same cfg and weights: an engine that we did not write."""

import re
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from scantling.darknet import DarknetNetwork, WeightsHeader, stored_tensors, write_weights
from scantling.darknet.layers import WeightedShortcut
from scantling.heads.yolo_decoding import decode_level


def resized(text: str, side: int) -> str:
    """The cfg for a square image of another size."""
    text = re.sub(r"(?m)^width\s*=.*$", f"width={side}", text)
    return re.sub(r"(?m)^height\s*=.*$", f"height={side}", text)


def unthresholded(text: str) -> str:
    """The cfg with OpenCV told to keep every score, however low, and every box."""
    text = re.sub(r"(?m)^thresh\s*=.*$", "", text)
    return re.sub(r"(?m)^\[(yolo|region)\]", r"[\1]\nthresh=0\nnms_threshold=0", text)


def images(count: int, side: int, seed: int = 1) -> torch.Tensor:
    """(count, 3, side, side) images with patches of light and shade, 0 to 1."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, side // 16, side // 16, generator=generator)
    fine = torch.rand(count, 3, side, side, generator=generator)
    patches = F.interpolate(coarse, size=(side, side), mode="bilinear", align_corners=False)
    return 0.7 * patches + 0.3 * fine


@torch.no_grad()
def randomise(network: DarknetNetwork, batch: torch.Tensor, seed: int = 0) -> None:
    """Random weights under which every map of `batch` stays of the order of 1."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_in = module.weight[0].numel()
            module.weight.normal_(0, (1 / fan_in) ** 0.5, generator=generator)
            if module.bias is not None:
                module.weight.mul_(0.5)
                module.bias.uniform_(-0.5, 0.5, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.uniform_(0.7, 1.3, generator=generator)
            module.bias.uniform_(0, 1, generator=generator)
            module.momentum = 1.0  # the statistics of this one batch
        elif isinstance(module, WeightedShortcut):
            module.weight.uniform_(0.5, 1.5, generator=generator)
    network.train()(batch)
    network.eval()


def use_opencv_epsilon(network: nn.Module) -> None:
    """Let the norms add to the variance what OpenCV adds, 1e-6; darknet adds 1e-5."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-6


def opencv_boxes(
    cfg: str, network: DarknetNetwork, blob: np.ndarray, folder: Path
) -> list[np.ndarray]:
    """What OpenCV makes of the cfg and the network's weights, per detection layer, finest first.

    Returns:
        per level (A · H · W, 5 + K): centre, width and height as a share of the image, objectness,
        objectness · class; by row, column, anchor.
    """
    path = folder / "oracle.weights"
    write_weights(path, stored_tensors(network), WeightsHeader())
    weights = np.fromfile(path, np.uint8)
    path.unlink()
    text = np.frombuffer(unthresholded(cfg).encode(), np.uint8)
    net = cv2.dnn.readNetFromDarknet(text, weights)
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    net.enableWinograd(False)  # exact convolutions
    net.setInput(blob)
    outputs = net.forward(net.getUnconnectedOutLayersNames())
    return sorted(outputs, key=len, reverse=True)


@torch.inference_mode()
def our_boxes(network: DarknetNetwork, blob: np.ndarray) -> list[np.ndarray]:
    """The same from the network, in the same form: (A · H · W, 4 + K), without objectness."""
    height, width = blob.shape[2:]
    found = []
    for level, raw in zip(network.levels, network(torch.from_numpy(blob)), strict=True):
        candidates = decode_level(raw, level, (height, width))
        x1, y1, x2, y2 = candidates.boxes[0].unbind(1)
        boxes = torch.stack(
            [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height],
            dim=1,
        )
        rows = torch.cat([boxes, candidates.scores[0]], dim=1)
        anchors, cells = len(level.anchors), raw.shape[2] * raw.shape[3]
        by_cell = rows.view(anchors, cells, -1).transpose(0, 1)  # OpenCV lists anchors last
        found.append(by_cell.reshape(anchors * cells, -1).numpy())
    return found


def relative_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference, columns without objectness, as a share of the largest value.

    OpenCV runs its own NMS on `[region]` and sets the scores that it suppresses to 0; those are
    left out.
    """
    boxes, scores = np.delete(theirs, 4, axis=1)[:, :4], theirs[:, 5:]
    assert ours.shape == (len(boxes), 4 + scores.shape[1])
    kept = scores > 0
    assert kept.any()
    box_difference = np.abs(ours[:, :4] - boxes).max() / np.abs(boxes).max()
    score_difference = np.abs(ours[:, 4:] - scores)[kept].max() / scores.max()
    return float(max(box_difference, score_difference))
