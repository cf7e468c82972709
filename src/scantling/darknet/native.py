"""Native variants in darknet's formats: the cfg of each, and the order of its `.weights`.

The cfg files beside this module are darknet's own, in the public domain; `yolov4-sam-mish.cfg` is
from https://github.com/Tianxiaomo/pytorch-YOLOv4, Apache-2.0.
"""

import re
from collections.abc import Iterator
from importlib.resources import files
from itertools import chain

from torch import Tensor, nn

from ..detector import Detector
from ..errors import InvalidSpec
from ..heads.yolo import YoloHead
from ..heads.yolo_decoding import BOX_VALUES
from ..necks import PathAggregation, TinyFpn
from ..specs import HeadSpec, InputSpec, ModelSpec, NmsSpec
from ..specs.level import Anchor
from .convolution import conv_tensors

HEADS_LAST = frozenset({"yolov4-p5", "yolov4-p6"})
VARIANTS = (
    "yolov4",
    "yolov4-sam-mish",
    "yolov4-csresnext50",
    "yolov4-tiny",
    "yolov4-tiny-3l",
    "yolov4-csp",
    "yolov4x-mish",
    *sorted(HEADS_LAST),
)


def darknet_variant(spec: ModelSpec) -> str:
    """The name of the darknet cfg that describes the same graph as `spec`.

    Names, class counts, image sizes, anchors and NMS may differ; widths, depths and kinds may not.

    Raises:
        InvalidSpec: darknet has no cfg for this graph.
    """
    from ..specs import CATALOG  # late: who runs a cfg needs no catalogue

    for name in VARIANTS:
        if _graph(CATALOG[name]) == _graph(spec):
            return name
    raise InvalidSpec(
        spec.name,
        "darknet has no cfg for this graph",
        f"Only these graphs, with any classes, anchors and image size, have one: "
        f"{', '.join(VARIANTS)}",
    )


def native_tensors(detector: Detector, spec: ModelSpec) -> list[Tensor]:
    """The tensors of a native network in the order of its `.weights` file.

    Raises:
        InvalidSpec: darknet has no cfg for this graph.
    """
    heads_last = darknet_variant(spec) in HEADS_LAST
    parts = _parts_in_file_order(detector, heads_last=heads_last)
    modules = chain.from_iterable(part.modules() for part in parts)
    return list(chain.from_iterable(conv_tensors(module) for module in modules))


def native_cfg(spec: ModelSpec) -> str:
    """The darknet cfg of a native variant, with its own classes, anchors and image size.

    Raises:
        InvalidSpec: darknet has no cfg for this graph.
    """
    from ..specs import CATALOG

    name = darknet_variant(spec)
    published = CATALOG[name]
    text = (files(__package__) / "cfg" / f"{name}.cfg").read_text("utf-8")
    head, *sections = re.split(r"(?m)^(?=\[)", text)
    height, width = spec.image_size
    coarse_first = spec.neck.kind == "tiny-fpn"
    levels = list(range(len(spec.strides)))[:: -1 if coarse_first else 1]

    for index, section in enumerate(sections):
        if section.startswith("[net]"):
            sections[index] = _set(section, width=width, height=height)
            if spec.input.resize_mode != published.input.resize_mode:
                letterbox = int(spec.input.resize_mode == "letterbox")
                sections[index] = _set(sections[index], letter_box=letterbox)
        elif section.startswith("[yolo]"):
            level = levels.pop(0)
            sections[index] = _set(section, classes=spec.num_classes)
            if spec.head.anchors != published.head.anchors:
                sections[index] = _set(sections[index], **_anchor_options(spec.head, level))
            if spec.nms != published.nms:
                kind = "diounms" if spec.nms.kind == "diou" else "default"
                sections[index] = _set(
                    sections[index], nms_kind=kind, beta_nms=f"{spec.nms.beta:g}"
                )
            filters = len(spec.head.anchors[level]) * (BOX_VALUES + spec.num_classes)
            sections[index - 1] = _set(sections[index - 1], filters=filters)
    return head + "".join(sections)


def _graph(spec: ModelSpec) -> ModelSpec:
    """`spec` without what may differ between two networks of one graph."""
    anchor: Anchor = (1.0, 1.0)
    anchors = tuple((anchor,) * len(group) for group in spec.head.anchors)
    return spec.replace(
        name="",
        num_classes=1,
        image_size=spec.strides[-1],
        input=InputSpec(),
        nms=NmsSpec(),
        head=spec.head.replace(anchors=anchors),
    )


def _parts_in_file_order(detector: Detector, *, heads_last: bool) -> Iterator[nn.Module]:
    """Every part, so that its convolutions come in the order of the cfg."""
    backbone, neck, head = detector.backbone, detector.neck, detector.head
    yield backbone
    if not isinstance(head, YoloHead):
        return
    heads = [nn.ModuleList(level) for level in zip(head.hidden, head.predict, strict=True)]
    if isinstance(neck, TinyFpn):
        levels = zip(neck.reduce, neck.expand, reversed(heads), strict=True)
        yield from chain.from_iterable(levels)
    elif isinstance(neck, PathAggregation):
        yield neck.top
        yield neck.top_down
        if heads_last:
            yield neck.bottom_up
            yield from heads
        else:
            yield heads[0]
            yield from chain.from_iterable(zip(neck.bottom_up, heads[1:], strict=True))


def _anchor_options(head: HeadSpec, level: int) -> dict[str, str | int]:
    """`anchors`, `num` and `mask` of one level's section."""
    start = sum(len(group) for group in head.anchors[:level])
    count = len(head.anchors[level])
    boxes = [f"{width:g},{height:g}" for group in head.anchors for width, height in group]
    return {
        "anchors": ",  ".join(boxes),
        "num": len(boxes),
        "mask": ",".join(str(index) for index in range(start, start + count)),
    }


def _set(section: str, **options: str | int) -> str:
    """The text of a section with the first line of each option rewritten, or added at its top."""
    for key, value in options.items():
        line = f"{key}={value}"
        section, found = re.subn(rf"(?m)^{key}\s*=.*$", line, section, count=1)
        if not found:
            section = section.replace("]\n", f"]\n{line}\n", 1)
    return section
