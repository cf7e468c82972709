"""Changes to the text of a `.cfg`: single options, everything else kept as its author wrote it."""

from collections.abc import Mapping, Sequence

from ..darknet import Section, parse_cfg
from ..darknet.graph import IMAGE, find_sources
from ..errors import InvalidSpec
from ..specs import CfgSpec

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
    sections = parse_cfg(spec.cfg, f"{spec.name}.cfg")[1:]
    sources = find_sources(sections)
    found = {}
    for index, section in enumerate(sections):
        if section.kind not in ("yolo", "region"):
            continue
        layer = _origin(sections, sources, index)
        if layer == IMAGE or sections[layer].kind != "convolutional":
            raise InvalidSpec(
                spec.name,
                f"detection layer {index} does not read a convolution",
                "Use a cfg whose detection layers do",
            )
        found[index] = layer
    return found


def _origin(sections: Sequence[Section], sources: Sequence[tuple[int, ...]], index: int) -> int:
    """What a layer reads, through routes that only give another name to it."""
    layer = sources[index][0]
    while layer != IMAGE and sections[layer].kind == "route" and len(sources[layer]) == 1:
        layer = sources[layer][0]
    return layer
