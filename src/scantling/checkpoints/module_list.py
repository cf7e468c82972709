"""Read PyTorch checkpoints of networks built from a `.cfg` as a `module_list` of layers.

Their keys are `module_list.{i}.Conv2d.weight`, where i is the layer of the cfg. The code that wrote
them decodes boxes by (2σ)² whatever the cfg says, and normalises with an epsilon of 1e-4.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..darknet import DarknetNetwork, build_cfg_network, stored_tensors
from ..darknet.edit import detection_convolutions, edit_cfg
from ..darknet.native import VARIANTS, native_tensors
from ..detector import Detector, build_detector
from ..errors import InvalidCheckpoint
from ..specs import CATALOG, CfgSpec, InputSpec, ModelSpec, NmsSpec
from ..specs.classes import default_class_names
from .model import Model, build_empty
from .pickle_rules import StoredTensor
from .pickles import PickledModel
from .torch_files import read_tensors

logger = logging.getLogger(__name__)

_KEY = re.compile(r"module_list\.(\d{1,5})\.(Conv2d|BatchNorm2d)\.(\w+)")
_NORM_ORDER = ("bias", "weight", "running_mean", "running_var")  # as in a .weights file
MAX_CLASSES = 100_000
_EPSILON_DIFFERENCE = 1e-4 - 1e-5  # theirs, less darknet's and ours


@dataclass(frozen=True)
class _Entry:
    """A tensor of the file, in darknet's order."""

    key: str
    stored: StoredTensor
    is_variance: bool


def is_module_list(pickled: PickledModel) -> bool:
    """Whether a `.pt` file holds a `module_list` of a cfg's layers."""
    return any(name.startswith("module_list.") for name in pickled.tensors)


def load_module_list(pickled: PickledModel, spec: ModelSpec | CfgSpec | None) -> Model:
    """Load a `.pt` file whose keys are the layers of a cfg.

    Args:
        pickled: the file.
        spec: of which model it is; None to find out from the shapes of its tensors.

    Raises:
        InvalidCheckpoint: its tensors are not those of that model, or of no single known one.
    """
    entries = _in_darknet_order(pickled)
    path = pickled.file.path
    if spec is None:
        spec = _recognise(entries, path)
        logger.info(f"{path} has the layers of {spec.name} with {spec.num_classes} classes")
    elif isinstance(spec, ModelSpec):
        spec = _with_own_classes(entries, spec, path)
    network: Detector | DarknetNetwork
    if isinstance(spec, ModelSpec):
        _refuse_tiny(spec, path)
        darknet_spec, spec = spec, _decoded_by_sigmoid(spec)
        network = build_detector(spec)
        targets = native_tensors(network, darknet_spec)
    else:
        spec = _cfg_decoded_by_sigmoid(spec)
        network = build_cfg_network(spec)
        targets = stored_tensors(network)
    _check_shapes(entries, targets, path)
    _fill(pickled, entries, targets)
    return Model(spec, network.eval(), default_class_names(spec))


def _in_darknet_order(pickled: PickledModel) -> list[_Entry]:
    """Sort the tensors into darknet's order: bias, norm tensors, then the kernel of each layer."""
    layers: dict[int, dict[tuple[str, str], _Entry]] = {}
    for key, stored in pickled.tensors.items():
        found = _KEY.fullmatch(key)
        if not found:
            raise InvalidCheckpoint(
                str(pickled.file.path),
                f"it has a tensor {key[:80]} besides its convolutions",
                "Only networks of convolutions and norms can be read",
            )
        index, part, name = found.groups()
        layers.setdefault(int(index), {})[part, name] = _Entry(key, stored, name == "running_var")
    order = (
        *(("BatchNorm2d", name) for name in _NORM_ORDER),
        ("Conv2d", "bias"),
        ("Conv2d", "weight"),
    )
    return [
        parts[place] for _, parts in sorted(layers.items()) for place in order if place in parts
    ]


