"""What a `.cfg` file and its detection layers describe, before a network is built. No torch."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from ..errors import InvalidCfg, InvalidValue, unreadable
from ..io import find_foreign, open_regular, split_lines
from ..specs import CfgSpec, InputSpec, NmsSpec
from ..specs.classes import DARKNET_COCO_NAMES, unnamed_classes
from ..specs.frozen import MAX_SIDE
from ..specs.level import MAX_ANCHORS, Anchor, Level
from ..specs.nms import DARKNET_DIOU
from .cfg import MAX_CHARACTERS, Section, parse_cfg
from .options import DETECTION, check_options


def read_cfg(path: str | PathLike[str]) -> CfgSpec:
    """What a `.cfg` file describes: its text, image size and number of classes.

    Raises:
        InvalidCfg: it cannot be read, or something in it is not supported; names line, section
            and option.
    """
    path = Path(path)
    text = _read_text(path)
    net, layers = read_sections(text, str(path))
    letterbox = net.flag("letter_box")
    return CfgSpec(
        name=path.stem,
        cfg=text,
        image_size=(_side(net, "height"), _side(net, "width")),
        num_classes=num_classes_of(net, layers),
        input=InputSpec(resize_mode="letterbox" if letterbox else "stretch"),
        nms=_nms(layers[-1]),
    )


def read_sections(text: str, source: str) -> tuple[Section, tuple[Section, ...]]:
    """`[net]`, and the layers; every option known.

    Raises:
        InvalidCfg: the grammar is broken, or an option is not supported.
    """
    sections = parse_cfg(text, source)
    _check_channels(sections[0])
    check_options(sections)
    return sections[0], sections[1:]


def num_classes_of(net: Section, sections: Sequence[Section]) -> int:
    """The one number of classes of all detection layers.

    Raises:
        InvalidCfg: there is none, or they differ.
    """
    detection = [section for section in sections if section.kind in DETECTION]
    if not detection:
        raise net.error(
            "the cfg has no [yolo] or [region]: it is no detector", "Give a detection cfg"
        )
    first = count_classes(detection[0])
    for section in detection[1:]:
        if count_classes(section) != first:
            raise section.error(
                f"classes={count_classes(section)}, but [{detection[0].kind}] in line "
                f"{detection[0].line} says {first}",
                "Give all detection layers the same classes",
                option="classes",
            )
    return first


def count_classes(section: Section) -> int:
    """How many classes a detection layer has; darknet's default is 20."""
    return section.integer("classes", 20, low=1)


def default_darknet_names(count: int) -> tuple[str, ...]:
    """Default class names of a darknet model: for 80 COCO's as darknet spells them, else class0, ….

    >>> default_darknet_names(2)
    ('class0', 'class1')
    """
    return DARKNET_COCO_NAMES if count == len(DARKNET_COCO_NAMES) else unnamed_classes(count)


def weights_beside(cfg: Path) -> Path:
    """The weights of a `.cfg` for which none are named: those of its name, in its folder.

    Raises:
        InvalidValue: there are none.
    """
    weights = cfg.with_suffix(".weights")
    if not weights.is_file():
        raise InvalidValue("weights", None, f"a file, as there is no {weights}: --weights FILE")
    return weights


def _read_text(path: Path) -> str:
    try:
        with open_regular(path) as file:
            data = file.read(MAX_CHARACTERS + 1)
    except OSError as error:
        raise InvalidCfg(
            str(path), 1, "", unreadable(error), "Give the path of a .cfg file"
        ) from error
    if len(data) > MAX_CHARACTERS:
        raise InvalidCfg(
            str(path), 1, "", f"it is larger than {MAX_CHARACTERS} bytes", "Give a .cfg file"
        )
    foreign = find_foreign(data)
    if foreign is not None:
        raise InvalidCfg(str(path), 1, "", f"it is {foreign}", "Give a .cfg file")
    # comments come in any encoding
    return "\n".join(split_lines(data.decode("utf-8-sig", errors="replace")))


def _side(net: Section, key: str) -> int:
    if key not in net.options:
        raise net.error(f"{key} is missing", f"Write {key}=416 or another multiple of 32")
    return net.integer(key, 0, low=1, high=MAX_SIDE)


