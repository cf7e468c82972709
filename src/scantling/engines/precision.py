"""Which numbers a processor is to compute an exported graph in."""

import logging
from dataclasses import dataclass

from ..errors import InvalidValue
from .hardware import Processor

logger = logging.getLogger(__name__)

PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Arithmetic:
    """What a graph is computed in.

    Args:
        name: `fp32`, `bf16`, `fp16` or `int8`.
        floats: what it computes in where it computes in floating point.
    """

    name: str
    floats: str

    def __str__(self) -> str:
        return self.name if self.name == self.floats else f"{self.name} and {self.floats}"


def choose_arithmetic(asked: str | None, own: str, processor: Processor) -> Arithmetic:
    """What a graph is computed in.

    Args:
        asked: `fp32`, `bf16`, `fp16`; `auto` for the fastest of them; None for what the file is
            meant to be computed in.
        own: what it is meant to be computed in. What is INT8 in it stays so.
        processor: that computes.

    Raises:
        InvalidValue: the processor has no arithmetic for what was asked.
    """
    able = [name for name in PRECISIONS if _computes(name, processor)]
    if asked in (None, "auto") and own == "int8":
        return Arithmetic("int8", "bf16" if processor.fast == "bf16" else "fp32")
    if asked == "auto":
        return Arithmetic(processor.fast, processor.fast)
    wanted = own if asked is None else asked
    if wanted not in PRECISIONS:
        raise InvalidValue("precision", wanted, f"one of {', '.join(PRECISIONS)}, or auto")
    if wanted not in able:
        if asked is not None:
            expected = f"one that this processor computes in: {', '.join(able)}, or auto"
            raise InvalidValue("precision", asked, expected)
        logger.info(f"this processor has no arithmetic for {own}: the file is computed in fp32")
        wanted = "fp32"
    return Arithmetic("int8" if own == "int8" else wanted, wanted)


def _computes(precision: str, processor: Processor) -> bool:
    if precision == "fp32":
        return True
    return processor.has_bf16 if precision == "bf16" else processor.has_fp16
