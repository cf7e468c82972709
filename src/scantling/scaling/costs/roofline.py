"""Roofline model: lower bound of a layer's time, from peak compute and bandwidth.

Source: Roofline, https://doi.org/10.1145/1498765.1498785.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...datasets.safe_json import read_json
from ...errors import InvalidValue
from .layer import LayerCost, Totals


@dataclass(frozen=True)
class Roofline:
    """Peak compute and memory bandwidth of a device.

    Args:
        macs_per_second: multiply-accumulates.
        bytes_per_second: between the processor and its memory.
        name: of the device.
        precision: in which the first was measured; empty where nobody said.
    """

    macs_per_second: float
    bytes_per_second: float
    name: str = ""
    precision: str = ""

    def __post_init__(self) -> None:
        for what in ("macs_per_second", "bytes_per_second"):
            value = getattr(self, what)
            if not (math.isfinite(value) and value > 0):
                raise InvalidValue(what, value, "a number above 0")

    @property
    def ridge(self) -> float:
        """Ridge point: the arithmetic intensity, in MACs per byte, above which compute limits."""
        return self.macs_per_second / self.bytes_per_second

    def bound(self, cost: LayerCost | Totals) -> Literal["compute", "memory"]:
        """Whether compute or memory limits a layer."""
        return "compute" if cost.intensity >= self.ridge else "memory"

    def seconds(self, cost: LayerCost | Totals) -> float:
        """Lower bound of a layer's seconds: the larger of compute time and memory time."""
        return max(cost.macs / self.macs_per_second, cost.moved_bytes / self.bytes_per_second)

    def reachable(self, intensity: float) -> float:
        """Attainable MACs per second at an arithmetic intensity."""
        return min(self.macs_per_second, intensity * self.bytes_per_second)


def read_roofline(path: str | Path, *, precision: str | None = None) -> Roofline:
    """Read the roofline from a device profile: a JSON file with `peak`.

    `peak` holds `macs_per_second`, `bytes_per_second` and `precision`, or a list of such objects,
    one a precision.

    Args:
        path: of the profile.
        precision: what the costs are counted in.

    Raises:
        InvalidData: the file cannot be read, or is not JSON.
        InvalidValue: it has no peak, or none in this precision.
    """
    path = Path(path)
    content, _ = read_json(path)
    peak = content.get("peak") if isinstance(content, dict) else None
    peaks = [one for one in (peak if isinstance(peak, list) else [peak]) if isinstance(one, dict)]
    fitting = [one for one in peaks if precision in (None, one.get("precision"))]
    if not peaks:
        raise InvalidValue(
            "--device-profile", str(path), 'a profile with "peak": {"macs_per_second": …, …}'
        )
    if not fitting:
        measured = ", ".join(str(one.get("precision"))[:20] for one in peaks[:8])
        raise InvalidValue(
            "--precision", precision, f"what {path.name} was measured in: {measured}"
        )
    values = [fitting[0].get(name) for name in ("macs_per_second", "bytes_per_second")]
    numbers = [
        float(one) for one in values if isinstance(one, int | float) and not isinstance(one, bool)
    ]
    if len(numbers) != len(values):
        raise InvalidValue(f"peak of {path.name}", values, "two numbers")
    macs, moved = numbers
    measured_in = str(fitting[0].get("precision") or "")
    return Roofline(macs, moved, name=path.stem, precision=measured_in)
