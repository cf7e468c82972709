"""Which layer of a `.cfg` reads which: references resolved, before anything is built."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from ..errors import nearest_hint
from .cfg import Section
from .options import DETECTION

# Far above every published network; what is larger is a mistake or an attack.
MAX_VALUES = 1 << 29  # of one feature map: 2 GiB in fp32
MAX_WEIGHTS = 1 << 29  # of a network


IMAGE = -1  # the index of what layer 0 reads

# What other packages call an activation → darknet's name. `silu` alone is read as well: forks of
# darknet have it.
ALSO_CALLED = {
    "hardtanh": "hardtan",
    "identity": "linear",
    "leaky_relu": "leaky",
    "leakyrelu": "leaky",
    "lrelu": "leaky",
    "none": "linear",
    "sigmoid": "logistic",
    "silu": "swish",
}


@dataclass(frozen=True)
class Step:
    """One layer in the order of execution.

    Attributes:
        layer: its index; layer 0 is the first section after `[net]`.
        sources: indices of the layers that it reads, IMAGE for the image.
        finished: indices of the outputs that nobody reads after this step.
    """

    layer: int
    sources: tuple[int, ...]
    finished: tuple[int, ...]


def find_sources(sections: Sequence[Section]) -> tuple[tuple[int, ...], ...]:
    """For every layer the indices of the layers that it reads, the previous one first.

    Args:
        sections: of the layers, without `[net]`.

    Raises:
        InvalidCfg: a reference to a layer that does not exist, comes later, or is a detection
            layer, whose output is no feature map.
    """
    sources = tuple(_sources(section, index) for index, section in enumerate(sections))
    for section, read in zip(sections, sources, strict=True):
        for source in read:
            if source != IMAGE and sections[source].kind in DETECTION:
                raise section.error(
                    f"reads layer {source}, a [{sections[source].kind}], which is no feature map",
                    "Read the layer in front of it, with [route] layers=…",
                )
    return sources


def find_predictor(
    sections: Sequence[Section], sources: Sequence[tuple[int, ...]], detection: int
) -> int:
    """The layer whose output a detection layer reads, through layers that only rename it."""
    return _through_aliases(sections, sources, detection)[-1]


def plan(sections: Sequence[Section], sources: Sequence[tuple[int, ...]]) -> tuple[Step, ...]:
    """The layers that a detection layer needs, in order, and when each output can be let go."""
    detection = [index for index, section in enumerate(sections) if section.kind in DETECTION]
    needed = set(detection)
    for layer in range(len(sections) - 1, -1, -1):
        if layer in needed:
            needed.update(sources[layer])
    kept = set(detection)  # the results
    last_reader: dict[int, int] = {}
    for layer in sorted(needed - {IMAGE}):
        last_reader.update(dict.fromkeys(sources[layer], layer))
    finished: dict[int, list[int]] = {}
    for source, reader in last_reader.items():
        if source not in kept:
            finished.setdefault(reader, []).append(source)
    return tuple(
        Step(layer, sources[layer], tuple(sorted(finished.get(layer, ()))))
        for layer in sorted(needed - {IMAGE})
    )


def find_logit_layers(
    sections: Sequence[Section], sources: Sequence[tuple[int, ...]]
) -> dict[int, int]:
    """Detection layers, and for each the convolution whose logistic activation it takes over.

    With `new_coords=1` darknet puts the logistic function into the convolution in front of the
    detection layer, and none into that layer. Nothing else reads the convolution, so the two can
    be exchanged, and raw predictions mean the same in every network.
    """
    readers: dict[int, int] = {}
    for read in sources:
        for source in set(read):
            readers[source] = readers.get(source, 0) + 1
    found: dict[int, int] = {}
    for index, section in enumerate(sections):
        if section.kind != "yolo" or section.integer("new_coords", 0) == 0:
            continue
        chain = [origin for origin in _through_aliases(sections, sources, index) if origin >= 0]
        if not chain:
            continue
        origin = sections[chain[-1]]
        alone = all(readers[layer] == 1 for layer in chain)
        convolution = origin.kind == "convolutional"
        if alone and convolution and origin.word("activation", "logistic") == "logistic":
            found[index] = chain[-1]
    return found


def _through_aliases(
    sections: Sequence[Section], sources: Sequence[tuple[int, ...]], index: int
) -> list[int]:
    """What `index` reads, and what that is another name for, and so on."""
    chain = [sources[index][0]]
    while chain[-1] != IMAGE and _is_alias(sections[chain[-1]], sources[chain[-1]]):
        chain.append(sources[chain[-1]][0])
    return chain


def _is_alias(section: Section, read: tuple[int, ...]) -> bool:
    whole = section.kind == "route" and section.integer("groups", 1, low=1) == 1
    return len(read) == 1 and (whole or section.kind == "empty")


def _sources(section: Section, index: int) -> tuple[int, ...]:
    if section.kind == "route":
        return _references(section, index, "layers")
    if section.kind in ("shortcut", "sam", "scale_channels"):
        read = (index - 1, *_references(section, index, "from"))
        if section.kind != "shortcut" and len(read) != 2:
            raise section.error(
                f"from lists {len(read) - 1} layers", "Name exactly one layer", option="from"
            )
        return read
    return (index - 1,)


def _references(section: Section, index: int, key: str) -> tuple[int, ...]:
    """The layers that an option lists: relative where negative, else absolute."""
    given = section.integers(key)
    if not given:
        raise section.error(f"{key} is missing", f"Name the layers to read: {key}=-1,…")
    resolved = tuple(index + layer if layer < 0 else layer for layer in given)
    for written, layer in zip(given, resolved, strict=True):
        if not 0 <= layer < index:
            raise section.error(
                f"{key} names layer {written}, but this is layer {index}",
                f"Use 0 to {index - 1}, or -1 to -{index}" if index else "Layer 0 has none before",
                option=key,
            )
    if index == 0 and section.kind != "route":
        raise section.error("there is no layer before it", "Begin with a [convolutional]")
    return resolved


@dataclass(frozen=True)
class Shape:
    """A feature map of one image.

    Attributes:
        channels: C.
        height: in cells.
        width: in cells.
        stride: input pixels per cell, (vertical, horizontal).
    """

    channels: int
    height: int
    width: int
    stride: tuple[Fraction, Fraction]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in cells."""
        return self.height, self.width

    def scaled(self, channels: int, height: int, width: int, by: tuple[int, int]) -> "Shape":
        """The map of a layer that reads this one every `by` cells, (vertical, horizontal)."""
        stride = (self.stride[0] * by[0], self.stride[1] * by[1])
        return Shape(channels, height, width, stride)

    def __str__(self) -> str:
        return f"{self.channels}×{self.height}×{self.width}"