def _recognise(entries: Sequence[_Entry], path: Path) -> ModelSpec:
    """Find the model whose convolutions have these shapes in this order."""
    shapes = [entry.stored.shape for entry in entries]
    found = []
    for name in VARIANTS:
        try:
            spec = _with_own_classes(entries, CATALOG[name], path)
        except InvalidCheckpoint:
            continue
        tensors = native_tensors(build_empty(spec), spec)
        if [tuple(tensor.shape) for tensor in tensors] == shapes:
            found.append(spec)
    if len(found) != 1:
        names = " and ".join(spec.name for spec in found) or f"none of {', '.join(VARIANTS)}"
        raise InvalidCheckpoint(
            str(path),
            f"the shapes of its {len(entries)} tensors are those of {names}",
            "Say which model it is: --model NAME --weights FILE.pt, or --model FILE.cfg",
        )
    return found[0]


def _with_own_classes(entries: Sequence[_Entry], spec: ModelSpec, path: Path) -> ModelSpec:
    """The spec for as many classes as the file's first prediction has."""
    anchors = len(spec.head.anchors[0])
    for entry in entries:
        if entry.key.endswith("Conv2d.bias"):
            classes, rest = divmod(entry.stored.shape[0] if entry.stored.shape else 0, anchors)
            if rest == 0 and 5 < classes < 5 + MAX_CLASSES:
                return spec.replace(num_classes=classes - 5)
    raise InvalidCheckpoint(
        str(path),
        f"it has no convolution that predicts {anchors} × (5 + classes) values",
        f"Give a checkpoint of {spec.name}",
    )


def _refuse_tiny(spec: ModelSpec, path: Path) -> None:
    if spec.neck.kind == "tiny-fpn":
        raise InvalidCheckpoint(
            str(path),
            "tiny networks of this kind keep the first half of the channels where darknet's keep "
            "the second",
            "Give the cfg that it was trained with, its routes with groups=2 and group_id=0: "
            "--model FILE.cfg --weights FILE.pt",
        )


def _decoded_by_sigmoid(spec: ModelSpec) -> ModelSpec:
    scale_xy = (2.0,) * len(spec.strides)
    head = spec.head.replace(box_coding="sigmoid", scale_xy=scale_xy)
    return spec.replace(head=head, input=InputSpec(pad_value=114), nms=NmsSpec())


def _cfg_decoded_by_sigmoid(spec: CfgSpec) -> CfgSpec:
    """The cfg with `new_coords` and logistic predictions, as the file's decoding needs."""
    edits: dict[int, dict[str, str | int | float]] = {}
    for detection, convolution in detection_convolutions(spec).items():
        edits[detection] = {"new_coords": 1, "scale_x_y": 2.0}
        edits[convolution] = {"activation": "logistic"}
    text = edit_cfg(spec.cfg, edits)
    return spec.replace(cfg=text, input=InputSpec(pad_value=114), nms=NmsSpec())


def _check_shapes(entries: Sequence[_Entry], targets: Sequence[Tensor], path: Path) -> None:
    if len(entries) != len(targets):
        raise InvalidCheckpoint(
            str(path),
            f"it has {len(entries)} tensors",
            f"Expected {len(targets)}; give the model that it was trained as",
        )
    for entry, target in zip(entries, targets, strict=True):
        dtype = entry.stored.storage.dtype
        if entry.stored.shape != tuple(target.shape) or "float" not in dtype:
            raise InvalidCheckpoint(
                str(path),
                f"{entry.key} is {dtype} of shape {entry.stored.shape}",
                f"Expected numbers of shape {tuple(target.shape)}; give the model that it was "
                "trained as",
            )


@torch.no_grad()
def _fill(pickled: PickledModel, entries: Sequence[_Entry], targets: Sequence[Tensor]) -> None:
    wanted = {entry.key: entry.stored for entry in entries}
    pairs = zip(read_tensors(pickled.file, wanted), entries, targets, strict=True)
    for (_, tensor), entry, target in pairs:
        target.copy_(tensor)
        if entry.is_variance:  # σ² + their epsilon = (σ² + the difference) + our epsilon
            target.add_(_EPSILON_DIFFERENCE)
