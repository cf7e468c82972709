"""Budgets: limits on a model's cost, and the smallest object that it must detect."""

import math
import re
from dataclasses import dataclass

from ...errors import InvalidValue, lookup
from ...heads import HEADS
from ...specs import ModelSpec

# Letters behind a number, and what they multiply it by.
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
BYTES = {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30}
COUNTS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12}
PIXELS = {"": 1.0, "px": 1.0}
_NUMBER = re.compile(
    r"\s*(\d{1,15}(?:\.\d{0,15})?(?:e[+-]?\d{1,2})?)\s*([a-zµ]*)\s*", re.IGNORECASE
)

# The least side of an object, in cells of the finest level. The smallest anchors of the published
# YOLO models have 1.56 (23×27 at stride 16) to 1.86 (13×17 at stride 8).
LEAST_CELLS = 1.5
# EfficientDet's anchors are fixed, and learn from objects that they overlap by half at least: a
# square object must have √½ of the side of the smallest.
LEAST_OF_ANCHOR = math.sqrt(0.5)
USUAL_IMAGE = (480, 640)  # (height, width) of most images of COCO, which published AP is of


@dataclass(frozen=True)
class Budget:
    """Limits on a model's cost; None for no limit.

    Args:
        latency: seconds for one image, network alone; the upper end of its error bar counts.
        memory: bytes of weights and activations.
        parameters: numbers that training changes.
        macs: multiply-accumulates for one image.
        min_object: side in pixels of the camera's image of the smallest object that has to be seen.
        image: (height, width) of the camera's images.
    """

    latency: float | None = None
    memory: float | None = None
    parameters: float | None = None
    macs: float | None = None
    min_object: float | None = None
    image: tuple[int, int] = USUAL_IMAGE

    def __post_init__(self) -> None:
        for name in ("latency", "memory", "parameters", "macs", "min_object"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InvalidValue(name, value, "a number above 0")
        if min(self.image) < 1:
            raise InvalidValue("image", self.image, "(height, width) in pixels")

    @property
    def limits(self) -> dict[str, float]:
        """Limits by constraint; `object` is the smallest object that must be detected."""
        named = {
            "latency": self.latency,
            "memory": self.memory,
            "parameters": self.parameters,
            "MACs": self.macs,
            "object": self.min_object,
        }
        return {name: value for name, value in named.items() if value is not None}


def smallest_object(spec: ModelSpec, side: int, image: tuple[int, int]) -> float:
    """Smallest object that a model can learn to detect: its side in pixels of the camera's image.

    On the network's input it has 1.5 cells of the finest level, and for EfficientDet, whose anchors
    are fixed, √½ of the side of the smallest anchor. The image is fitted into the input by one
    factor, as a letterbox does.

    Args:
        spec: of the architecture.
        side: of the network's square input, pixels.
        image: (height, width) of the camera.
    """
    on_input = LEAST_CELLS * spec.strides[0]
    if not lookup(HEADS, spec.head.kind, "head").fits_anchors:
        smallest = min(math.sqrt(width * height) for width, height in spec.head.anchors[0])
        on_input = max(on_input, LEAST_OF_ANCHOR * smallest)
    return on_input * max(image) / side


def parse_seconds(text: str | None, *, option: str) -> float | None:
    """Parse a time, `12ms` or `0.012s` → 0.012; the unit is required."""
    return _parse(text, SECONDS, option, "a time such as 12ms or 0.012s")


def parse_bytes(text: str | None, *, option: str) -> float | None:
    """Parse a size, `200MB` → 200,000,000; `200MiB` → 209,715,200."""
    return _parse(text, BYTES, option, "a size such as 200MB or 1.5GiB")


def parse_count(text: str | None, *, option: str) -> float | None:
    """Parse a number, `5M` → 5,000,000; `10G` → 10,000,000,000."""
    return _parse(text, COUNTS, option, "a number such as 5M or 10G")


def parse_pixels(text: str | None, *, option: str) -> float | None:
    """Parse pixels, `20px` or `20` → 20."""
    return _parse(text, PIXELS, option, "a size in pixels such as 20px")


def show_value(constraint: str, value: float) -> str:
    """Format the value of a constraint.

    >>> show_value("latency", 0.0123), show_value("memory", 2.5e8), show_value("parameters", 5.2e6)
    ('12.3 ms', '250 MB', '5.2 M')
    """
    if constraint == "latency":
        return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"
    if constraint == "object":
        return f"{value:.3g} px"
    for scale, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            unit = f"{letter}B" if constraint == "memory" else letter
            return f"{value / scale:.3g} {unit}"
    return f"{value:.0f} B" if constraint == "memory" else f"{value:.0f}"


def _parse(text: str | None, units: dict[str, float], option: str, expected: str) -> float | None:
    if text is None:
        return None
    found = _NUMBER.fullmatch(text)
    factor = units.get(found.group(2).lower()) if found else None
    if found is None or factor is None or not float(found.group(1)) > 0:
        raise InvalidValue(option, text, expected)
    return float(found.group(1)) * factor
