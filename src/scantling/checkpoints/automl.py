"""Read EfficientDets trained with google/automl: TensorFlow variables in an `.npz` file.

Source of the names: https://github.com/google/automl, efficientdet (Apache-2.0).
"""

import logging
import re
import zipfile
import zlib
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..detector import Detector
from ..errors import InvalidCheckpoint, InvalidSpec, unreadable
from ..io import find_foreign_file, open_regular
from ..necks.pyramid import Pyramid
from ..specs import CfgSpec, ModelSpec
from ..specs.classes import default_class_names
from .effdet_layout import effdet_layout
from .model import Model, build_empty, build_from_state
from .pickle_rules import Malformed
from .torch_files import check_directory

logger = logging.getLogger(__name__)

_SHADOW = "/ExponentialMovingAverage"  # of the training; what google/automl evaluates
_SLOT = re.compile(r"(/ExponentialMovingAverage|/Momentum|/Adam(_1)?|/RMSProp(_1)?)$")
_COUNTERS = {"global_step", "beta1_power", "beta2_power"}
_PREDICTS = "class_net/class-predict/bias"
_STEM = "/stem/conv2d/kernel"
_FINEST = 3  # google/automl counts levels by halvings of the image
_HEADER = re.compile(
    r"\{'descr': '([<|][fi][1248])', 'fortran_order': (True|False), 'shape': \(([\d, ]*)\), \}\s*"
)
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LONGEST_HEADER = 1024  # bytes
_TENSORS = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
_BLOCK = {
    "conv_dw.weight": "depthwise_conv2d/depthwise_kernel",
    "conv_pw.weight": "conv2d/kernel",
    "conv_pwl.weight": "conv2d_1/kernel",
    "se.conv_reduce.weight": "se/conv2d/kernel",
    "se.conv_reduce.bias": "se/conv2d/bias",
    "se.conv_expand.weight": "se/conv2d_1/kernel",
    "se.conv_expand.bias": "se/conv2d_1/bias",
}
_SEPARABLE = {
    "conv_dw.weight": "depthwise_kernel",
    "conv_pw.weight": "pointwise_kernel",
    "conv_pw.bias": "bias",
}
_RESAMPLE = {"conv.conv.weight": "conv2d/kernel", "conv.conv.bias": "conv2d/bias"}


class _Header(NamedTuple):
    type: str
    order: bool  # whether the first axis varies fastest
    shape: tuple[int, ...]


def load_automl(path: Path, spec: ModelSpec | CfgSpec) -> Model:
    """Load google/automl's variables as a native model in float32.

    Moving averages of the variables count where the file has them; the optimizer's do not.

    Args:
        path: an `.npz` file with one array a variable, under its TensorFlow name.
        spec: which model it is, for any number of classes.

    Raises:
        InvalidCheckpoint: it is damaged, or its variables are not those of that model.
    """
    source = str(path)
    if isinstance(spec, CfgSpec) or not spec.head.redundant_bias:
        raise InvalidCheckpoint(
            source, f"google/automl has no {spec.name}", "Name an EfficientDet such as d0 or lite0"
        )
    try:
        with open_regular(path) as stream:
            check_directory(stream, path.stat().st_size)
            with zipfile.ZipFile(stream) as archive:
                return _load(archive, spec, source)
    except OSError as error:
        raise InvalidCheckpoint(source, unreadable(error), "Check the path") from error
    except (
        *(Malformed, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError),
        *(RuntimeError, ValueError),
    ) as error:
        with open_regular(path) as file:
            foreign = None if file.read(2) == b"PK" else find_foreign_file(path)
        problem = f"it is {foreign}" if foreign else f"it is damaged ({str(error)[:100]})"
        raise InvalidCheckpoint(source, problem, "Write it anew with numpy.savez") from error


