"""Load `.pt` and `.pth` files of every known layout."""

import logging
from pathlib import Path

import torch

from ..errors import InvalidCheckpoint
from ..specs import CfgSpec, ModelSpec
from ..specs.classes import default_class_names
from .effdet import is_effdet, load_effdet
from .model import Model, build_empty, build_network
from .module_list import is_module_list, load_module_list
from .pickles import PickledModel, read_pickled_model
from .scaled_yolov4 import is_scaled_yolov4, load_scaled_yolov4
from .torch_files import read_tensors

logger = logging.getLogger(__name__)


def load_pytorch(path: Path, spec: ModelSpec | CfgSpec | None) -> Model:
    """Load a `.pt` or `.pth` file, without running anything in it.

    Four layouts are read: Scaled-YOLOv4's large models, whole or as a state dict; networks built
    from a cfg (`module_list.…`); effdet's EfficientDets; and the state dict of one of our own
    networks.

    Args:
        path: the file.
        spec: which model it is; None where the file itself says enough.

    Raises:
        UnsafeCheckpoint: its pickle asks for more than tensors, containers and inert classes.
        InvalidCheckpoint: it is damaged, or does not hold that model.
    """
    pickled = read_pickled_model(path)
    if is_scaled_yolov4(pickled):
        loaded = load_scaled_yolov4(pickled)
        if spec is not None and loaded.spec.name not in (spec.name, f"{spec.name}-pt"):
            raise InvalidCheckpoint(
                str(path), f"it holds {loaded.spec.name}, not {spec.name}", "Give it alone"
            )
        logger.info(f"{path} is {loaded.spec.name} with {loaded.spec.num_classes} classes")
        return loaded
    if is_module_list(pickled):
        return load_module_list(pickled, spec)
    if is_effdet(pickled):
        if isinstance(spec, CfgSpec):
            raise InvalidCheckpoint(
                str(path), f"it holds an EfficientDet, not {spec.name}", "Give it alone"
            )
        return load_effdet(pickled, spec)
    if spec is None:
        first = ", ".join(name[:60] for name in list(pickled.tensors)[:3])
        raise InvalidCheckpoint(
            str(path),
            f"it does not say which model it is; its {len(pickled.tensors)} tensors begin with "
            f"{first}",
            "Say it: --model NAME --weights FILE.pt",
        )
    return _load_own(pickled, spec)


def _load_own(pickled: PickledModel, spec: ModelSpec | CfgSpec) -> Model:
    """Load a state dict of one of our own networks."""
    expected = {
        name: tuple(tensor.shape) for name, tensor in build_empty(spec).state_dict().items()
    }
    given = {name: stored.shape for name, stored in pickled.tensors.items()}
    different = [name for name in expected.keys() | given if expected.get(name) != given.get(name)]
    if different:
        examples = ", ".join(sorted(name[:60] for name in different)[:3])
        raise InvalidCheckpoint(
            str(pickled.file.path),
            f"{len(different)} of its tensors are missing, unexpected or of another shape "
            f"({examples}, …)",
            f"Expected the {len(expected)} tensors of {spec.name} with {spec.num_classes} classes",
        )
    network = build_network(spec)
    state = network.state_dict()
    with torch.no_grad():
        for name, tensor in read_tensors(pickled.file, pickled.tensors):
            state[name].copy_(tensor)
    return Model(spec, network.eval(), default_class_names(spec))
