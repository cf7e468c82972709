"""Is this file the model that it claims to be? Tensors, boxes and AP compared; faults named."""

from .result import Fault, Figure, Stage, Verification, save_verification
from .run import STAGES, verify

__all__ = ["STAGES", "Fault", "Figure", "Stage", "Verification", "save_verification", "verify"]