def automl_variables(network: Detector, spec: ModelSpec, backbone: str) -> dict[str, list[str]]:
    """Map our tensor names to TensorFlow's variables; fusions have one for each input.

    Args:
        network: built from `spec`; its norms must not be folded.
        spec: of an EfficientDet.
        backbone: what google/automl calls it: `efficientnet-b0`.

    Raises:
        InvalidSpec: google/automl has no such network.
    """
    blocks: dict[str, int] = {}
    found: dict[str, list[str]] = {}
    for theirs, ours in effdet_layout(network, spec).items():
        if theirs.endswith("num_batches_tracked"):
            continue
        part, _, rest = theirs.partition(".")
        if part == "backbone":
            found[ours] = [f"{backbone}/{_backbone_variable(rest, blocks)}"]
        elif part == "fpn":
            found[ours] = _neck_variables(rest, network)
        else:
            found[ours] = [f"{part}/{_head_variable(rest, part.removesuffix('_net'))}"]
    return found


def _backbone_variable(name: str, blocks: dict[str, int]) -> str:
    """Variable of a backbone tensor; blocks are numbered through all stages."""
    if name == "conv_stem.weight":
        return "stem/conv2d/kernel"
    if name.startswith("bn1."):
        return f"stem/tpu_batch_normalization/{_TENSORS[name[4:]]}"
    _, stage, number, rest = name.split(".", 3)
    block = f"blocks_{blocks.setdefault(f'{stage}.{number}', len(blocks))}"
    if rest in _BLOCK:
        return f"{block}/{_BLOCK[rest]}"
    norm, tensor = rest.split(".")
    suffix = "" if norm == "bn1" else f"_{int(norm[2:]) - 1}"
    return f"{block}/tpu_batch_normalization{suffix}/{_TENSORS[tensor]}"


def _neck_variables(name: str, network: Detector) -> list[str]:
    if name.startswith("resample."):
        _, level, rest = name.split(".", 2)
        return [f"resample_p{_FINEST + int(level)}/{_resample_variable(rest)}"]
    _, cell, _, node, rest = name.split(".", 4)
    neck = network.neck
    if not isinstance(neck, Pyramid):
        raise InvalidSpec(type(neck).__name__, "google/automl has no such neck", "Take a bifpn")
    maps = len(neck.channels) + int(node)  # that the cell has by then
    inputs = neck.get_submodule(f"cells.{cell}").inputs
    sources = inputs[int(node)] if isinstance(inputs, tuple) else ()
    scope = f"fpn_cells/cell_{cell}/fnode{node}"
    if rest == "combine.edge_weights":
        return [f"{scope}/WSM{f'_{place}' if place else ''}" for place in range(len(sources))]
    if rest.startswith("combine.resample."):
        _, _, source, rest = rest.split(".", 3)
        place = sources.index(int(source))
        return [f"{scope}/resample_{place}_{source}_{maps}/{_resample_variable(rest)}"]
    rest = rest.removeprefix("after_combine.conv.")
    tensor = f"conv/{_SEPARABLE[rest]}" if rest in _SEPARABLE else f"bn/{_TENSORS[rest[3:]]}"
    return [f"{scope}/op_after_combine{maps}/{tensor}"]


def _resample_variable(name: str) -> str:
    return _RESAMPLE[name] if name in _RESAMPLE else f"bn/{_TENSORS[name.rpartition('.')[2]]}"


def _head_variable(name: str, net: str) -> str:
    part, rest = name.split(".", 1)
    if part == "predict":
        return f"{net}-predict/{_SEPARABLE[rest]}"
    if part == "conv_rep":
        step, rest = rest.split(".", 1)
        return f"{net}-{step}/{_SEPARABLE[rest]}"
    step, level, _, tensor = rest.split(".")
    return f"{net}-{step}-bn-{_FINEST + int(level)}/{_TENSORS[tensor]}"