def check_shape(section: Section, shape: Shape) -> Shape:
    """`shape`, or an error about the layer that would make it.

    Raises:
        InvalidCfg: it is empty, or larger than any network needs.
    """
    values = shape.channels * shape.height * shape.width
    if min(shape.channels, shape.height, shape.width) < 1:
        raise section.error(
            f"its output would be {shape}", "Use a larger input or smaller strides and kernels"
        )
    if values > MAX_VALUES:
        raise section.error(
            f"its output would be {shape}, {values} values", f"Stay below {MAX_VALUES}"
        )
    return shape


def windows(section: Section, length: int, *, size: int, padding: int, stride: int) -> int:
    """How many windows of `size` fit on `length` cells with `padding` cells in total around them.

    Raises:
        InvalidCfg: not one.
    """
    if length + padding < size:
        raise section.error(
            f"size={size} does not fit on {length} cells with {padding} of padding",
            "Use a larger input or a smaller size",
        )
    return (length + padding - size) // stride + 1


def strides_of(section: Section, default: int) -> tuple[int, int]:
    """(vertical, horizontal) from `stride`, `stride_y` and `stride_x`."""
    stride = section.integer("stride", default, low=1, high=1024)
    return (
        section.integer("stride_y", stride, low=1, high=1024),
        section.integer("stride_x", stride, low=1, high=1024),
    )


def check_weights(section: Section, count: int, left: int) -> None:
    """Refuse a layer with more weights than are `left` to the network.

    Raises:
        InvalidCfg: there are too many.
    """
    if count > left:
        raise section.error(
            f"{count} weights here make more than {MAX_WEIGHTS} in all",
            "Use fewer filters or a smaller size",
        )


def check_same_size(section: Section, shapes: tuple[Shape, ...]) -> None:
    """Refuse maps of different height or width.

    Raises:
        InvalidCfg: shows the shapes.
    """
    if len({shape.size for shape in shapes}) > 1:
        raise section.error(
            f"it joins maps of different sizes: {', '.join(str(shape) for shape in shapes)} "
            "(channels × height × width)",
            "Check the layers it names: there is no image size at which they agree, or few",
        )


def activation_of(section: Section, default: str, known: frozenset[str]) -> str:
    """The name of the section's activation, as darknet has it.

    Raises:
        InvalidCfg: it is not in `known`. Darknet would take `relu` instead.
    """
    name = section.word("activation", default)
    if name == "silu":
        return "swish"
    if name not in known:
        hint = nearest_hint(name.partition("#")[0], known, same_letters=True)
        if name.lower() in ALSO_CALLED:
            hint = f" {name} is called {ALSO_CALLED[name.lower()]} here."
        raise section.error(
            f"activation {name!r} is not supported",
            f"Use one of {', '.join(sorted(known))}.{hint} A comment behind a word counts as part "
            "of it",
            option="activation",
        )
    return name
