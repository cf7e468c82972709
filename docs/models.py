"""Writes docs/models.md: every named model, its numbers from the table that the tests recount."""

from pathlib import Path

from scantling.specs import CATALOG, SIZES, ModelSpec

PAGE = Path(__file__).with_name("models.md")
INTRODUCTION = """\
# Models

Made by `python docs/models.py` from the specs in `src/scantling/specs`: parameters and
multiply-accumulates (MACs, of the convolutions) at the image size and number of classes shown,
which the tests count from the built networks. Every model takes any class count. YOLO models take
any image size, rectangles too, that their coarsest stride divides; EfficientDets take any at all.
`scantling list` shows the same numbers.

`yolov4-csp`, `-p5` and `-p6` are the graphs of darknet's cfg files. `yolov4-p7` and the YOLOs that
end in `-pt` are the graphs of the Scaled-YOLOv4 PyTorch checkpoints, which normalise the CSP blocks
of the neck jointly; the weights of one graph do not fit the other.

EfficientDets are the graphs of the TensorFlow originals (effdet's `tf_…`): the odd pixel of padding
right and below, and biases in front of normalisations. Those that end in `-pt` have neither;
those that end in `-ap` were trained with AdvProp, which scales images to −1…1. Their 90 classes are
COCO's ids, ten of which no image has.

| model | image size | classes | strides | parameters | GMACs | resize mode | official weights |
| --- | --- | ---: | --- | ---: | ---: | --- | --- |
"""


def row(spec: ModelSpec) -> str:
    """One line of the table."""
    size = SIZES[spec.name]
    cells = [
        f"`{spec.name}`",
        "×".join(map(str, spec.image_size)),
        str(spec.num_classes),
        ", ".join(map(str, spec.strides)),
        f"{size.parameters:,}",
        f"{size.macs / 1e9:.2f}",
        spec.input.resize_mode,
        "yes" if size.weights else "–",
    ]
    return f"| {' | '.join(cells)} |\n"


def page() -> str:
    """The whole page."""
    return INTRODUCTION + "".join(map(row, CATALOG.values()))


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
