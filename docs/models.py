"""Writes docs/models.md: every named model, with numbers counted from the built networks."""

from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from scantling.checkpoints.hub import OFFICIAL
from scantling.detector import build_detector
from scantling.specs import CATALOG, ModelSpec

PAGE = Path(__file__).with_name("models.md")
INTRODUCTION = """\
# Models

Made by `python docs/models.py` from the specs in `src/scantling/specs`: parameters and
multiply-accumulates (MACs) are counted from the built networks, at the image size shown and with
80 classes. Every model takes any class count and any image size, rectangles too, that its coarsest
stride divides.

`yolov4-csp`, `-p5` and `-p6` are the graphs of darknet's cfg files. `yolov4-p7` and those that end
in `-pt` are the graphs of the Scaled-YOLOv4 PyTorch checkpoints, which normalise the CSP blocks of
the neck jointly; the weights of one graph do not fit the other.

| model | image size | strides | parameters | GMACs | fit | official weights |
| --- | --- | --- | ---: | ---: | --- | --- |
"""


def row(spec: ModelSpec) -> str:
    """One line of the table."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        detector = build_detector(spec).eval()
        detector(torch.zeros(1, 3, *spec.image_size))
    parameters = sum(parameter.numel() for parameter in detector.parameters())
    cells = [
        f"`{spec.name}`",
        "×".join(map(str, spec.image_size)),
        ", ".join(map(str, spec.strides)),
        f"{parameters:,}",
        f"{counter.get_total_flops() / 2e9:.2f}",
        spec.input.fit,
        "yes" if spec.name in OFFICIAL else "–",
    ]
    return f"| {' | '.join(cells)} |\n"


def page() -> str:
    """The whole page."""
    return INTRODUCTION + "".join(map(row, CATALOG.values()))


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
