"""Find the spec of a model from its name or file, without downloading weights."""

from pathlib import Path

from ...checkpoints import load_model
from ...checkpoints.load import CHECKPOINTS
from ...checkpoints.model import check_network
from ...darknet import read_cfg
from ...engines import is_exported, read_metadata
from ...errors import UnknownName
from ...specs import CATALOG, CfgSpec, ModelSpec, find_spec, is_spec_file


def open_spec(model: str | Path, *, weights: str | Path | None = None) -> ModelSpec | CfgSpec:
    """Read the spec of a model, without its weights.

    Args:
        model: a name of the catalogue; a darknet `.cfg`; a checkpoint; an exported file; or a
            `.json` file with a spec.
        weights: of a name or a cfg, where they differ from it in their number of classes.

    Raises:
        UnknownName: no model and no file has this name.
        InvalidCfg, InvalidCheckpoint, InvalidWeights, InvalidExport, InvalidSpec: the file cannot
            be read, or does not describe a network.
    """
    path = Path(model)
    if weights is not None:
        return load_model(model, weights=weights).spec
    if str(model) in CATALOG:
        return find_spec(str(model))
    if path.suffix.lower() == ".cfg":
        return read_cfg(path)
    if is_spec_file(path):
        spec = find_spec(str(path))
        check_network(spec, str(path))
        return spec
    if is_exported(path):
        return read_metadata(path).spec
    if path.suffix.lower() in CHECKPOINTS:
        return load_model(path).spec
    raise UnknownName("model", str(model), CATALOG)
