"""The files that a model is loaded from; found without torch."""

from pathlib import Path

from ..errors import printable
from .hub import OFFICIAL

ALONE = (".safetensors", ".pt", ".pth")


def list_model_files(
    model: str | Path,
    *,
    weights: str | Path | None = None,
    names: str | Path | None = None,
    cache: Path,
) -> list[Path] | None:
    """All files that `load_model` reads for the same arguments; the model itself depends on them.

    Args:
        model, weights, names: as of `load_model`.
        cache: folder of downloads.

    Returns:
        None where one of them is missing, or it cannot be told so simply.
    """
    path = Path(model)
    given = None if weights is None else Path(weights)
    named = None if names is None else Path(names)
    suffix = path.suffix.lower()
    if named is not None and named.suffix.lower() == ".data":
        return None  # names another file
    if suffix == ".cfg":
        beside = path.with_suffix(".names")
        named = named or (beside if beside.is_file() else None)
        found = [path, given or path.with_suffix(".weights"), named]
    elif suffix in ALONE and given is None:
        found = [path, named]
    elif str(model) in OFFICIAL and given is None:
        found = [cache / OFFICIAL[str(model)].file_name, named]
    else:
        return None
    files = [one for one in found if one is not None]
    return files if all(one.is_file() for one in files) else None


def find_instead(path: Path) -> str:
    """What to give where a file is not there: of the folder of a run, another model or none yet."""
    others = sorted(one.name for one in path.parent.glob("*.safetensors"))
    models = [name for name in others if name != path.name and name != "state.safetensors"]
    if models:
        return f"In that folder are: {printable(', '.join(models[:10]))}"
    if (path.parent / "metrics.jsonl").exists() or (path.parent / "environment.json").exists():
        return (
            f"{path.parent} is of a training run that ended before it saved a model, which it does"
            " at the end of each epoch and when it is stopped"
        )
    return "Correct the path"
