"""Random chains of the operations that networks of both families are made of.

Widths, cells and repetitions are drawn so that every primitive is seen from the finest map to the
coarsest, alone and beside others, with few weights and with many. No published network is among
them: each is a few blocks behind one another.
"""

from collections.abc import Callable, Iterator

import numpy as np

from .chain import CELL_ANCHORS, OFFSET_ANCHORS, Chain, ChainBuilder

LEAST_MACS, MOST_MACS = 2e7, 1.5e9
MOST_VALUES = 2**23  # of the largest map
STRIDES = (2, 4, 8, 16, 32, 64)
_LEAST_SIDE, _MOST_SIDE = 256, 832  # of the image that a map is thought to be of
_TRIES = 200

Random = np.random.Generator


def draw_chains(seed: int) -> Iterator[Chain]:
    """Chains without end; the same for the same seed.

    The kinds of blocks come in turn, so that any number of chains has as many of each.
    """
    random = np.random.default_rng(seed)
    while True:
        for place in random.permutation(len(WHOLE)):
            yield _fitting(random, WHOLE[place])


def _fitting(random: Random, draw: Callable[[Random], Chain]) -> Chain:
    """Draw a chain whose expected time is neither too short nor too long."""
    for _ in range(_TRIES):
        chain = draw(random)
        largest = max(channels * rows * columns for channels, rows, columns in chain.shapes())
        if LEAST_MACS <= chain_macs(chain) <= MOST_MACS and largest <= MOST_VALUES:
            return chain
    return chain


def chain_macs(chain: Chain) -> int:
    """Multiply-accumulates of a chain's convolutions."""
    shapes, total = chain.shapes(), 0
    for step, (channels, rows, columns) in zip(chain.steps, shapes, strict=True):
        if step.kind == "conv":
            entering = shapes[step.inputs[0]][0]
            total += channels * rows * columns * entering * step.kernel**2 // step.groups
    return total


def _width(random: Random, stride: int, *, thin: bool = False) -> int:
    """Random channel width, larger for smaller maps, as in networks."""
    usual = (10 if thin else 20) * stride**0.75
    width = usual * 2 ** random.uniform(-1.2, 1.4)
    return int(min(1280, max(8, round(width / 8) * 8)))


def _side(random: Random, stride: int) -> int:
    return max(2, round(random.uniform(_LEAST_SIDE, _MOST_SIDE) / stride))


def _activation(random: Random) -> str:
    return str(random.choice(["mish", "mish", "leaky_relu", "silu", "silu", "relu"]))


def _begin(random: Random, name: str, *, thin: bool = False) -> tuple[ChainBuilder, int, int]:
    """Start a chain on a feature map: builder, width, number of blocks."""
    stride = int(random.choice(STRIDES))
    width, side = _width(random, stride, thin=thin), _side(random, stride)
    return ChainBuilder(name, (width, side, side)), width, int(random.integers(2, 9))


def _plain(random: Random) -> Chain:
    """3×3 or 1×1 convolutions, some of them strided, of widths that change."""
    kernel = int(random.choice([1, 3, 3]))
    chain, width, times = _begin(random, f"conv {kernel}×{kernel}")
    activation, x = _activation(random), 0
    for _ in range(times):
        changed = int(max(8, round(width * 2 ** random.uniform(-1, 1) / 8) * 8))
        x = chain.conv(x, min(1280, changed), activation, kernel=kernel)
    return _end(chain, x)


def _down(random: Random) -> Chain:
    """Strided 3×3 convolutions, each followed by a 1×1."""
    stride = int(random.choice([2, 4, 8]))
    width, side = _width(random, stride), _side(random, stride) // 4 * 4
    chain = ChainBuilder("strided conv", (width, side, side))
    activation, x, odd = _activation(random), 0, bool(random.integers(2))
    for _ in range(2):
        x = chain.conv(x, min(1024, 2 * width), activation, kernel=3, stride=2, odd=odd)
        x = chain.conv(x, width, activation)
    return _end(chain, x)