def _load(archive: zipfile.ZipFile, spec: ModelSpec, source: str) -> Model:
    entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
    if any(entry.compress_type not in _COMPRESSIONS for entry in entries.values()):
        raise Malformed("NumPy does not compress that way")
    backbones = [name.removesuffix(_STEM) for name in entries if name.endswith(_STEM)]
    if len(backbones) != 1 or _PREDICTS not in entries:
        raise InvalidCheckpoint(
            source,
            f"it lacks efficientnet-…{_STEM} or {_PREDICTS}, so its {len(entries)} arrays are not "
            "google/automl's variables under their own names",
            "Expected one array a variable, called as TensorFlow calls it",
        )
    spec = _with_own_classes(spec, archive, entries[_PREDICTS], source)
    network = build_empty(spec)
    variables = automl_variables(network, spec, backbones[0])
    known = {name for names in variables.values() for name in names}
    for name in sorted(entries.keys() - known - _COUNTERS):
        if _SLOT.sub("", name) not in known:
            raise InvalidCheckpoint(
                source, f"{name[:100]} is no variable of {spec.name}", f"Give one of {spec.name}"
            )
    if missing := sorted(known - entries.keys()):
        raise InvalidCheckpoint(source, f"it lacks {missing[0]}", f"Expected one of {spec.name}")
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    state = {name: torch.zeros((), dtype=torch.int64) for name in shapes}
    for ours, names in variables.items():
        parts = []
        for name in names:
            chosen = name + _SHADOW if name + _SHADOW in entries else name
            with archive.open(entries[chosen]) as stream:
                parts.append(_read_array(stream, name, shapes[ours], source))
        state[ours] = torch.stack(parts) if names[0].endswith("/WSM") else parts[0]
    averaged = sum(name.endswith(_SHADOW) for name in entries)
    logger.info(
        f"{source} is {spec.name} with {spec.num_classes} classes; {averaged} moving averages"
    )
    return Model(spec, build_from_state(spec, state), default_class_names(spec))


def _with_own_classes(
    spec: ModelSpec, archive: zipfile.ZipFile, biases: zipfile.ZipInfo, source: str
) -> ModelSpec:
    """The spec for as many classes as the file predicts."""
    anchors = len(spec.head.anchors[0])
    with archive.open(biases) as stream:
        rows = _read_header(stream, _PREDICTS).shape
    if len(rows) != 1 or rows[0] < anchors or rows[0] % anchors or rows[0] > 10**6:
        raise InvalidCheckpoint(
            source, f"{_PREDICTS} has the shape {rows}", f"Expected {anchors} for each class"
        )
    return spec.replace(num_classes=rows[0] // anchors)


def _read_header(stream: IO[bytes], name: str) -> _Header:
    """Read NumPy's header, without evaluating anything."""
    start = stream.read(10)
    length = int.from_bytes(start[8:10], "little")
    if start[:8] != b"\x93NUMPY\x01\x00" or length > _LONGEST_HEADER:
        raise Malformed(f"{name} is no array of NumPy's format 1.0")
    header = _HEADER.fullmatch(stream.read(length).decode("latin-1"))
    if header is None or header[1] == "|f1":
        raise Malformed(f"{name} is not of floats or integers")
    shape = tuple(int(side) for side in re.findall(r"\d{1,9}", header[3]))
    return _Header(header[1], header[2] == "True", shape)


def _read_array(stream: IO[bytes], name: str, shape: tuple[int, ...], source: str) -> Tensor:
    """Read a variable in our order of axes, and no more bytes than `shape` needs."""
    axes: tuple[int, ...] = tuple(range(len(shape)))  # TensorFlow's, in our order
    if name.endswith("depthwise_kernel"):
        axes = (2, 3, 0, 1)
    elif name.endswith("kernel"):
        axes = (3, 2, 0, 1)
    elif "/WSM" in name:
        shape, axes = (), ()
    expected = tuple(shape[axes.index(axis)] for axis in range(len(axes)))
    header = _read_header(stream, name)
    if header.shape != expected:
        raise InvalidCheckpoint(
            source, f"{name} has the shape {header.shape}, not {expected}", "Name the right model"
        )
    kind = np.dtype(header.type)
    size = kind.itemsize * int(np.prod(shape, dtype=np.int64))
    data = stream.read(size)
    if len(data) != size:
        raise Malformed(f"{name} is cut short")
    array = np.frombuffer(data, kind).reshape(expected, order="F" if header.order else "C")
    return torch.from_numpy(array.transpose(axes).astype(np.float32, order="C"))
