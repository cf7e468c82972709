"""What the classes are called when a file does not say, or another file does."""

from pathlib import Path

from ..datasets.darknet_files import read_data, read_names
from ..errors import InvalidValue
from ..specs import CfgSpec, ModelSpec
from ..specs.coco import COCO_ID_NAMES, COCO_NAMES


def default_names(count: int, *, known: tuple[str, ...] = COCO_NAMES) -> tuple[str, ...]:
    """Names for `count` classes that nobody named: `known` if it has as many, else class0, class1…

    Eighty classes are taken for COCO's, as every published detector of this family has those.
    """
    return known if count == len(known) else tuple(f"class{label}" for label in range(count))


def spec_names(spec: ModelSpec | CfgSpec) -> tuple[str, ...]:
    """Names for the classes of a model that nobody named.

    The ninety of an EfficientDet are taken for COCO's ids 1 to 90, as every published one has
    those; see `COCO_ID_NAMES` for the ids without a class.
    """
    by_id = isinstance(spec, ModelSpec) and spec.head.kind == "efficientdet"
    if by_id and spec.num_classes == len(COCO_ID_NAMES):
        return COCO_ID_NAMES
    return default_names(spec.num_classes)


def choose_names(
    path: Path | None, count: int, *, known: tuple[str, ...] = COCO_NAMES
) -> tuple[str, ...]:
    """The names in a `.names`, `.txt` or `.data` file, or default ones.

    Raises:
        InvalidValue: the file has another number of names than the network has classes.
    """
    if path is None:
        return default_names(count, known=known)
    names = read_names(names_file(path))
    if len(names) != count:
        raise InvalidValue(f"The number of class names in {path}", len(names), f"{count}")
    return names


def names_file(path: Path) -> Path:
    """The file with the names: the one that a darknet `.data` file points to, or `path` itself."""
    if path.suffix != ".data":
        return path
    found = read_data(path).names
    if found is None:
        raise InvalidValue(str(path), "without a line names=…", "the path of a .names file in it")
    return found
