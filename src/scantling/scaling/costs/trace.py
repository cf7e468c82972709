"""Trace a network on meta tensors, and record the cost of every layer.

Nothing is derived from the description of a network, so the costs cannot disagree with it: the
operations are those that torch is asked for, and multiply-accumulates are counted by the formulas
of its own counter, `torch.utils.flop_counter`.
"""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakIdKeyDictionary

from .layer import LayerCost, Shape
from .live_bytes import LiveBytes
from .receptive_field import ReceptiveField
from .torch_operations import (
    FACTORIES,
    field_after_reshape,
    kind_of,
    operation_name,
    receptive_field_of,
    window_of,
)

RESHAPES = frozenset(("view", "reshape", "_unsafe_view"))


@dataclass(frozen=True)
class Trace:
    """Layers, peak activation memory and outputs of a traced run.

    Args:
        layers: in the order of execution.
        peak_bytes: the most activations that existed at once, the input included.
        outputs: what the network returned, as a flat list.
    """

    layers: tuple[LayerCost, ...]
    peak_bytes: int
    outputs: tuple[Tensor, ...]


def trace_module(module: nn.Module, *inputs: Tensor, scale: float = 1.0) -> Trace:
    """Run a module and record the cost of every layer.

    Args:
        module: on any device; on `meta` nothing is computed and no memory taken.
        inputs: on the same device; the first is the image that receptive fields are measured in.
        scale: bytes that every byte of a floating-point value is taken for; 1/4 of float32 is INT8.
    """
    recorder = _Recorder(module, inputs, scale)
    with torch.no_grad(), _named_calls(module, recorder.calls), recorder:
        outputs = module(*inputs)
    found = tuple(leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor))
    return Trace(tuple(recorder.layers), recorder.memory.peak, found)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Dispatch mode that records every operation; torch requires it to be a subclass."""

    def __init__(self, module: nn.Module, inputs: Sequence[Tensor], scale: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.layers: list[LayerCost] = []
        self.memory = LiveBytes()
        self.calls: list[str] = []  # names of the modules that are running, outermost first
        self._scale = scale
        self._image = inputs[0]
        # Of every map its field, and the last shape with rows and columns that it had.
        self._fields: MutableMapping[Tensor, tuple[ReceptiveField, Shape]] = WeakIdKeyDictionary()
        # Of every tensor that follows from the weights alone: the parameters that it follows from.
        self._constants: MutableMapping[Tensor, dict[int, int]] = WeakIdKeyDictionary()
        self._counted: set[int] = set()  # parameters, by id
        for parameter in module.parameters():
            self._constants[parameter] = {id(parameter): parameter.numel()}
        for buffer in module.buffers():
            self._constants[buffer] = {}
        for tensor in (*module.parameters(), *module.buffers()):
            self.memory.ignore(tensor)
        for tensor in inputs:
            self.memory.add(tensor, scale=self._of(tensor))
            self._fields[tensor] = (ReceptiveField(), tuple(tensor.shape))

    def __torch_dispatch__(
        self,
        function: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        name = operation_name(function)
        if name == "native_batch_norm":
            result = _normalise(function, args)
        else:
            result = function(*args, **(kwargs or {}))
        made = [one for one in tree_leaves(result) if isinstance(one, Tensor)]
        for tensor in made:
            self.memory.add(tensor, scale=self._of(tensor))
        if not made:
            return result
        maps = [one for one in given if one not in self._constants]
        if name in FACTORIES or not maps:
            self._note_constants(given, made)
            return result
        self._note_field(name, args, maps, made)
        if not _is_view(function, given, made):
            self._note_layer(function, name, args, given, made)
        return result

    def _note_constants(self, given: Sequence[Tensor], made: Sequence[Tensor]) -> None:
        roots: dict[int, int] = {}
        for tensor in given:
            roots |= self._constants.get(tensor, {})
        for tensor in made:
            self._constants[tensor] = roots

    def _note_field(
        self, name: str, args: tuple[Any, ...], maps: Sequence[Tensor], made: Sequence[Tensor]
    ) -> None:
        known = [self._fields[one] for one in maps if one in self._fields]
        if not known:
            return
        before, shape = known[0]
        field = receptive_field_of(name, args, [one for one, _ in known], made[0])
        if name in RESHAPES:  # the shape that is kept is that before the first reshape
            field = field_after_reshape(before, shape, made[0].shape)
        if made[0].ndim == 4 and (name not in RESHAPES | {"permute", "clone"} or field != before):
            shape = tuple(made[0].shape)
        for tensor in made:
            self._fields[tensor] = (field, shape)

    def _note_layer(
        self,
        function: Any,
        name: str,
        args: tuple[Any, ...],
        given: Sequence[Tensor],
        made: Sequence[Tensor],
    ) -> None:
        maps = _unique(one for one in given if one not in self._constants)
        weights = _unique(one for one in given if one in self._constants)
        written = made[:1]  # what else a norm or pool makes, nobody reads
        kernel = next((one for one in weights if one.ndim > 1), None)
        is_convolution = name == "convolution"
        groups = int(args[8]) if is_convolution else 1
        moved = sum(map(_values, maps)) + sum(one.numel() for one in written)
        held = weights if kernel is None else [kernel]
        field, _ = self._fields.get(made[0], (ReceptiveField(None, None), ()))
        window = window_of(name, args)
        self.layers.append(
            LayerCost(
                name=self.calls[-1] if self.calls else "",
                kind=kind_of(name, kernel, groups),
                operation=name,
                inputs=tuple(tuple(one.shape) for one in maps),
                shape=tuple(made[0].shape),
                kernel=_kernel(args) if is_convolution else window and window[0],
                kernel_stride=window and window[1],
                groups=groups,
                parameters=self._new_parameters(weights),
                macs=_count_macs(function, args, made[0]),
                access=moved + sum(map(_values, held)),
                cio=maps[0].numel() + made[0].numel() if is_convolution else 0,
                channel_product=prod(kernel.shape[:2])
                if is_convolution and kernel is not None
                else 0,
                weight_bytes=self._bytes(weights),
                activation_bytes=self._bytes(maps) + self._bytes(written),
                live_bytes=self.memory.now,
                receptive_field=field.size,
                stride=field.stride,
                sees_all=field.everywhere,
                reads_image=any(one is self._image for one in maps),
            )
        )

    def _new_parameters(self, weights: Sequence[Tensor]) -> int:
        """Parameters behind these tensors that were not counted for an earlier layer."""
        roots: dict[int, int] = {}
        for tensor in weights:
            roots |= self._constants[tensor]
        new = roots.keys() - self._counted
        self._counted |= new
        return sum(roots[key] for key in new)

    def _bytes(self, tensors: Sequence[Tensor]) -> int:
        return sum(
            round(_values(one) * one.element_size() * self._scale)
            for one in tensors
            if one.is_floating_point()
        )

    def _of(self, tensor: Tensor) -> float:
        return self._scale if tensor.is_floating_point() else 1.0


@contextmanager
def _named_calls(module: nn.Module, calls: list[str]) -> Iterator[None]:
    """Keep a stack of the names of the running modules, by forward hooks."""
    handles = []
    for name, part in module.named_modules():

        def enter(*_: object, name: str = name) -> None:
            calls.append(name)

        def leave(*_: object) -> None:
            calls.pop()

        handles.append(part.register_forward_pre_hook(enter))
        handles.append(part.register_forward_hook(leave, always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _normalise(function: Any, args: tuple[Any, ...]) -> Any:
    """Run a batch norm. On `meta`, where torch would take it to pieces, nothing needs to run.

    Returns:
        Its output, and the statistics of the batch, which are empty in evaluation.
    """
    images, training = args[0], args[5]
    if training or not images.is_meta:
        return function(*args)
    return torch.empty_like(images), images.new_empty(0), images.new_empty(0)


def _is_view(function: Any, given: Sequence[Tensor], made: Sequence[Tensor]) -> bool:
    """Whether an operation only made a view of its inputs."""
    if function._schema.is_mutable:
        return False
    storages = {one.untyped_storage()._cdata for one in given}
    return all(one.untyped_storage()._cdata in storages for one in made)


def _count_macs(function: Any, args: tuple[Any, ...], output: Tensor) -> int:
    """Multiply-accumulates of an operation, by the formulas of torch's counter."""
    count = flop_registry.get(function._overloadpacket)
    return 0 if count is None else int(count(*args, out_val=output)) // 2


def _unique(tensors: Any) -> list[Tensor]:
    return list({id(one): one for one in tensors}.values())


def _values(tensor: Tensor) -> int:
    """Number of values in memory; expanded dimensions count once."""
    return min(tensor.numel(), tensor.untyped_storage().nbytes() // tensor.element_size())


def _kernel(args: Sequence[Any]) -> tuple[int, int]:
    height, width = args[1].shape[2:]
    return int(height), int(width)
