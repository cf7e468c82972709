"""Fit the latency model's coefficients to measured chains."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .operation_table import OperationTable
from .terms import FloatArray, PeakRates, TermGroup, evaluate, make_terms, prior_spreads, slopes

FOLDS = 5
NOISE = 0.04  # of a measured time, in the logarithm, beside its own spread
OUTLIER = 2.0  # standard deviations, from where on a residual counts less
_TURNS = 40
_ENOUGH = 1e-4  # relative change of the cost that is not worth another turn


@dataclass(frozen=True)
class CrossValidation:
    """Fitted coefficients, and cross-validated residuals.

    Args:
        coefficients: in the order of `terms.layout`.
        unseen: logarithms of measured over predicted, of each chain by a fit that had not seen it.
    """

    coefficients: FloatArray
    unseen: FloatArray


def fit_coefficients(
    tables: Sequence[OperationTable], seconds: FloatArray, spreads: FloatArray, rates: PeakRates
) -> FloatArray:
    """Fit the coefficients (maximum a posteriori), in the order of `terms.layout`.

    Args:
        tables: of the chains.
        seconds: (N,) that they took.
        spreads: (N,) how far apart the times of one chain lay, relative to their middle.
        rates: of the device.
    """
    return _solve(list(tables), seconds, spreads, rates, None)


def cross_validate(
    tables: Sequence[OperationTable], seconds: FloatArray, spreads: FloatArray, rates: PeakRates
) -> CrossValidation:
    """Fit the coefficients, and compute the residuals of each chain by 5-fold cross-validation."""
    kept = list(tables)
    whole = _solve(kept, seconds, spreads, rates, None)
    if len(kept) < FOLDS:
        return CrossValidation(whole, np.log(seconds / predict_seconds(kept, whole, rates)))
    folds = np.random.default_rng(0).permutation(len(kept)) % FOLDS
    unseen = np.zeros(len(kept))
    for fold in range(FOLDS):
        others, own = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        found = _solve(
            [kept[place] for place in others], seconds[others], spreads[others], rates, whole
        )
        guessed = predict_seconds([kept[place] for place in own], found, rates)
        unseen[own] = np.log(seconds[own] / guessed)
    return CrossValidation(whole, unseen)


def predict_seconds(
    tables: list[OperationTable], coefficients: FloatArray, rates: PeakRates
) -> FloatArray:
    """(N,) predicted seconds of N networks."""
    groups = make_terms(tables, rates)
    return _add_up(groups, evaluate(groups, coefficients), len(tables))


def _add_up(
    groups: dict[str, TermGroup], seconds: dict[str, FloatArray], networks: int
) -> FloatArray:
    total = np.zeros(networks)
    for name, group in groups.items():
        total += np.bincount(group.owners, seconds[name], networks)
    return total


def _solve(
    tables: list[OperationTable],
    seconds: FloatArray,
    spreads: FloatArray,
    rates: PeakRates,
    start: FloatArray | None,
) -> FloatArray:
    """Levenberg-Marquardt on log seconds, with Huber weights for outliers."""
    groups = make_terms(tables, rates)
    prior = prior_spreads()
    found = np.zeros(len(prior)) if start is None else start.copy()
    used = _used(groups, len(tables), found)
    found[~used] = 0
    noise = np.hypot(NOISE, spreads)
    target = np.log(seconds)
    damping, cost = 1e-2, np.inf
    for _ in range(_TURNS):
        each = evaluate(groups, found)
        total = _add_up(groups, each, len(tables))
        misfit = (target - np.log(total)) / noise
        weights = _huber(misfit)
        jacobian = slopes(groups, each, len(tables))[:, used] / (total * noise)[:, None]
        gradient = jacobian.T @ (weights * misfit) - found[used] / prior[used] ** 2
        normal = (jacobian * weights[:, None]).T @ jacobian + np.diag(1 / prior[used] ** 2)
        cost = _cost(misfit, found, prior)
        better = False
        while not better and damping < 1e8:
            step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), gradient)
            trial = found.copy()
            trial[used] += step
            guess = _add_up(groups, evaluate(groups, trial), len(tables))
            new = _cost((target - np.log(guess)) / noise, trial, prior)
            better = new < cost
            damping *= 0.3 if better else 5.0
        if not better:
            break
        found = trial
        if cost - new < _ENOUGH * cost:
            break
    return found


def _used(groups: dict[str, TermGroup], networks: int, found: FloatArray) -> NDArray[np.bool_]:
    """Mask of the coefficients that any of these networks depends on."""
    moved = slopes(groups, {name: group.amounts for name, group in groups.items()}, networks)
    used: NDArray[np.bool_] = np.abs(moved).sum(axis=0) > 0
    return used & np.isfinite(found)


def _huber(misfit: FloatArray) -> FloatArray:
    weights: FloatArray = np.minimum(1.0, OUTLIER / np.abs(misfit).clip(min=1e-9))
    return weights


def _cost(misfit: FloatArray, found: FloatArray, prior: FloatArray) -> float:
    size = np.abs(misfit)
    data = np.where(size < OUTLIER, size**2, 2 * OUTLIER * size - OUTLIER**2).sum()
    return float(data + ((found / prior) ** 2).sum())
