"""Load a model by name or from a file, with its weights and class names."""

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from ..darknet import (
    DarknetNetwork,
    build_cfg_network,
    count_floats,
    loaded_tensors,
    read_cfg,
    read_weights,
)
from ..darknet.describe import default_darknet_names, weights_beside
from ..darknet.native import native_tensors
from ..datasets.darknet_files import find_names_file, read_names
from ..detector import Detector, build_detector
from ..errors import InvalidCheckpoint, InvalidValue, InvalidWeights
from ..lazy import import_late
from ..specs import CfgSpec, ModelSpec
from ..specs.metadata import PT2_ADVICE
from .download import Progress
from .model import Model, build_empty, check_network
from .native import load_native

logger = logging.getLogger(__name__)

# Readers of foreign pickles and archives: imported only where there is such a file.
load_automl: Callable[..., Model] = import_late(__package__, "automl", "load_automl")
load_pytorch: Callable[..., Model] = import_late(__package__, "pytorch", "load_pytorch")

CHECKPOINTS = (".safetensors", ".pt", ".pth")
_PARTIAL = re.compile(r"\.conv\.\d+$")  # yolov4-tiny.conv.29: the first 29 layers


@torch.random.fork_rng(devices=[])  # a network is first built with random weights
def load_model(
    model: str | Path,
    *,
    weights: str | Path | None = None,
    names: str | Path | None = None,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> Model:
    """Load a model with its weights, ready to predict.

    Args:
        model: a name of the catalogue, or a `.safetensors`, `.pt`, `.pth` or darknet `.cfg` file;
            or a `.json` with a spec, which needs `weights`.
        weights: for a name or a `.cfg`: darknet `.weights`, `.safetensors` or `.pt`; for the name
            of an EfficientDet, also google/automl's variables as `.npz`. For a name,
            the official weights if None; for a `.cfg`, a `.weights` of the same stem beside it.
        names: class names: a `.names`, `.txt` or `.data` file. If None, those that the checkpoint
            holds, else a `.names` beside the `.cfg`, else COCO's for 80 classes, else class0, ….
        cache: folder for what is downloaded; the user's own if None.
        progress: told the bytes so far and in all of a download.

    Raises:
        UnknownName: no model and no file has this name.
        DownloadFailed: the official weights cannot be fetched.
        InvalidCheckpoint, InvalidWeights, InvalidCfg: a file does not fit; says what was expected.
        InvalidValue: a combination that makes no sense.
    """
    path = Path(model)
    given = Path(weights) if weights is not None else None
    named = Path(names) if names is not None else None
    suffix = path.suffix.lower()
    if suffix == ".pt2":
        problem = "programs of torch.export are no longer read"
        raise InvalidCheckpoint(str(path), problem, PT2_ADVICE)
    if suffix == ".cfg":
        return _load_cfg(path, given, named)
    if suffix in CHECKPOINTS:
        return _load_alone(path, given, named)
    if suffix in (".weights", ".npz"):
        raise InvalidValue(
            "model",
            str(model),
            f"what the weights are for: --model NAME|FILE.cfg --weights {path.name}",
        )
    from ..specs import find_spec, is_spec_file  # late: a file that says all needs no catalogue

    spec = find_spec(str(model))
    if is_spec_file(path):
        _require_weights(path, given)
        check_network(spec, str(path))
    if given is None:
        from .hub import fetch_weights

        given = fetch_weights(spec.name, cache=cache, progress=progress)
    return _load_named(spec, given, named)


def _load_alone(path: Path, weights: Path | None, names: Path | None) -> Model:
    """Load a checkpoint that says what it is."""
    if weights is not None:
        raise InvalidValue(
            "weights", str(weights), f"none: {path} brings its own. Give one of the two"
        )
    native = path.suffix.lower() == ".safetensors"
    return _renamed(load_native(path) if native else load_pytorch(path, None), names)


def _require_weights(path: Path, weights: Path | None) -> None:
    """Raise where a spec file comes without weights."""
    if weights is None:
        raise InvalidValue(
            "weights",
            None,
            f"a file: {path} only says what the model is. Train it first (scantling train {path} "
            "--data …), or give --weights FILE",
        )


def _load_cfg(cfg: Path, weights: Path | None, names: Path | None) -> Model:
    spec = read_cfg(cfg)
    if weights is None:
        weights = weights_beside(cfg)
        logger.info(f"using {weights}, which lies beside the cfg")
    if names is None and cfg.with_suffix(".names").is_file():
        names = cfg.with_suffix(".names")
        logger.info(f"using {names}, which lies beside the cfg")
    if not is_darknet_weights(weights):
        return _renamed(_load_checkpoint(spec, weights), names)
    chosen = _darknet_names(names, spec.num_classes)
    return load_darknet_weights(spec, weights, chosen)


def _load_named(spec: ModelSpec, weights: Path, names: Path | None) -> Model:
    if not is_darknet_weights(weights):
        return _renamed(_load_checkpoint(spec, weights), names)
    if not is_partial_weights(weights):
        classes = count_weight_classes(spec, weights)
        if classes != spec.num_classes:
            logger.info(f"{weights} fits {spec.name} with {classes} classes")
        spec = spec.replace(num_classes=classes)
    chosen = _darknet_names(names, spec.num_classes)
    return load_darknet_weights(spec, weights, chosen)


def load_darknet_weights(spec: ModelSpec | CfgSpec, weights: Path, names: tuple[str, ...]) -> Model:
    """Load a model from darknet weights that may be partial, in evaluation mode.

    Raises:
        InvalidWeights: they do not fit the network of the spec.
        InvalidSpec: darknet has no such network.
    """
    network: Detector | DarknetNetwork
    if isinstance(spec, CfgSpec):
        network = build_cfg_network(spec).eval()
        tensors = loaded_tensors(network)
    else:
        network = build_detector(spec).eval()
        tensors = native_tensors(network, spec)
    header = read_weights(weights, tensors, num_classes=spec.num_classes)
    if is_partial_weights(weights):
        logger.info(f"{weights} holds only the first layers; the others have fresh weights")
    return Model(spec, network, names, header.seen)


def is_darknet_weights(path: Path) -> bool:
    """Whether a file name is that of darknet weights: `x.weights`, or partial `x.conv.29`."""
    return path.suffix.lower() == ".weights" or is_partial_weights(path)


def count_weight_classes(spec: ModelSpec, weights: Path) -> int:
    """Number of classes that a `.weights` file was trained for, from its size.

    Raises:
        InvalidWeights: no number of classes makes the model that large.
    """
    one, two = (_count_floats(spec.replace(num_classes=classes)) for classes in (1, 2))
    classes, rest = divmod(count_floats(weights) - one, two - one)
    if rest or classes < 0:
        own = _count_floats(spec)
        raise InvalidWeights(
            str(weights),
            f"it holds {count_floats(weights)} numbers, which fits {spec.name} with no number of "
            "classes",
            f"Expected {own} for {spec.num_classes} classes; "
            "give the model or the cfg that the weights were trained with",
        )
    return classes + 1


def _count_floats(spec: ModelSpec) -> int:
    return sum(tensor.numel() for tensor in native_tensors(build_empty(spec), spec))


def is_partial_weights(path: Path) -> bool:
    """Whether a file name is that of partial darknet weights, the first layers: `x.conv.29`."""
    return _PARTIAL.search(path.name) is not None


def _load_checkpoint(spec: ModelSpec | CfgSpec, path: Path) -> Model:
    """Load a checkpoint as the weights of a named model or a cfg; its own spec counts."""
    if path.suffix.lower() in (".pt", ".pth"):
        return load_pytorch(path, spec)
    if path.suffix.lower() == ".npz":
        return load_automl(path, spec)
    if path.suffix.lower() != ".safetensors":
        raise InvalidValue("weights", str(path), "a .weights, .safetensors, .pt, .pth or .npz file")
    loaded = load_native(path)
    if isinstance(spec, ModelSpec) and isinstance(loaded.spec, ModelSpec):
        spec = spec.replace(num_classes=loaded.spec.num_classes)
    shapes = {name: tensor.shape for name, tensor in build_empty(spec).state_dict().items()}
    given = {name: tensor.shape for name, tensor in loaded.network.state_dict().items()}
    if shapes != given:
        raise InvalidCheckpoint(
            str(path),
            f"it holds {loaded.spec.name}, not {spec.name}",
            f"Give it alone: --model {path.name}",
        )
    return loaded


def _renamed(model: Model, names: Path | None) -> Model:
    """Replace the class names by those of a file, if one is given."""
    if names is None:
        return model
    return replace(model, names=_read_names(names, model.spec.num_classes))


def _darknet_names(path: Path | None, count: int) -> tuple[str, ...]:
    return default_darknet_names(count) if path is None else _read_names(path, count)


def _read_names(path: Path, count: int) -> tuple[str, ...]:
    """Read class names from a `.names`, `.txt` or `.data` file.

    Raises:
        InvalidValue: the file has another number of names than the network has classes.
    """
    names = read_names(find_names_file(path))
    if len(names) != count:
        raise InvalidValue(f"The number of class names in {path}", len(names), f"{count}")
    return names