def _check_channels(net: Section) -> None:
    channels = net.integer("channels", 3)
    if channels != 3:
        raise net.error(
            f"channels={channels} is not supported: images are RGB here, and weights of a network "
            f"for {channels} channel{'s' * (channels != 1)} cannot be used",
            "Use a network that was trained on RGB. To write channels=3 helps only if it is to be "
            "trained anew: its weights would not fit",
            option="channels",
        )


def _nms(last: Section) -> NmsSpec:
    """What darknet's `test`, `demo` and `map` do, by the last layer: see `diounms_sort` in box.c.

    `greedynms` has an exponent of 0.6, whatever `beta_nms` says; words that darknet does not know
    are refused, where it would go by the IoU alone.

    Raises:
        InvalidCfg: no such kind, or no exponent.
    """
    kinds = {
        "default": NmsSpec(),
        "greedynms": DARKNET_DIOU,
        "diounms": NmsSpec(kind="diou", beta=last.number("beta_nms", 0.6, low=1e-6, high=1e6)),
    }
    kind = last.word("nms_kind", "default") if last.kind == "yolo" else "default"
    if kind not in kinds:
        raise last.error(
            f"nms_kind={kind} is unknown", f"Use one of {', '.join(kinds)}", option="nms_kind"
        )
    return kinds[kind]


def read_level(section: Section, stride: int, *, logits: bool) -> Level:
    """A detection layer from its section.

    Args:
        section: a `[yolo]` or a `[region]`.
        stride: input pixels per cell.
        logits: what it reads was left before its logistic activation.

    Raises:
        InvalidCfg: an option is missing or does not fit the others.
    """
    if section.kind == "region":
        return _read_region(section, stride)
    new_coords = section.flag("new_coords")
    return Level(
        stride=stride,
        anchors=_cell_anchors(section),
        box_coding="sigmoid" if new_coords else "exponential",
        scale_xy=section.number("scale_x_y", 1.0, low=0, high=100),
        activated=new_coords and not logits,
    )


def count_anchors(section: Section) -> int:
    """How many anchors a cell of a detection layer has."""
    return len(_cell_anchors(section))


def _read_region(section: Section, stride: int) -> Level:
    if not section.flag("softmax"):
        raise section.error("it is not supported without softmax=1", "Write softmax=1")
    anchors = _cell_anchors(section)
    count = section.integer("num", 1, low=1)
    if count != len(anchors):
        raise section.error(f"num={count} but {len(anchors)} anchors", "Make them agree")
    return Level(
        stride=stride,
        anchors=tuple((width * stride, height * stride) for width, height in anchors),
        box_coding="exponential",
        class_activation="softmax",
    )


def _cell_anchors(section: Section) -> tuple[Anchor, ...]:
    anchors = _anchors(section) if section.kind == "region" else _masked(section)
    if len(anchors) > MAX_ANCHORS:
        raise section.error(
            f"{len(anchors)} anchors in a cell", f"Use at most {MAX_ANCHORS}", option="anchors"
        )
    return anchors


def _masked(section: Section) -> tuple[Anchor, ...]:
    """The anchors of this level. `num` adds nothing: the list itself says how many there are."""
    anchors = _anchors(section)
    mask = section.integers("mask") or tuple(range(section.integer("num", 1, low=1)))
    for index in mask:
        if not 0 <= index < len(anchors):
            raise section.error(
                f"anchor {index} is asked for, but anchors lists {len(anchors)}",
                f"Use 0 to {len(anchors) - 1} in mask, or list more anchors",
                option="mask",
            )
    return tuple(anchors[index] for index in mask)


def _anchors(section: Section) -> tuple[Anchor, ...]:
    values = section.numbers("anchors")
    if not values or len(values) % 2:
        raise section.error(
            f"anchors lists {len(values)} numbers",
            "Give a width and a height for each anchor",
            option="anchors",
        )
    if min(values) <= 0 or max(values) > 1e6:
        raise section.error("an anchor without size", "Use positive sizes", option="anchors")
    return tuple(zip(values[::2], values[1::2], strict=True))
