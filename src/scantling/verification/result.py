"""What a verification finds: figures against their limits, faults by name, passed or not."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..io import make_folder, write_file

# Names of faults that more than one comparison can find.
TRANSPOSED = "boxes transposed"
DECODING = "wrong decode scheme"
CLASSES = "classes reordered"
STALE = "stale weights"
LARGEST_SCORE_ERROR = "score error, largest"


@dataclass(frozen=True)
class Figure:
    """One number and what it had to reach.

    Args:
        name: what it measures.
        value: as measured; not a number where there was nothing to measure.
        limit: its tolerance; None for a figure that is for information.
        at_least: it must not be below the limit; else it must not be above.
        unit: `dB`, `px`, `%`, … or nothing.
        error: half of its 95 % interval, where it was estimated.
        usual: the limit of any model, where that of this one is another, because rounding its
            weights to the precision of the file already costs it more.
    """

    name: str
    value: float
    limit: float | None = None
    at_least: bool = True
    unit: str = ""
    error: float | None = None
    usual: float | None = None

    @property
    def holds(self) -> bool:
        """Whether it keeps its limit, as far as its interval can tell. Not a number keeps none."""
        if self.limit is None:
            return True
        slack = self.error if self.error is not None and math.isfinite(self.error) else 0.0
        if self.at_least:
            return self.value + slack >= self.limit
        return self.value - slack <= self.limit

    @property
    def doubt(self) -> str:
        """What its interval leaves open: whether the limit, which lies in it, is kept; or empty."""
        if self.limit is None or self.error is None or not math.isfinite(self.error):
            return ""
        if abs(self.value - self.limit) >= self.error:
            return ""
        low, high = self.value - self.error, self.value + self.error
        return (
            f"whether {self.name} is {self.shown_limit} cannot be told from so few images: the"
            f" interval is {low:.4f} to {high:.4f}; four times as many halve it"
        )

    @property
    def shown(self) -> str:
        """The value with its unit, and half of its interval: `0.0034 ± 0.0051 (95 %)`."""
        value = f"{self.value:.4g}"
        if self.error is not None and math.isfinite(self.error):
            value = f"{self.value:.4f} ± {self.error:.4f} (95 %)"
        return f"{value}{'' if self.unit == '%' else ' '}{self.unit}".rstrip()

    @property
    def shown_limit(self) -> str:
        """`at least 60 dB`; nothing for a figure that is for information."""
        if self.limit is None:
            return ""
        unit = f"{'' if self.unit == '%' else ' '}{self.unit}".rstrip()
        return f"{'at least' if self.at_least else 'at most'} {self.limit:.4g}{unit}"

    @property
    def slack(self) -> float:
        """How far the value is from its limit, as a share of it; the nearest are the smallest."""
        limit = self.limit or 0.0
        return abs(self.value - limit) / max(abs(limit), 1e-9)


@dataclass(frozen=True)
class Stage:
    """One comparison of the file with the model: `metadata`, `tensors`, `boxes` or `ap`.

    Args:
        name: which.
        figures: what was measured.
        compared: on what, in words.
        seconds: how long it took.
    """

    name: str
    figures: tuple[Figure, ...]
    compared: str
    seconds: float = 0.0

    def extended(self, figures: Sequence[Figure], *, seconds: float) -> "Stage":
        """The same with more figures, and how long it took in all."""
        return replace(self, figures=(*self.figures, *figures), seconds=seconds)

    @property
    def passed(self) -> bool:
        """Whether every figure keeps its limit."""
        return all(figure.holds for figure in self.figures)


@dataclass(frozen=True)
class Fault:
    """What is wrong with a file, by its name.

    Args:
        name: a short one, such as `channels swapped`.
        stage: which comparison showed it.
        evidence: why it is this and not something else, in words.
    """

    name: str
    stage: str
    evidence: str


@dataclass(frozen=True)
class Verification:
    """Whether a file is the model that it claims to be.

    Args:
        file: what was verified.
        against: what it was compared with.
        engine: what ran it, in words.
        precision: that it is computed in.
        stages: the comparisons, in order.
        faults: what is wrong, most certain first; empty where nothing is.
        notes: what is worth knowing and no fault.
    """

    file: str
    against: str
    engine: str
    precision: str
    stages: tuple[Stage, ...]
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every stage passed and no fault was found."""
        return not self.faults and all(stage.passed for stage in self.stages)

    def describe(self) -> str:
        """The verdict in a sentence: what was compared, how far off it is, and what was allowed."""
        if not self.passed:
            return f"It is NOT the model: {self.describe_failure()}."
        told = []
        for stage in self.stages:
            limited = [figure for figure in stage.figures if figure.limit is not None]
            # of each comparison the figure that is nearest to its limit
            nearest = min(limited, key=lambda one: one.slack, default=None)
            if nearest is not None:
                told.append(f"{nearest.name} {nearest.shown} ({nearest.shown_limit})")
        told += [
            f"no score differs by more than {figure.value:.2g}"
            for stage in self.stages
            for figure in stage.figures
            if figure.name == LARGEST_SCORE_ERROR
        ]
        if not told:
            return "It is the model: its metadata agree, and nothing else was compared."
        told += [figure.doubt for stage in self.stages for figure in stage.figures if figure.doubt]
        return f"It is the model, within what {self.precision} is allowed: {'; '.join(told)}."

    def describe_failure(self) -> str:
        """What is wrong in one line; empty where nothing is."""
        if self.passed:
            return ""
        if self.faults:
            return "; ".join(f"{fault.name}: {fault.evidence}" for fault in self.faults)
        failed = [
            f"{stage.name}: {figure.name} {figure.value:.4g}{figure.unit}, limit {figure.limit:.4g}"
            for stage in self.stages
            for figure in stage.figures
            if not figure.holds
        ]
        return "; ".join(failed)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; what is not a finite number becomes None."""
        return {
            "file": self.file,
            "against": self.against,
            "engine": self.engine,
            "precision": self.precision,
            "passed": self.passed,
            "faults": [
                {"name": fault.name, "stage": fault.stage, "evidence": fault.evidence}
                for fault in self.faults
            ],
            "stages": [_stage_record(stage) for stage in self.stages],
            "notes": list(self.notes),
        }


def save_verification(verification: Verification, path: Path | None = None) -> Path:
    """Write a verification as JSON.

    Args:
        verification: what `verify` returned.
        path: a file; `verify.json` beside the verified file if None.

    Returns:
        Where it was written.

    Raises:
        CannotWrite: it cannot be written.
    """
    target = Path(verification.file).parent / "verify.json" if path is None else path
    make_folder(target.parent)
    text = json.dumps(verification.to_dict(), indent=2, ensure_ascii=False)
    write_file(target, text + "\n")
    return target


def _stage_record(stage: Stage) -> dict[str, Any]:
    figures = [
        {
            "name": figure.name,
            "value": _finite(figure.value),
            "limit": _finite(figure.limit),
            "at_least": figure.at_least,
            "unit": figure.unit,
            "error": _finite(figure.error),
            "usual_limit": _finite(figure.limit if figure.usual is None else figure.usual),
            "holds": figure.holds,
            "decided": not figure.doubt,
        }
        for figure in stage.figures
    ]
    return {
        "name": stage.name,
        "passed": stage.passed,
        "compared": stage.compared,
        "seconds": round(stage.seconds, 3),
        "figures": figures,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
