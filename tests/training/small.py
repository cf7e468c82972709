"""A network of a few thousand weights and drawings to train it on, for runs of seconds."""

from pathlib import Path

import cv2
import numpy as np

NAMES = ("disc", "square")

CFG = """
[net]
batch=4
subdivisions=2
width=64
height=64
channels=3
learning_rate=0.01
burn_in=2
max_batches=100
policy=constant
ema_alpha=0.9

[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky

[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky

[convolutional]
batch_normalize=1
filters=16
size=3
stride=2
pad=1
activation=leaky

[convolutional]
size=1
stride=1
pad=1
filters=21
activation=linear

[yolo]
mask=0,1,2
anchors=8,8, 16,16, 28,28
classes=2
num=3
jitter=.1
ignore_thresh=.7
iou_loss=ciou
iou_normalizer=0.07
random=0
"""
# As many kinds of state as fit into one run: accumulation, random shapes, an average.
SETTINGS = {
    "epochs": 2,
    "batch": 2,
    "nominal_batch": 4,
    "shapes.range": 1.5,
    "shapes.every": 2,
    "shapes.multiple": 8,
    "ema.decay": 0.9,
    "anchors.fit": "never",
    "schedule.warmup_least": 2,
}


def write_cfg(folder: Path) -> Path:
    """The network, in a file."""
    path = folder / "thin.cfg"
    path.write_text(CFG, "utf-8")
    return path


def write_set(folder: Path, *, images: int = 12) -> Path:
    """Drawings of discs and squares with their labels, for training and evaluation."""
    rng = np.random.default_rng(3)
    for split, count in (("train", images), ("val", 4)):
        for part in ("images", "labels"):
            (folder / part / split).mkdir(parents=True)
        for number in range(count):
            image = np.full((64, 64, 3), 128, np.uint8)
            rows = [_draw(image, rng) for _ in range(2)]
            assert cv2.imwrite(str(folder / "images" / split / f"{number:02}.png"), image)
            (folder / "labels" / split / f"{number:02}.txt").write_text("".join(rows))
    names = ", ".join(NAMES)
    data = folder / "data.yaml"
    data.write_text(f"path: {folder}\ntrain: images/train\nval: images/val\nnames: [{names}]\n")
    return data


def words(settings: dict[str, object]) -> list[str]:
    """Settings as words of a command line."""
    return [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]


def _draw(image: np.ndarray, rng: np.random.Generator) -> str:
    """Draw one object into the image; its label."""
    half, label = int(rng.integers(5, 12)), int(rng.integers(2))
    x, y = (int(value) for value in rng.integers(half, 64 - half, 2))
    color = [int(value) for value in rng.integers(0, 255, 3)]
    if label:
        cv2.rectangle(image, (x - half, y - half), (x + half, y + half), color, -1)
    else:
        cv2.circle(image, (x, y), half, color, -1)
    return f"{label} {x / 64} {y / 64} {2 * half / 64} {2 * half / 64}\n"
