"""OpenCV's own darknet reader, given the same cfg and weights: an engine that we did not write.

OpenCV 5 reads no darknet files. There, what OpenCV 4 made of the same is read from a file: see
`opencv_references`.
"""

import re
import zlib
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from opencv_references import LIVE, keep_reference, read_reference
from scantling.darknet import DarknetNetwork, WeightsHeader, stored_tensors, write_weights
from scantling.darknet.layers import WeightedShortcut
from scantling.heads.yolo_decoding import decode_level

SAMPLE = 24  # rows of a level that are kept; of a small one all


def resized(text: str, side: int) -> str:
    """The cfg for a square image of another size."""
    text = re.sub(r"(?m)^width\s*=.*$", f"width={side}", text)
    return re.sub(r"(?m)^height\s*=.*$", f"height={side}", text)


def unthresholded(text: str) -> str:
    """The cfg with OpenCV told to keep every score, however low, and every box."""
    text = re.sub(r"(?m)^thresh\s*=.*$", "", text)
    return re.sub(r"(?m)^\[(yolo|region)\]", r"[\1]\nthresh=0\nnms_threshold=0", text)


def uniform(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Random numbers of 0 to 1 that are the same on every machine."""
    return torch.from_numpy(np.random.default_rng(seed).random(shape, np.float32))


def images(count: int, side: int, seed: int = 1) -> torch.Tensor:
    """(count, 3, side, side) images with patches of light and shade, 0 to 1."""
    coarse = uniform((count, 3, side // 16, side // 16), seed).double()
    fine = uniform((count, 3, side, side), seed + 1)
    patches = F.interpolate(coarse, size=(side, side), mode="bilinear", align_corners=False)
    return (0.7 * patches + 0.3 * fine.double()).float()


@torch.no_grad()
def randomise(network: DarknetNetwork, batch: torch.Tensor, seed: int = 0) -> None:
    """Random weights under which every map of `batch` stays of the order of 1.

    They are the same on every machine: the statistics of the norms are computed in float64.
    """
    for place, module in enumerate(network.modules()):
        own = 10_000 * seed + 3 * place

        def between(tensor: torch.Tensor, low: float, high: float, first: int = own) -> None:
            tensor.copy_(low + (high - low) * uniform(tuple(tensor.shape), first))

        if isinstance(module, nn.Conv2d):
            reach = (3 / module.weight[0].numel()) ** 0.5
            between(module.weight, -reach, reach)
            if module.bias is not None:
                module.weight.mul_(0.5)
                between(module.bias, -0.5, 0.5, own + 1)
        elif isinstance(module, nn.BatchNorm2d):
            between(module.weight, 0.7, 1.3)
            between(module.bias, 0, 1, own + 1)
            module.momentum = 1.0  # the statistics of this one batch
        elif isinstance(module, WeightedShortcut):
            between(module.weight, 0.5, 1.5)
    network.double().train()(batch.double())
    network.float().eval()


def use_opencv_epsilon(network: nn.Module) -> None:
    """Let the norms add to the variance what OpenCV adds, 1e-6; darknet adds 1e-5."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-6


@dataclass(frozen=True)
class Rows:
    """What OpenCV made of one level, or a sample of it.

    Args:
        count: of all rows.
        place: (R,) which rows these are.
        values: (R, 5 + K) centre, width and height as a share of the image, objectness,
            objectness · class; by row, column, anchor.
        mean: (5 + K,) of all rows.
        largest: of the box columns, without their sign, and of the scores.
    """

    count: int
    place: np.ndarray
    values: np.ndarray
    mean: np.ndarray
    largest: np.ndarray

    @classmethod
    def whole(cls, values: np.ndarray) -> "Rows":
        """All rows of a level."""
        largest = np.array([np.abs(values[:, :4]).max(), values[:, 5:].max()])
        mean = values.mean(0, dtype=np.float64)
        return cls(len(values), np.arange(len(values)), values, mean, largest)

    def sample(self, most: int) -> "Rows":
        """So many of the rows at most, evenly apart."""
        place = np.unique(np.linspace(0, self.count - 1, min(most, self.count)).astype(np.int64))
        return Rows(self.count, place, self.values[place], self.mean, self.largest)


def opencv_boxes(
    name: str,
    cfg: str,
    network: DarknetNetwork,
    blob: np.ndarray,
    folder: Path,
    *,
    same: bool = True,
) -> list[Rows]:
    """What OpenCV makes of the cfg and the network's weights, per detection layer, finest first.

    Args:
        name: under which it is kept for OpenCV 5.
        same: whether OpenCV is to make the same of it each time.

    Raises:
        cv2.error: OpenCV cannot.
    """
    given = fingerprint(cfg, network, blob)
    if not LIVE:
        return levels_of(read_reference(name, given))
    try:
        found = [Rows.whole(level) for level in run_opencv(cfg, network, blob, folder)]
    except cv2.error:
        keep_reference(name, given, {}, same=same)
        raise
    samples = [level.sample(SAMPLE if level.count > 100 else 100) for level in found]
    parts = {
        f"{number} {part}": value
        for number, sample in enumerate(samples)
        for part, value in vars(sample).items()
    }
    keep_reference(name, given, parts, same=same)
    return found


def levels_of(parts: dict[str, np.ndarray]) -> list[Rows]:
    """The levels, of what was kept of them."""
    names = [field.name for field in fields(Rows)]
    count = len({key.split()[0] for key in parts})
    return [Rows(*(parts[f"{number} {name}"] for name in names)) for number in range(count)]


def fingerprint(cfg: str, network: DarknetNetwork, blob: np.ndarray) -> str:
    """Tells other inputs than those of a reference apart, and not the last bits of one."""
    weights = sum(float(tensor.detach().double().abs().sum()) for tensor in stored_tensors(network))
    return f"{zlib.crc32(cfg.encode())} {weights:.5g} {float(blob.sum(dtype=np.float64)):.5g}"


def run_opencv(
    cfg: str, network: DarknetNetwork, blob: np.ndarray, folder: Path
) -> list[np.ndarray]:
    """(A · H · W, 5 + K) of each detection layer, finest first, by OpenCV 4."""
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


def relative_difference(ours: np.ndarray, theirs: Rows) -> float:
    """The largest difference, columns without objectness, as a share of the largest value.

    OpenCV runs its own NMS on `[region]` and sets the scores that it suppresses to 0; those are
    left out.
    """
    assert ours.shape == (int(theirs.count), 4 + theirs.values.shape[1] - 5)
    boxes, scores = theirs.values[:, :4], theirs.values[:, 5:]
    kept = scores > 0
    assert kept.any()
    rows, (box, score) = ours[theirs.place], theirs.largest
    box_difference = np.abs(rows[:, :4] - boxes).max() / box
    score_difference = np.abs(rows[:, 4:] - scores)[kept].max() / score
    means = np.abs(ours.mean(0, dtype=np.float64) - np.delete(theirs.mean, 4))
    mean_difference = max(means[:4].max() / box, means[4:].max() / score if kept.all() else 0)
    return float(max(box_difference, score_difference, mean_difference))
