"""Build a chain as a PyTorch module, to time it and to count its operations."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...engines.torch_engine import torch_threads
from ...heads.efficientdet_decoding import decode_efficientdet
from ...heads.yolo_decoding import decode_yolo
from ...specs.level import Level
from ..costs import trace_module
from ..latency.operation_table import (
    OperationRow,
    OperationTable,
    decode_row,
    input_row,
    layer_rows,
    make_table,
)
from .chain import CELL_ANCHORS, ENDS, OFFSET_ANCHORS, Chain, ChainStep

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_ANCHORS = tuple((16.0 * size, 16.0 * size) for size in range(1, OFFSET_ANCHORS + 1))
_CELL_LEVELS, _OFFSET_LEVELS = (
    tuple(Level(stride=8 << n, anchors=anchors, box_coding=coding) for n in range(8))
    for anchors, coding in ((_ANCHORS[:CELL_ANCHORS], "exponential"), (_ANCHORS, "offset"))
)
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "mish": nn.Mish,
    "leaky_relu": lambda: nn.LeakyReLU(0.1),
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
}


class ChainModule(nn.Module):
    """Module of a chain's steps except its decoders; its input is a float map.

    Args:
        chain: to be computed.
    """

    def __init__(self, chain: Chain) -> None:
        super().__init__()
        self.chain = chain
        shapes = chain.shapes()
        self.parts = nn.ModuleDict()
        for place, step in enumerate(chain.steps):
            if step.kind == "conv":
                entering = shapes[step.inputs[0]][0]
                self.parts[str(place)] = nn.Conv2d(
                    entering,
                    step.width,
                    step.kernel,
                    step.stride,
                    padding=0 if step.odd else step.kernel // 2,
                    groups=step.groups,
                )
            elif step.kind in _ACTIVATIONS:
                self.parts[str(place)] = _ACTIVATIONS[step.kind]()

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, C, H, W) → the inputs of the decoders, or the outputs."""
        values = [x]
        for place, step in enumerate(self.chain.steps[1:], start=1):
            given = [values[source] for source in step.inputs]
            values.append(given[0] if step.kind in ENDS else self._step(place, step, given))
        return [values[place] for place in output_places(self.chain)]

    def _step(self, place: int, step: ChainStep, given: list[Tensor]) -> Tensor:
        x = given[0]
        if str(place) in self.parts:
            if step.odd:
                x = F.pad(x, (step.kernel // 2 - 1, step.kernel // 2) * 2)
            made: Tensor = self.parts[str(place)](x)
            return made
        return _OPERATIONS[step.kind](step, given)


def output_places(chain: Chain) -> list[int]:
    """Indices of the steps whose maps are returned, before the decoders."""
    ends = [step for step in chain.steps if step.kind in ENDS]
    return [place for step in ends for place in step.inputs] or list(chain.outputs)


def count_chain(chain: Chain) -> OperationTable:
    """Operation table of a chain, counted on meta tensors as for networks."""
    with torch.device("meta"):
        module = ChainModule(chain).eval()
        x = torch.zeros(1, *chain.size)
    rows = [input_row("image" if chain.steps[0].kind == "image" else "input", 1, *_split(chain))]
    rows += layer_rows(trace_module(module, x).layers, (1, *chain.size))
    return make_table([*rows, *_decode_rows(chain)])


def _split(chain: Chain) -> tuple[int, tuple[int, int]]:
    channels, rows, columns = chain.size
    return channels, (rows, columns)


def _decode_rows(chain: Chain) -> list[OperationRow]:
    shapes = chain.shapes()
    rows: list[OperationRow] = []
    for step in chain.steps:
        if step.kind in ENDS:
            count = len(step.inputs) // (1 if step.kind == "cells" else 2)
            values = (
                CELL_ANCHORS * (5 + step.width)
                if step.kind == "cells"
                else OFFSET_ANCHORS * (4 + step.width)
            )
            levels = step.inputs[:count]
            rows += [decode_row(step.kind, 1, values, shapes[source][1:]) for source in levels]
    return rows


def run_in_torch(chain: Chain, *, precision: str, device: str, threads: int) -> Callable[[], Any]:
    """Return a function that runs the chain once, as `TorchEngine` runs a network."""
    where = torch.device("cuda" if device.startswith("cuda") else "cpu")
    dtype = DTYPES[precision]
    channels, rows, columns = chain.size
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = ChainModule(chain).eval().requires_grad_(False).to(where, dtype)
        pixels = torch.randint(0, 256, (1, rows, columns, channels), dtype=torch.uint8)
    module = module.to(memory_format=torch.channels_last)
    is_image = chain.steps[0].kind == "image"
    given = pixels if is_image else pixels.permute(0, 3, 1, 2).to(where, dtype).div(255)
    mean, std = (torch.full((channels, 1, 1), value, device=where) for value in (0.0, 255.0))

    @torch.inference_mode()
    def run() -> Any:
        x = given
        if is_image:
            x = given.to(where, non_blocking=True).permute(0, 3, 1, 2)
            x = x.to(torch.float32).sub_(mean).div_(std).to(dtype)
        found = _decode(chain, module(x))
        if where.type == "cuda":
            torch.cuda.current_stream(where).synchronize()
        return found

    def run_with_threads() -> Any:
        with torch_threads(threads):
            return run()

    return run if where.type == "cuda" else run_with_threads


def _decode(chain: Chain, raw: list[Tensor]) -> Any:
    end = chain.steps[-1]
    if end.kind == "cells":
        size = (raw[0].shape[2] * 8, raw[0].shape[3] * 8)
        return decode_yolo(raw, _CELL_LEVELS[: len(raw)], size)
    if end.kind == "offsets":
        size = (raw[0].shape[2] * 8, raw[0].shape[3] * 8)
        return decode_efficientdet(raw, _OFFSET_LEVELS[: len(raw) // 2], size)
    return raw


def _weighted(given: list[Tensor]) -> Tensor:
    total = given[0] * 0.5
    for x in given[1:]:
        total = total + x * 0.5
    return total


_OPERATIONS: dict[str, Callable[[ChainStep, list[Tensor]], Tensor]] = {
    "add": lambda _, given: given[0] + given[1],
    "scale": lambda _, given: given[0] * given[1],
    "weighted": lambda _, given: _weighted(given),
    "concat": lambda _, given: torch.cat(given, 1),
    "half": lambda _, given: given[0].chunk(2, 1)[1],
    "mean": lambda _, given: given[0].mean(dim=(2, 3), keepdim=True),
    "pool": lambda step, given: F.max_pool2d(
        given[0], step.kernel, step.stride, step.kernel // 2 if step.kernel % 2 else 0
    ),
    "resize": lambda _, given: F.interpolate(
        given[0], size=[2 * side for side in given[0].shape[2:]], mode="nearest"
    ),
}
