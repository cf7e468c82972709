"""The result of a data set check."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...images.letterbox import ResizeMode
from ..dataset import Dataset
from ..findings import CODES, Finding, count_codes
from ..image_info import ImageInfo


@dataclass(frozen=True)
class ModelLevels:
    """Input size, strides and anchors of a model, to check object sizes against.

    Args:
        name: of the model.
        image_size: (height, width) of its input.
        strides: input pixels a cell, finest level first.
        anchors: (width, height) of each level's, in input pixels; empty for a model whose boxes
            are a multiple of the stride.
        resize_mode: how an image is put onto the input.
    """

    name: str
    image_size: tuple[int, int]
    strides: tuple[int, ...]
    anchors: tuple[tuple[tuple[float, float], ...], ...] = ()
    resize_mode: ResizeMode = "letterbox"


@dataclass(frozen=True, eq=False)
class CheckResult:
    """The findings of a data set check, and the data that they are about.

    Args:
        source: the data set.
        format: `coco`, `yolo`, `darknet` or `voc`; empty where it could not be read at all.
        datasets: its splits, as far as they could be read.
        findings: errors first, by code, then by file and line.
        infos: of every image; empty after a fast check.
        others: of a finding about two images, the other one.
        levels: the model that sizes were held against, if any.
        notes: what was not looked at, and why.
    """

    source: Path
    format: str
    datasets: tuple[Dataset, ...]
    findings: tuple[Finding, ...]
    infos: Mapping[Path, ImageInfo] = field(default_factory=dict)
    others: Mapping[Finding, Path] = field(default_factory=dict)
    levels: ModelLevels | None = None
    notes: tuple[str, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that are errors."""
        return tuple(finding for finding in self.findings if finding.is_error)

    @property
    def error_count(self) -> int:
        """How many errors there are; more than `errors` where a finding stands for many."""
        return sum(finding.count for finding in self.findings if finding.is_error)

    @property
    def warning_count(self) -> int:
        """How many warnings there are, counted as errors are."""
        return sum(finding.count for finding in self.findings if not finding.is_error)


def summarise(result: CheckResult) -> str:
    """`2 errors, 1 warning`."""
    counts = {"error": result.error_count, "warning": result.warning_count}
    return ", ".join(f"{n:,} {what}{'' if n == 1 else 's'}" for what, n in counts.items())


def to_record(result: CheckResult, *, most: int | None = None) -> dict[str, Any]:
    """The result as plain values for JSON.

    Args:
        result: of a check.
        most: findings that are given one by one, errors first; None for all. The counts are of all.
    """
    return {
        "source": str(result.source),
        "format": result.format,
        "splits": [
            {
                "split": dataset.split,
                "images": len(dataset),
                "objects": len(dataset.objects),
                "classes": len(dataset.names),
            }
            for dataset in result.datasets
        ],
        "errors": result.error_count,
        "warnings": result.warning_count,
        "codes": [
            {"code": code, "count": count, "title": CODES[code][0], "advice": CODES[code][1]}
            for code, count in count_codes(result.findings).items()
        ],
        "findings": [finding_to_record(finding, result) for finding in result.findings[:most]],
        "notes": list(result.notes),
    }


def finding_to_record(finding: Finding, result: CheckResult) -> dict[str, Any]:
    """One finding as plain values for JSON."""
    other = result.others.get(finding)
    return {
        "code": finding.code,
        "severity": "error" if finding.is_error else "warning",
        "message": finding.message,
        "file": str(finding.file),
        "line": finding.line,
        "item": finding.item,
        "image": None if finding.image is None else str(finding.image),
        "other": None if other is None else str(other),
    }


def place_in(file: Path, source: Path) -> str:
    """A path relative to the folder of the data set, where it lies in it."""
    folder = source if source.is_dir() else source.parent
    return str(file.relative_to(folder)) if file.is_relative_to(folder) else str(file)
