"""Convert models between native checkpoints, darknet's files and effdet's state dicts."""

from collections.abc import Sequence
from pathlib import Path

from ..darknet import WeightsHeader, stored_tensors, write_weights
from ..darknet.edit import edit_cfg
from ..darknet.native import native_cfg, native_tensors
from ..datasets.darknet_files import write_names
from ..detector import Detector
from ..errors import InvalidValue
from ..io import write_file
from ..io.folders import atomic_files, lock_file
from ..specs import CfgSpec, ModelSpec
from .download import Progress
from .effdet import save_effdet
from .load import load_model
from .model import Model
from .native import save_model


def convert_model(
    source: str | Path,
    target: str | Path,
    *,
    model: str | Path | None = None,
    weights: str | Path | None = None,
    names: str | Path | None = None,
    overwrite: bool = False,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> tuple[Path, ...]:
    """Read a model from any format and write it in another.

    Args:
        source: a name, `.cfg`, `.weights`, `.safetensors`, `.pt`, `.pth` or `.npz`.
        target: `x.safetensors`; or `x.weights` or `x.cfg` for the three darknet files x.cfg,
            x.weights and x.names; or `x.pth` for a state dict that effdet loads, without names.
        model: what a `.weights`, `.pt` or `.npz` is for: a name or a `.cfg`. With a name, a `.cfg`
            and its weights become the native model of that name; without, they stay the cfg's
            network.
        weights: of a `.cfg`, if they do not lie beside it.
        names: class names; see `load_model`.
        overwrite: replace files that exist.
        cache, progress: see `load_model`.

    Returns:
        The files written.

    Raises:
        InvalidValue: a target exists, or is of no known format.
        InvalidSpec: darknet has no cfg for the model, or effdet no such network.
        InUse: another process is writing the target.
        ScantlingError: see `load_model` and `save_model`.
    """
    source, target = Path(source), Path(target)
    files = _targets(target)
    _check_new(files, overwrite=overwrite)
    if model is not None:
        if source.suffix == ".cfg":
            weights = source.with_suffix(".weights") if weights is None else weights
        elif weights is not None:
            raise InvalidValue("weights", str(weights), f"none beside {source}: give one of them")
        else:
            weights = source
        source = Path(model)
    with lock_file(files[0]):
        _check_new(files, overwrite=overwrite)  # another process may have written it meanwhile
        loaded = load_model(source, weights=weights, names=names, cache=cache, progress=progress)
        if target.suffix == ".pth":
            save_effdet(loaded, target)
        elif len(files) == 1:
            save_model(loaded, target)
        else:
            save_darknet(loaded, target.with_suffix(".weights"))
    return files


def _check_new(files: Sequence[Path], *, overwrite: bool) -> None:
    existing = [str(path) for path in files if path.exists()]
    if existing and not overwrite:
        raise InvalidValue("target", ", ".join(existing), "files that do not exist yet")


def save_darknet(model: Model, path: str | Path) -> None:
    """Write a model as darknet's three files: `path`, and a `.cfg` and `.names` beside it.

    They appear together, never mixed with older ones.

    Raises:
        InvalidSpec: darknet has no cfg for this network.
        InvalidValue: the network is fused, or a class name cannot stand in a `.names` file.
        CannotWrite: nothing can be written there.
    """
    path = Path(path)
    spec, network = model.spec, model.network
    if isinstance(spec, ModelSpec) and isinstance(network, Detector):
        text, tensors = native_cfg(spec), native_tensors(network, spec)
    elif isinstance(spec, CfgSpec) and not isinstance(network, Detector):
        text, tensors = _loading_all(spec, len(network.layers)), stored_tensors(network)
    else:
        raise InvalidValue("network", type(network).__name__, f"one that {spec.name} describes")
    with atomic_files(path.with_suffix(".cfg"), (".names", path.suffix)) as draft:
        write_names(draft.with_suffix(".names"), model.names)
        write_file(draft, text)
        write_weights(draft.with_suffix(path.suffix), tensors, WeightsHeader(seen=model.seen))


def _loading_all(spec: CfgSpec, layers: int) -> str:
    """The cfg without options that would skip loading weights."""
    skipping = ("dontload", "dontloadscales")
    present = [key for key in skipping if key in spec.cfg]
    if not present:
        return spec.cfg
    return edit_cfg(spec.cfg, {layer: dict.fromkeys(present, 0) for layer in range(layers)})


def _targets(target: Path) -> tuple[Path, ...]:
    if target.suffix in (".safetensors", ".pth"):
        return (target,)
    if target.suffix in (".weights", ".cfg"):
        return tuple(target.with_suffix(suffix) for suffix in (".cfg", ".weights", ".names"))
    raise InvalidValue(
        "target",
        str(target),
        "a file ending in .safetensors, .weights or .cfg, or in .pth for effdet",
    )