def _residual(random: Random) -> Chain:
    """Darknet residual blocks, with or without a CSP stage around them."""
    chain, width, times = _begin(random, "residual")
    activation = _activation(random)
    partial = bool(random.integers(2))
    bypass = chain.conv(0, width, activation) if partial else 0
    x = chain.conv(0, width, activation)
    hidden = width if random.integers(2) else max(8, width // 2)
    for _ in range(times):
        inner = chain.conv(x, hidden, activation)
        x = chain.add("add", x, chain.conv(inner, width, activation, kernel=3))
    if partial:
        x = chain.add("concat", chain.conv(x, width, activation), bypass)
        x = chain.conv(x, 2 * width, activation)
    return _end(chain, x)


def _osa(random: Random) -> Chain:
    """One-shot aggregation as in YOLOv4-tiny: half of the channels, concatenations, a max-pool."""
    chain, width, times = _begin(random, "osa")
    width, x, activation = max(16, width // 16 * 16), 0, "leaky_relu"
    for _ in range(max(1, times // 3)):
        entered = chain.conv(x, width, activation, kernel=3)
        first = chain.conv(chain.add("half", entered), width // 2, activation, kernel=3)
        second = chain.conv(first, width // 2, activation, kernel=3)
        merged = chain.conv(chain.add("concat", second, first), width, activation)
        x = chain.add("concat", entered, merged)
    if min(chain.shapes[x][1:]) > 3:
        x = chain.add("pool", x, kernel=2, stride=2)
    return _end(chain, x)


def _inverted(random: Random) -> Chain:
    """EfficientNet's inverted residuals, with or without squeeze-and-excitation."""
    chain, width, times = _begin(random, "mbconv", thin=True)
    kernel, expand = int(random.choice([3, 5])), int(random.choice([1, 4, 6, 6]))
    squeeze, x = bool(random.integers(4)), 0
    strided = bool(random.integers(2))
    for turn in range(max(2, times // 2)):
        inner = chain.conv(x, width * expand, "silu") if expand > 1 else x
        stride = 2 if strided and turn == 0 and chain.shapes[x][1] >= 8 else 1
        even = chain.shapes[x][1] % 2 == 0
        inner = chain.conv(
            *(inner, width * expand, "silu"),
            kernel=kernel,
            stride=stride,
            groups=width * expand,
            odd=stride == 2 and even,
        )
        if squeeze:
            pooled = chain.conv(chain.add("mean", inner), max(1, width // 4), "silu")
            scale = chain.conv(pooled, width * expand, "sigmoid")
            inner = chain.add("scale", inner, scale)
        inner = chain.conv(inner, width, None)
        x = inner if stride == 2 else chain.add("add", inner, x)
    return _end(chain, x)


def _separable(random: Random) -> Chain:
    """Separable convolutions on up to five levels, as in EfficientDet's heads."""
    chain, width, times = _begin(random, "separable")
    width, x = min(width, 384), chain.conv(0, min(width, 384), None)
    for _ in range(times):
        x = chain.conv(x, width, None, kernel=3, groups=width)
        x = chain.conv(x, width, "silu")
    return _end(chain, x)


def _pyramid(random: Random) -> Chain:
    """BiFPN nodes: weighted sums of resized or max-pooled maps."""
    chain, width, times = _begin(random, "weighted sum", thin=True)
    width = min(max(width, 32), 384)
    fine = chain.conv(0, width, None)
    for _ in range(max(1, times // 2)):
        coarse = chain.add("pool", fine, kernel=3, stride=2)
        raised = chain.add("resize", coarse)
        maps = [raised, fine] if chain.shapes[raised] == chain.shapes[fine] else [fine, fine]
        inner = chain.add("silu", chain.add("weighted", *maps))
        inner = chain.conv(inner, width, None, kernel=3, groups=width)
        fine = chain.conv(inner, width, None)
        low = chain.add(
            "silu", chain.add("weighted", coarse, chain.add("pool", fine, kernel=3, stride=2))
        )
        low = chain.conv(low, width, None, kernel=3, groups=width)
        low = chain.conv(low, width, None)
        if chain.shapes[raised] == chain.shapes[fine]:
            fine = chain.add("silu", chain.add("weighted", fine, chain.add("resize", low), raised))
            fine = chain.conv(fine, width, None, kernel=3, groups=width)
            fine = chain.conv(fine, width, None)
    return _end(chain, fine)


def _context(random: Random) -> Chain:
    """Spatial pyramid pooling between 1×1 convolutions."""
    stride = int(random.choice([16, 32, 64]))
    width, side = _width(random, stride), _side(random, stride)
    chain, activation = ChainBuilder("spp", (width, side, side)), _activation(random)
    x = chain.conv(0, width, activation)
    pooled = [chain.add("pool", x, kernel=kernel) for kernel in (5, 9, 13)]
    x = chain.conv(chain.add("concat", *pooled, x), width, activation)
    return _end(chain, chain.conv(x, width, activation, kernel=3))


def _path(random: Random) -> Chain:
    """Top-down path: 1×1, upsampling, concatenation with a lateral 1×1, then 1×1 and 3×3."""
    chain, width, times = _begin(random, "path")
    activation = _activation(random)
    fine = chain.conv(0, width, activation)
    coarse = chain.conv(fine, min(1024, 2 * width), activation, kernel=3, stride=2)
    raised = chain.add("resize", chain.conv(coarse, width, activation))
    if chain.shapes[raised] != chain.shapes[fine]:
        raised = fine
    x = chain.add("concat", chain.conv(fine, width, activation), raised)
    for _ in range(max(1, times // 3)):
        x = chain.conv(x, width, activation)
        x = chain.conv(x, width, activation, kernel=3)
    return _end(chain, x)


def _grouped(random: Random) -> Chain:
    """ResNeXt blocks, with a grouped 3×3 convolution."""
    chain, width, times = _begin(random, "grouped conv")
    groups = int(random.choice([8, 16, 32]))
    hidden, activation = max(groups * 4, width // groups * groups), _activation(random)
    x = chain.conv(0, width, activation)
    for _ in range(max(2, times // 2)):
        inner = chain.conv(x, hidden, activation)
        inner = chain.conv(inner, hidden, activation, kernel=3, groups=groups)
        x = chain.add("add", chain.conv(inner, width, None), x)
    return _end(chain, x)


def _image(random: Random) -> Chain:
    """Network stem: the image and the first convolutions."""
    side = int(random.integers(4, 22)) * 32
    chain = ChainBuilder("image", (3, side, side), kind="image")
    width, activation = int(random.integers(2, 9)) * 8, _activation(random)
    stride = int(random.choice([1, 2, 2]))
    x = chain.conv(
        0, width, activation, kernel=3, stride=stride, odd=bool(random.integers(2)) and stride == 2
    )
    x = chain.conv(x, 2 * width, activation, kernel=3, stride=2)
    return _end(chain, chain.conv(x, width, activation))


def _cells(random: Random) -> Chain:
    """Prediction convolutions of YOLO levels, and decoding."""
    return _decoded(random, "cells", int(random.integers(2, 4)))


def _offsets(random: Random) -> Chain:
    """Prediction convolutions of EfficientDet levels, and decoding."""
    return _decoded(random, "offsets", int(random.integers(3, 6)))


def _decoded(random: Random, kind: str, levels: int) -> Chain:
    width, classes = int(random.integers(4, 33)) * 8, int(random.choice([2, 20, 80, 80]))
    side = max(8, round(random.uniform(256, 640) / 8))
    side = side >> (levels - 1) << (levels - 1) or 1 << (levels - 1)
    chain = ChainBuilder(kind, (width, side, side))
    maps = [chain.conv(0, width, "silu")]
    for _ in range(levels - 1):
        maps.append(chain.conv(maps[-1], width, "silu", stride=2, kernel=3))
    values = (
        [CELL_ANCHORS * (5 + classes)]
        if kind == "cells"
        else [OFFSET_ANCHORS * classes, OFFSET_ANCHORS * 4]
    )
    raw = [chain.conv(x, width_out, None) for width_out in values for x in maps]
    chain.add(kind, *raw, width=classes)
    return chain.build()


def _deep(random: Random) -> Chain:
    """Wide convolutions on small maps, dominated by weight traffic."""
    side, width = int(random.integers(3, 26)), int(random.integers(16, 129)) * 8
    chain, activation = ChainBuilder("deep", (width, side, side)), _activation(random)
    x = 0
    for _ in range(int(random.integers(2, 9))):
        x = chain.conv(x, max(8, width // 16 * 8), activation)
        x = chain.conv(x, width, activation, kernel=3)
    return _end(chain, x)


def _end(chain: ChainBuilder, x: int) -> Chain:
    """Close the chain with a global mean, so that its output is small."""
    chain.add("mean", x)
    return chain.build()


WHOLE: tuple[Callable[[Random], Chain], ...] = (
    *(_plain, _plain, _plain, _down, _residual, _residual, _osa, _inverted, _inverted),
    *(_separable, _separable, _pyramid, _pyramid, _context, _path, _path, _grouped),
    *(_image, _cells, _offsets, _deep, _deep),
)
