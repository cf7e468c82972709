"""The graph of the Scaled-YOLOv4 PyTorch checkpoints, written out of its published description.

An independent second implementation, and the means to pickle it as those checkpoints were pickled:
whole, under class names that no longer exist when the file is read.
"""

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
from torch import nn
from torch.nn import functional as F


class MishCuda(nn.Module):
    def forward(self, x):
        return x * torch.tanh(F.softplus(x))


class Conv(nn.Module):
    def __init__(self, before, width, kernel=1, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(before, width, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.act = MishCuda()

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    def __init__(self, width, shortcut=True, share=0.5):
        super().__init__()
        hidden = int(width * share)
        self.cv1 = Conv(width, hidden)
        self.cv2 = Conv(hidden, width, 3)
        self.add = shortcut

    def forward(self, x):
        return x + self.cv2(self.cv1(x)) if self.add else self.cv2(self.cv1(x))


class BottleneckCSP(nn.Module):
    def __init__(self, width, depth):
        super().__init__()
        half = width // 2
        self.cv1 = Conv(width, half)
        self.cv2 = nn.Conv2d(width, half, 1, bias=False)
        self.cv3 = nn.Conv2d(half, half, 1, bias=False)
        self.cv4 = Conv(width, width)
        self.bn = nn.BatchNorm2d(width)
        self.act = MishCuda()
        self.m = nn.Sequential(*(Bottleneck(half, True, 1.0) for _ in range(depth)))

    def forward(self, x):
        deep = self.cv3(self.m(self.cv1(x)))
        return self.cv4(self.act(self.bn(torch.cat((deep, self.cv2(x)), 1))))


class BottleneckCSP2(nn.Module):
    def __init__(self, before, width, depth):
        super().__init__()
        self.cv1 = Conv(before, width)
        self.cv2 = nn.Conv2d(width, width, 1, bias=False)
        self.cv3 = Conv(2 * width, width)
        self.bn = nn.BatchNorm2d(2 * width)
        self.act = MishCuda()
        self.m = nn.Sequential(*(Bottleneck(width, False, 1.0) for _ in range(depth)))

    def forward(self, x):
        x = self.cv1(x)
        return self.cv3(self.act(self.bn(torch.cat((self.m(x), self.cv2(x)), 1))))


class SPPCSP(nn.Module):
    def __init__(self, before, width):
        super().__init__()
        self.cv1 = Conv(before, width)
        self.cv2 = nn.Conv2d(before, width, 1, bias=False)
        self.cv3 = Conv(width, width, 3)
        self.cv4 = Conv(width, width)
        self.m = nn.ModuleList(nn.MaxPool2d(k, 1, k // 2) for k in (5, 9, 13))
        self.cv5 = Conv(4 * width, width)
        self.cv6 = Conv(width, width, 3)
        self.bn = nn.BatchNorm2d(2 * width)
        self.act = MishCuda()
        self.cv7 = Conv(2 * width, width)

    def forward(self, x):
        inner = self.cv4(self.cv3(self.cv1(x)))
        deep = self.cv6(self.cv5(torch.cat([inner, *(pool(inner) for pool in self.m)], 1)))
        return self.cv7(self.act(self.bn(torch.cat((deep, self.cv2(x)), 1))))


class Concat(nn.Module):
    def forward(self, parts):
        return torch.cat(parts, 1)


class Detect(nn.Module):
    def __init__(self, classes, anchors, widths, strides):
        super().__init__()
        self.nc = classes
        pixels = torch.tensor(anchors, dtype=torch.float32, device="cpu")
        cells = pixels / torch.tensor(strides, device="cpu").view(-1, 1, 1)
        self.register_buffer("anchors", cells)
        self.register_buffer("anchor_grid", pixels.view(len(anchors), 1, -1, 1, 1, 2))
        outputs = pixels.shape[1] * (5 + classes)
        self.m = nn.ModuleList(nn.Conv2d(width, outputs, 1) for width in widths)

    def forward(self, features):
        return [conv(x) for conv, x in zip(self.m, features, strict=True)]


class Model(nn.Module):
    """Layers in a row; `sources` says what each of them reads."""

    def __init__(self, layers, sources, classes, names):
        super().__init__()
        self.model = nn.Sequential(*layers)
        self.sources = sources
        self.nc = classes
        self.names = names
        self.yaml = {"nc": classes, "backbone": [[-1, 1, "Conv", [32, 3, 1]]]}
        self.hyp = {"lr0": 0.01}
        self.gr = 1.0
        self.class_weights = torch.ones(classes, device="cpu")
        self.stride = torch.tensor([8.0, 16.0, 32.0], device="cpu")
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 1e-3
                module.momentum = 0.03

    def forward(self, x):
        outputs = []
        for layer, source in zip(self.model, self.sources, strict=True):
            read = [outputs[i] if i >= 0 else x for i in source]
            x = layer(read if isinstance(layer, (Concat, Detect)) else read[0])
            outputs.append(x)
        return x


@dataclass(frozen=True)
class Shape:
    """The figures of one published variant."""

    stem: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    neck: tuple[int, ...]
    neck_depth: int
    anchors: list
    plain_first: bool = False


def round_up(width):
    return -(-width * 5 // 32) * 8


P5 = Shape(
    32,
    (64, 128, 256, 512, 1024),
    (1, 3, 15, 15, 7),
    (128, 256, 512),
    3,
    [
        [[13, 17], [31, 25], [24, 51], [61, 45]],
        [[48, 102], [119, 96], [97, 189], [217, 184]],
        [[171, 384], [324, 451], [616, 618], [800, 800]],
    ],
)
P6 = Shape(
    32,
    (64, 128, 256, 512, 1024, 1024),
    (1, 3, 15, 15, 7, 7),
    (128, 256, 512, 512),
    3,
    [
        [[13, 17], [31, 25], [24, 51], [61, 45]],
        [[61, 45], [48, 102], [119, 96], [97, 189]],
        [[97, 189], [217, 184], [171, 384], [324, 451]],
        [[324, 451], [545, 357], [616, 618], [1024, 1024]],
    ],
)
P7 = Shape(
    round_up(32),
    tuple(map(round_up, (64, 128, 256, 512, 1024, 1024, 1024))),
    (1, 3, 15, 15, 7, 7, 7),
    tuple(map(round_up, (128, 256, 512, 512, 512))),
    3,
    [
        [[13, 17], [22, 25], [27, 66], [55, 41]],
        [[57, 88], [112, 69], [69, 177], [136, 138]],
        [[136, 138], [287, 114], [134, 275], [268, 248]],
        [[268, 248], [232, 504], [445, 416], [640, 640]],
        [[812, 393], [477, 808], [1070, 908], [1408, 1408]],
    ],
)
CSP = Shape(
    32,
    (64, 128, 256, 512, 1024),
    (1, 2, 8, 8, 4),
    (128, 256, 512),
    2,
    [
        [[12, 16], [19, 36], [40, 28]],
        [[36, 75], [76, 55], [72, 146]],
        [[142, 110], [192, 243], [459, 401]],
    ],
    plain_first=True,
)
SHAPES = {"yolov4-csp": CSP, "yolov4-p5": P5, "yolov4-p6": P6, "yolov4-p7": P7}


def build(shape: Shape, *, classes: int = 80, names=None) -> Model:
    """The network of a variant, with fresh weights."""
    layers, sources = [], []

    def add(layer, *source):
        layers.append(layer)
        sources.append(source or (len(layers) - 2,))
        return len(layers) - 1

    add(Conv(3, shape.stem, 3), -1)
    before, taps = shape.stem, []
    for stage, (width, depth) in enumerate(zip(shape.widths, shape.depths, strict=True)):
        add(Conv(before, width, 3, 2))
        plain = stage == 0 and shape.plain_first
        taps.append(add(Bottleneck(width) if plain else BottleneckCSP(width, depth)))
        before = width

    levels = len(shape.neck)
    down = [add(SPPCSP(before, shape.neck[-1]))]
    for level in reversed(range(levels - 1)):
        width = shape.neck[level]
        add(Conv(shape.neck[level + 1], width))
        up = add(nn.Upsample(scale_factor=2.0))
        tap = len(taps) - levels + level
        lateral = add(Conv(shape.widths[tap], width), taps[tap])
        add(Concat(), lateral, up)
        down.append(add(BottleneckCSP2(2 * width, width, shape.neck_depth)))

    hidden = shape.widths[-levels:]
    last = down.pop()
    heads = [add(Conv(shape.neck[0], hidden[0], 3), last)]
    for level in range(1, levels):
        width = shape.neck[level]
        lower = add(Conv(shape.neck[level - 1], width, 3, 2), last)
        add(Concat(), lower, down.pop())
        last = add(BottleneckCSP2(2 * width, width, shape.neck_depth))
        heads.append(add(Conv(width, hidden[level], 3)))
    strides = [8 * 2**level for level in range(levels)]
    add(Detect(classes, shape.anchors, hidden, strides), *heads)
    return Model(layers, sources, classes, names or [f"kind {k}" for k in range(classes)])


def randomise(network: nn.Module, seed: int) -> None:
    """Weights and statistics that keep activations of order one, so that every part matters."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.1, generator=generator)
            module.bias.data.uniform_(-0.3, 0.3, generator=generator)
            module.running_mean.uniform_(-0.3, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.num_batches_tracked.fill_(7)
        elif isinstance(module, nn.Conv2d):
            fan_in = module.weight[0].numel()
            module.weight.data.normal_(0, (1.5 / fan_in) ** 0.5, generator=generator)
            if module.bias is not None:
                module.bias.data.uniform_(-0.1, 0.1, generator=generator)


def key_hash(state: dict) -> str:
    """sha256 over the names and shapes of a state dict, one line each, sorted."""
    lines = [f"{name}\t{','.join(map(str, value.shape))}\n" for name, value in state.items()]
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


@contextmanager
def old_modules() -> Iterator[None]:
    """The modules that the classes had when the checkpoints were written, for as long as needed."""
    homes = {
        "models.common": (Conv, Bottleneck, BottleneckCSP, BottleneckCSP2, SPPCSP, Concat),
        "models.yolo": (Model, Detect),
        "mish_cuda": (MishCuda,),
    }
    added = {name: ModuleType(name) for name in ("models", *homes)}
    for name, classes in homes.items():
        for found in classes:
            setattr(added[name], found.__name__, found)
            found.__module__ = name
    sys.modules.update(added)
    try:
        yield
    finally:
        for name in added:
            del sys.modules[name]
        for classes in homes.values():
            for found in classes:
                found.__module__ = __name__


def save_whole(network: Model, path: Path, **options) -> None:
    """As the training script left it: the pickled network among other entries."""
    with old_modules():
        torch.save(
            {
                "epoch": -1,
                "best_fitness": 0.5,
                "training_results": None,
                "model": network,
                "optimizer": None,
            },
            path,
            **options,
        )
