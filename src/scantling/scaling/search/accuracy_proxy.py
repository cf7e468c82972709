"""Accuracy proxy that ranks candidates, fitted to published results.

Receptive field and resolution come first: an object helps only as far as the network sees it, and a
cell in a corner of the image sees all of it once its field is twice as large as the image. Width
and depth come second. The weights are fitted to published models of both families. The result
ranks; it predicts no AP, which also depends on data and training.

Source: Scaled-YOLOv4, https://arxiv.org/abs/2011.08036, section 3.3; EfficientDet,
https://arxiv.org/abs/1911.09070, section 4.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ..costs import NetworkCost
from .published_results import PUBLISHED_RESULTS, PublishedResult

FEATURES = ("seen", "side", "width", "depth")
REFERENCE = ("yolov4-csp", 640)  # whose accuracy proxy is 100
LOWEST = 1e-9


Values = NDArray[np.float64]


@dataclass(frozen=True)
class AccuracyProxy:
    """Fitted weights of the features, none negative, and the residuals of the fit.

    Args:
        weights: one for each of `FEATURES`, in points of AP for each doubling.
        offset: AP where all features are 0.
        points: how many published models it was fitted to.
        residual: root mean square of what it misses, in AP.
        worst: what it misses at most, in AP.
    """

    weights: tuple[float, ...]
    offset: float
    points: int
    residual: float
    worst: float

    def describe(self) -> str:
        """Quality of the fit, in one sentence."""
        return (
            f"fits {self.points} published points to ±{self.residual:.1f} AP "
            f"({self.worst:.1f} at most); it ranks, it predicts no AP"
        )


@dataclass(frozen=True)
class ProxyInputs:
    """Properties of an architecture that the proxy depends on.

    Args:
        field: receptive field of the coarsest level, pixels.
        macs: multiply-accumulates for each pixel of the image.
        convolutions: larger than 1×1, before the head.
    """

    field: int
    macs: float
    convolutions: int


def proxy_inputs(cost: NetworkCost, field: int) -> ProxyInputs:
    """Compute the proxy's inputs from counted costs.

    Args:
        cost: of the network, at any size.
        field: its receptive field, pixels.
    """
    height, width = cost.image_size
    large = [
        one
        for one in cost.layers
        if one.is_convolution and max(one.kernel or (1, 1)) > 1 and not one.name.startswith("head")
    ]
    return ProxyInputs(field, sum(one.macs for one in cost.layers) / (height * width), len(large))


def proxy_features(build: ProxyInputs, sides: Sequence[int] | Values) -> Values:
    """(S, 4) features at each image side: logarithms to base 2.

    seen: pixels of the side that every cell sees: the side, or half the field where that is less.
    side: of the image. width: √(MACs for each pixel and convolution). depth: convolutions.
    """
    lengths = np.asarray(sides, np.float64)
    width = 0.5 * np.log2(build.macs / build.convolutions)
    depth = np.log2(build.convolutions)
    columns = (
        np.log2(np.minimum(lengths, build.field / 2)),
        np.log2(lengths),
        np.full_like(lengths, width),
        np.full_like(lengths, depth),
    )
    return np.stack(columns, axis=1)


def proxy_scores(build: ProxyInputs, sides: Sequence[int] | Values) -> Values:
    """(S,) accuracy proxy at each image side; YOLOv4-CSP at 640 has 100."""
    weights = np.array(published_proxy().weights)
    return np.asarray(100 * (proxy_features(build, sides) @ weights) / _reference())


@cache
def published_proxy() -> AccuracyProxy:
    """The proxy fitted to `PUBLISHED_RESULTS`."""
    return fit_proxy(PUBLISHED_RESULTS)


def fit_proxy(points: Iterable[PublishedResult]) -> AccuracyProxy:
    """Fit the proxy by non-negative least squares."""
    points = tuple(points)
    rows = np.concatenate(
        [
            proxy_features(ProxyInputs(one.field, one.macs, one.convolutions), [one.side])
            for one in points
        ]
    )
    wanted = np.array([one.ap for one in points])
    weights, offset = fit_non_negative(rows, wanted)
    missed = rows @ weights + offset - wanted
    return AccuracyProxy(
        weights=tuple(weights.tolist()),
        offset=float(offset),
        points=len(points),
        residual=float(np.sqrt((missed**2).mean())),
        worst=float(np.abs(missed).max()),
    )


def fit_non_negative(rows: Values, wanted: Values) -> tuple[Values, float]:
    """Non-negative least squares with a free offset.

    The best solution is the plain least squares of some of the columns. There are few, so all
    choices of columns are tried.

    Args:
        rows: (P, K).
        wanted: (P,).
    """
    count = rows.shape[1]
    best: tuple[Values, float] = (np.zeros(count), float(wanted.mean()))
    least = np.inf
    for chosen in (one for size in range(count + 1) for one in combinations(range(count), size)):
        columns = np.column_stack([rows[:, list(chosen)], np.ones(len(rows))])
        found = np.linalg.lstsq(columns, wanted, rcond=None)[0]
        error = float(((columns @ found - wanted) ** 2).sum())
        if (found[:-1] >= 0).all() and error < least - LOWEST:
            weights = np.zeros(count)
            weights[list(chosen)] = found[:-1]
            best, least = (weights, float(found[-1])), error
    return best


@cache
def _reference() -> float:
    own = next(one for one in PUBLISHED_RESULTS if (one.model, one.side) == REFERENCE)
    row = proxy_features(ProxyInputs(own.field, own.macs, own.convolutions), [own.side])[0]
    return float(row @ np.array(published_proxy().weights))
