"""Run the checks of a data set: all of them, or those that need no image."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ...errors import InvalidData, printable
from ..dataset import Dataset
from ..findings import Finding
from ..image_info import ImageInfo, read_image_info
from ..readers import detect_format, list_splits, read_dataset
from .distribution import check_classes, check_sizes
from .duplicates import MAX_PAIRS, find_duplicates, without_unions
from .image_files import check_images, check_stated_sizes
from .objects import advise_labels, describe_no_objects
from .result import CheckResult, ModelLevels

SHOWN = 10  # errors in the message of a refusal


def check_dataset(
    source: str | Path,
    *,
    format: str | None = None,  # noqa: A002 - what every function of the data calls it
    splits: Sequence[str] | None = None,
    levels: ModelLevels | None = None,
    fast: bool = False,
    cache: Path | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CheckResult:
    """Check the files, labels and images of a data set, class balance, sizes and duplicates.

    Args:
        source: what `read_dataset` takes.
        format: `coco`, `yolo`, `darknet` or `voc`; None to detect it.
        splits: names of those to check; None for all there are.
        levels: of a model that the sizes of the objects are held against.
        fast: decode no image: labels, headers and classes only.
        cache: folder that remembers what is known of images; see `read_image_info`.
        workers: threads that decode; None for one a core.
        progress: told how many images are done, and of how many.

    Returns:
        All findings. A data set so broken that nothing can be read gives findings too.

    Raises:
        InvalidData: there is no data set, or more than one could be meant.
        UnknownName: there is no such split or format.
    """
    datasets, broken = _read_splits(source, format=format, splits=splits)
    infos: dict[Path, ImageInfo] = {}
    others: dict[Finding, Path] = {}
    notes = []
    found = [*broken, *(finding for dataset in datasets for finding in check_quickly(dataset))]
    found += [
        Finding("E115", describe_no_objects(dataset), dataset.source)
        for dataset in datasets
        if len(dataset) and not len(dataset.objects)
    ]
    parts = without_unions(datasets)
    found += check_classes(parts)
    if levels is not None:
        found += check_sizes(parts, levels)
    if fast:
        notes.append("no image was decoded: damage and repetition were not looked for")
    else:
        paths = [image.path for dataset in datasets for image in dataset.images]
        infos = read_image_info(paths, cache=cache, workers=workers, progress=progress)
        found += check_images(datasets, infos)
        found += check_stated_sizes(datasets, infos)
        others, is_complete = find_duplicates(parts, infos)
        found += others
        if not is_complete:
            notes.append(f"more than {MAX_PAIRS:,} pairs look nearly the same; not all are told")
    return CheckResult(
        Path(source),
        format or _format_of(source),
        tuple(datasets),
        tuple(sorted(dict.fromkeys(found), key=_order)),
        infos,
        others,
        levels,
        tuple(notes),
    )


def check_quickly(dataset: Dataset) -> tuple[Finding, ...]:
    """The findings of reading alone, which cost nothing more."""
    return dataset.findings


def require_sound(dataset: Dataset, *, max_errors: int = 0) -> None:
    """Raise an error for a split with more errors than are accepted.

    What an error concerns (an object, an image) is not in the data set: without this, it would be
    left out silently.

    Raises:
        InvalidData: it has more errors; the first are listed with code, file and line.
    """
    errors = [finding for finding in check_quickly(dataset) if finding.is_error]
    count = sum(finding.count for finding in errors)
    if count <= max_errors:
        return
    shown = "\n".join(f"  {printable(finding)}" for finding in errors[:SHOWN])
    more = f"\n  and {count - SHOWN:,} more" if count > SHOWN else ""
    what = "1 error" if count == 1 else f"{count:,} errors"
    raise InvalidData(
        str(dataset.source),
        f"{dataset.split} has {what}, and {max_errors:,} are accepted:\n{shown}{more}\n"
        "What is wrong would be left out",
        f"See all with `scantling data check {dataset.source}`, or accept them with"
        f" --max-data-errors {count}",
        findings=tuple(errors),
    )


def require_objects(dataset: Dataset) -> None:
    """Raise an error for a split in which nothing is labelled: nothing is learnt or judged by it.

    Raises:
        InvalidData: it has no object, or crowds alone; says where the labels were looked for, and
            what lies near.
    """
    if (~dataset.objects.crowd).any():
        return
    problem = describe_no_objects(dataset)
    raise InvalidData(
        str(dataset.source),
        f"E115 {problem}",
        advise_labels(dataset),
        findings=(Finding("E115", problem, dataset.source),),
    )


def _read_splits(
    source: str | Path,
    *,
    format: str | None,  # noqa: A002
    splits: Iterable[str] | None,
) -> tuple[list[Dataset], list[Finding]]:
    """Read the splits; those that cannot be read become findings."""
    datasets: list[Dataset] = []
    findings: list[Finding] = []
    try:
        names = list(list_splits(source, format=format) if splits is None else splits)
    except InvalidData as error:
        return [], _findings_of(error)
    for name in names:
        try:
            datasets.append(read_dataset(source, split=name, format=format))
        except InvalidData as error:
            findings += _findings_of(error)
    return datasets, findings


def _format_of(source: str | Path) -> str:
    """The detected format; empty where detection fails, which is among the findings."""
    try:
        return detect_format(source)
    except InvalidData:
        return ""


def _findings_of(error: InvalidData) -> list[Finding]:
    """The findings of an error; an error without any is raised again."""
    if not error.findings:
        raise error
    return list(error.findings)


def _order(finding: Finding) -> tuple[str, str, int, str]:
    return finding.code, str(finding.file), finding.line or 0, finding.item
