"""One contract, several runtimes: what turns a batch of images into candidates.

Nothing here loads a runtime before an engine is opened, and torch only for what is torch's.
"""

from .choice import choose_engine
from .contract import Engine, Pending, Ready
from .files import EXPORTED, is_exported, read_metadata
from .hardware import describe_machine
from .opening import ENGINES, open_engine

__all__ = [
    "ENGINES",
    "EXPORTED",
    "Engine",
    "Pending",
    "Ready",
    "choose_engine",
    "describe_machine",
    "is_exported",
    "open_engine",
    "read_metadata",
]
