"""Predict latency and memory of a model on a device, without running it there."""

from .latency_model import LatencyEstimate, LatencyModel
from .memory import MemoryEstimate, predict_memory
from .operation_table import OperationTable
from .prediction import predict_latency, tabulate, tabulate_cost

__all__ = [
    "LatencyEstimate",
    "LatencyModel",
    "MemoryEstimate",
    "OperationTable",
    "predict_latency",
    "predict_memory",
    "tabulate",
    "tabulate_cost",
]
