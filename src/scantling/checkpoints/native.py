"""Native checkpoints: safetensors with the spec and the class names in the header.

The header's metadata has one entry, `scantling`, which holds JSON: the version of the format, the
spec, its kind, the names, and the images seen in training. Format of the container: https://github.com/huggingface/safetensors.
"""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field, ValidationError, model_validator
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import InvalidCheckpoint, ScantlingError, unreadable
from ..io import atomic_write, find_foreign_file, regular_size
from ..specs import CfgSpec, ModelSpec
from ..specs.catalog import check_proportions
from ..specs.frozen import Frozen
from ..specs.parsing import parse_json
from .files import find_instead
from .model import Model, build_empty, build_from_state, build_network

FORMAT = "scantling"
VERSION = 1
_TYPES = {torch.float32: "F32", torch.int64: "I64"}
# Of the state of a run, which may hold more than a model.
_ALL_TYPES = _TYPES | {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.int16: "I16",
    torch.int32: "I32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float64: "F64",
}


class NativeHeader(Frozen):
    """Metadata of a native checkpoint."""

    version: int
    kind: Literal["model", "cfg"]
    spec: Annotated[ModelSpec | CfgSpec, Field(union_mode="left_to_right")]
    names: tuple[str, ...]
    seen: Annotated[int, Field(ge=0, lt=1 << 64)] = 0

    @model_validator(mode="after")
    def _check(self) -> "NativeHeader":
        if self.kind != self.spec.file_kind:
            raise ValueError(f"the spec is not that of kind {self.kind!r}")
        if len(self.names) != self.spec.num_classes:
            raise ValueError(f"{len(self.names)} names for {self.spec.num_classes} classes")
        return self


