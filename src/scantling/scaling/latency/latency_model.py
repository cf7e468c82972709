"""Latency model of a device, fitted to its profile."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..device_profile import DeviceProfile
from .fitting import fit_coefficients, predict_seconds
from .operation_table import OperationTable
from .terms import FloatArray, PeakRates

TOGETHER = 64  # networks that are computed at once


@dataclass(frozen=True)
class LatencyEstimate:
    """Predicted latency, with an error bar.

    Args:
        seconds: of one batch: from the image in memory to boxes and scores.
        low, high: between which nine of ten chains lay that the model had not seen, relative to
            their prediction.
    """

    seconds: float
    low: float
    high: float


class LatencyModel:
    """Predict latency on a device from its profile; the device itself is not needed.

    Args:
        profile: of the device.

    Attributes:
        residuals: (N,) logarithms of measured over predicted time of chains that were not seen.
    """

    def __init__(self, profile: DeviceProfile) -> None:
        self.profile = profile
        self.rates = PeakRates(profile.peak.macs_per_second, profile.peak.bytes_per_second)
        tables = [
            OperationTable(np.array(sample.operations, np.int64)) for sample in profile.samples
        ]
        seconds = np.array([sample.seconds for sample in profile.samples])
        spreads = np.array([sample.spread for sample in profile.samples])
        self.coefficients = fit_coefficients(tables, seconds, spreads, self.rates)
        self.residuals = np.array([sample.unseen for sample in profile.samples])

    def predict(self, table: OperationTable) -> LatencyEstimate:
        """Predict the latency of one network."""
        return self.predict_all([table])[0]

    def predict_all(self, tables: Sequence[OperationTable]) -> list[LatencyEstimate]:
        """Predict the latency of many networks at once."""
        low, high = np.exp(np.percentile(self.residuals, [5, 95])).tolist()
        return [
            LatencyEstimate(one, one * min(low, 1.0), one * max(high, 1.0))
            for one in self.seconds_of(tables).tolist()
        ]

    def seconds_of(self, tables: Sequence[OperationTable]) -> FloatArray:
        """(N,) predicted seconds of many networks."""
        parts = [
            predict_seconds(list(tables[start : start + TOGETHER]), self.coefficients, self.rates)
            for start in range(0, len(tables), TOGETHER)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def latency_of(
        self, table: OperationTable, scales: Sequence[tuple[float, float]]
    ) -> FloatArray:
        """(N,) predicted seconds of one network at other image sizes.

        Args:
            table: of the network at one size.
            scales: (vertical, horizontal) factors from that size to the others.
        """
        return self.seconds_of([table.scaled(*scale) for scale in scales])
