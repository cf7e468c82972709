"""Changes to the text of a `.cfg`: single options, everything else kept as its author wrote it."""

from collections.abc import Mapping

from ..errors import InvalidSpec
from ..heads.yolo_decoding import BOX_VALUES
from ..specs import CfgSpec
from ..specs.level import Anchor
from .cfg import Section, parse_cfg
from .describe import count_anchors
from .graph import IMAGE, find_predictor, find_sources
from .options import DETECTION

Edits = Mapping[int, Mapping[str, str | int | float]]  # by layer, by option
NET = -1  # in place of a layer: the section in front of the first


def edit_cfg(text: str, edits: Edits) -> str:
    """The text with some options of some layers set; layer 0 is the first after `[net]`."""
    sections = parse_cfg(text, "cfg")
    lines = text.split("\n")
    added: dict[int, list[str]] = {}
    for layer, options in edits.items():
        section = sections[layer - NET]
        for key, value in options.items():
            if key in section.options:
                lines[section.options[key].line - 1] = f"{key}={value}"
            else:
                added.setdefault(section.line - 1, []).append(f"{key}={value}")
    return "\n".join(
        line for number, old in enumerate(lines) for line in (old, *added.get(number, ()))
    )


def detection_convolutions(spec: CfgSpec) -> dict[int, int]:
    """For every detection layer, the convolution that makes its predictions.

    Raises:
        InvalidSpec: a detection layer reads something else.
    """
    sections = _layers(spec)
    sources = find_sources(sections)
    found = {}
    for index, section in enumerate(sections):
        if section.kind not in DETECTION:
            continue
        layer = find_predictor(sections, sources, index)
        if layer == IMAGE or sections[layer].kind != "convolutional":
            raise InvalidSpec(
                spec.name,
                f"detection layer {index} does not read a convolution",
                "Use a cfg whose detection layers do",
            )
        found[index] = layer
    return found


def with_classes(spec: CfgSpec, count: int) -> CfgSpec:
    """The same network for another number of classes: `filters` change with `classes`.

    Raises:
        InvalidSpec: a detection layer does not read a convolution.
    """
    sections = _layers(spec)
    edits: dict[int, dict[str, int]] = {}
    for detection, convolution in detection_convolutions(spec).items():
        edits[detection] = {"classes": count}
        filters = count_anchors(sections[detection]) * (BOX_VALUES + count)
        edits[convolution] = {"filters": filters}
    return spec.replace(cfg=edit_cfg(spec.cfg, edits), num_classes=count)


def with_anchors(spec: CfgSpec, new: Mapping[Anchor, Anchor]) -> CfgSpec:
    """The same network with other anchors: each by the old one that it replaces.

    Raises:
        InvalidSpec: its anchors are counted in cells.
    """
    edits: dict[int, dict[str, str]] = {}
    for layer, section in enumerate(_layers(spec)):
        if section.kind == "region":
            raise InvalidSpec(
                spec.name, "[region] anchors are counted in cells", "Set anchors.fit=never"
            )
        if section.kind == "yolo":
            numbers = section.numbers("anchors")
            pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
            flat = [f"{side:g}" for pair in pairs for side in new.get(pair, pair)]
            edits[layer] = {"anchors": ",".join(flat)}
    return spec.replace(cfg=edit_cfg(spec.cfg, edits))


def with_image_size(spec: CfgSpec, image_size: tuple[int, int]) -> CfgSpec:
    """The same network for images of another (height, width)."""
    height, width = image_size
    text = edit_cfg(spec.cfg, {NET: {"width": width, "height": height}})
    return spec.replace(cfg=text, image_size=image_size)


def _layers(spec: CfgSpec) -> tuple[Section, ...]:
    return parse_cfg(spec.cfg, f"{spec.name}.cfg")[1:]