def save_model(model: Model, path: str | Path) -> None:
    """Save a model as one self-contained `.safetensors` file.

    The file appears whole or not at all, and is the same byte for byte for the same model.

    Args:
        model: its network must not be fused: what `fuse_norms` folded away cannot be trained.
        path: ends in `.safetensors`.

    Raises:
        InvalidCheckpoint: the network is fused or not in float32, or the path has another suffix.
        CannotWrite: nothing can be written there.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InvalidCheckpoint(
            str(path), f"a native checkpoint cannot end in {path.suffix!r}", "Use .safetensors"
        )
    state = model.network.state_dict()
    _check_state(model, state, path)
    spec = model.spec
    if len(model.names) != spec.num_classes:
        raise InvalidCheckpoint(
            str(path),
            f"{len(model.names)} names for {spec.num_classes} classes",
            "Give one name for each class",
        )
    header = NativeHeader(
        version=VERSION, kind=spec.file_kind, spec=spec, names=model.names, seen=model.seen
    )
    write_safetensors(path, state, {FORMAT: header.model_dump_json()})


def describe_model(model: Model) -> str:
    """The spec and the names of a model, as text of which `build_described` makes it anew."""
    spec = model.spec
    header = NativeHeader(version=VERSION, kind=spec.file_kind, spec=spec, names=model.names)
    return header.model_dump_json()


def build_described(text: str, path: Path) -> Model:
    """A model of fresh weights from what `describe_model` told, which a file holds.

    Raises:
        InvalidCheckpoint: the text describes none.
    """
    header = _read_header({FORMAT: text}, path)
    _empty_network(header.spec, None, path)  # nothing is allocated for what is too large
    return Model(header.spec, build_network(header.spec).train(), header.names)


def is_whole(path: Path) -> bool:
    """Whether there is a safetensors file at a path, as long as its header says."""
    try:
        with safe_open(str(path), framework="pt"):
            return True
    except (OSError, SafetensorError):
        return False


def load_native(path: Path) -> Model:
    """Load a file that `save_model` wrote, to predict or to train on.

    Raises:
        InvalidCheckpoint: it is not such a file, is damaged, or its tensors are not those of its
            spec. Nothing is allocated before that is known.
    """
    try:
        regular_size(path)
        with safe_open(str(path), framework="pt") as file:
            header = _read_header(file.metadata(), path)
            shapes = {
                name: (tuple(part.get_shape()), str(part.get_dtype()))
                for name in file.keys()  # noqa: SIM118 (the file is no dictionary)
                for part in [file.get_slice(name)]
            }
            network = _empty_network(header.spec, len(shapes), path)
            _check_shapes(network, shapes, path)
            state = {name: file.get_tensor(name).clone() for name in shapes}
    except OSError as error:
        raise InvalidCheckpoint(str(path), unreadable(error), find_instead(path)) from error
    except SafetensorError as error:
        foreign = find_foreign_file(path)
        raise InvalidCheckpoint(
            str(path),
            f"it is {foreign}"
            if foreign
            else f"it cannot be read as safetensors ({str(error)[:200]})",
            "Give a file that scantling saved, whole",
        ) from error
    return Model(header.spec, build_from_state(header.spec, state), header.names, header.seen)


def _check_state(model: Model, state: dict[str, Tensor], path: Path) -> None:
    fresh = _empty_network(model.spec, None, path)
    if fresh.state_dict().keys() != state.keys():
        raise InvalidCheckpoint(
            str(path),
            "the network is not the one that its spec describes; its norms were folded",
            "Save the network before fuse_norms",
        )
    for name, tensor in state.items():
        if tensor.dtype not in _TYPES:
            raise InvalidCheckpoint(
                str(path), f"{name} is {tensor.dtype}", "Save the network in torch.float32"
            )


def _read_header(metadata: dict[str, str] | None, path: Path) -> NativeHeader:
    if not metadata or FORMAT not in metadata:
        raise InvalidCheckpoint(
            str(path),
            "it is safetensors, but has no scantling header",
            "Give a file that scantling saved; for other weights, name the model as well",
        )
    try:
        version = parse_json(metadata[FORMAT]).get("version")
        if version != VERSION:
            raise InvalidCheckpoint(
                str(path), f"it has version {version!r} of the format", f"Expected {VERSION}"
            )
        return NativeHeader.model_validate_json(metadata[FORMAT])
    except ValidationError as error:
        problems = "; ".join(f"{_where(e['loc'])}{e['msg']}" for e in error.errors()[:3])
        raise InvalidCheckpoint(
            str(path), f"its header is not valid: {problems}", "Fetch the file again"
        ) from error
    except InvalidCheckpoint:
        raise
    except (ScantlingError, ValueError, AttributeError) as error:
        raise InvalidCheckpoint(
            str(path), f"its header is not valid: {str(error)[:200]}", "Fetch the file again"
        ) from error


def _where(location: tuple[int | str, ...]) -> str:
    return f"{'.'.join(map(str, location))}: " if location else ""


def _empty_network(spec: ModelSpec | CfgSpec, tensors: int | None, path: Path) -> nn.Module:
    """Build the network of a spec on the `meta` device.

    Args:
        tensors: how many tensors there are for it, where the spec is somebody else's; a spec that
            would need more blocks than that is refused before it is built.
    """
    try:
        if tensors is not None and isinstance(spec, ModelSpec):
            check_proportions(spec, spec.name)
            _check_depth(spec, tensors)
        return build_empty(spec)
    except (ScantlingError, ValueError, TypeError, RuntimeError, ArithmeticError) as error:
        raise InvalidCheckpoint(
            str(path), f"its spec describes no network: {str(error)[:300]}", "Fetch the file again"
        ) from error


def _check_depth(spec: ModelSpec, tensors: int) -> None:
    depths = [stage.depth for stage in spec.backbone.stages]
    neck = spec.neck
    depths += [neck.depth * neck.levels, neck.spp_depth or 0, neck.spp_lead or 0, spec.head.depth]
    if sum(depths) > tensors:
        raise ValueError(f"{sum(depths)} blocks, but the file has {tensors} tensors")


def _check_shapes(
    network: nn.Module, shapes: dict[str, tuple[tuple[int, ...], str]], path: Path
) -> None:
    expected = {
        name: (tuple(tensor.shape), _TYPES.get(tensor.dtype, str(tensor.dtype)))
        for name, tensor in network.state_dict().items()
    }
    missing, unexpected = expected.keys() - shapes.keys(), shapes.keys() - expected.keys()
    if missing or unexpected:
        raise InvalidCheckpoint(
            str(path),
            f"{_some(missing)} missing and {_some(unexpected)} not of this network",
            f"Expected the {len(expected)} tensors of its spec",
        )
    for name, (shape, dtype) in shapes.items():
        if (shape, dtype) != expected[name]:
            raise InvalidCheckpoint(
                str(path),
                f"{name} is {dtype} of shape {shape}",
                f"Expected {expected[name][1]} of shape {expected[name][0]}",
            )


def _some(names: set[str]) -> str:
    """Count and first examples, as text."""
    examples = ", ".join(sorted(names)[:3])
    return f"{len(names)} tensors are" + (f" ({examples}, …)" if names else "")


def write_safetensors(path: Path, state: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file, in name order, small types last, whole or not at all.

    Raises:
        CannotWrite: it cannot be written.
    """
    table: dict[str, object] = {"__metadata__": metadata}
    # so that what comes after a byte is no float, which has to begin at a multiple of its size
    tensors = sorted(state.items(), key=lambda one: (one[1].element_size() < 4, one[0]))
    end = 0
    for name, tensor in tensors:
        start, end = end, end + tensor.numel() * tensor.element_size()
        dtype, shape = _ALL_TYPES[tensor.dtype], list(tensor.shape)
        table[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    head = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)

    with atomic_write(path) as part, part.open("wb") as stream:
        stream.write(struct.pack("<Q", len(head)) + head)
        for _, tensor in tensors:
            values = tensor.detach().cpu().contiguous()
            if tensor.dtype == torch.bfloat16:  # which NumPy does not have
                values = values.view(torch.int16)
            array = values.numpy()
            stream.write(array.astype(array.dtype.newbyteorder("<"), copy=False).data)
