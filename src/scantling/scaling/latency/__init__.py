"""How long a model takes on a device, and how much memory, without running it there."""

from .memory import Memory, predict_memory
from .model import Latency, LatencyModel
from .network import predict_latency, tabulate, tabulate_cost
from .table import OperationTable

__all__ = [
    "Latency",
    "LatencyModel",
    "Memory",
    "OperationTable",
    "predict_latency",
    "predict_memory",
    "tabulate",
    "tabulate_cost",
]
