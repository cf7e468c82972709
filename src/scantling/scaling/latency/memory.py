"""Predict the memory that an engine needs for a model."""

from dataclasses import dataclass

from ...errors import lookup
from ...specs import CfgSpec, ModelSpec
from ..costs import count_costs


@dataclass(frozen=True)
class MemoryRule:
    """Memory rule of an engine: copies of weights and activations, and a base.

    Args:
        weights: copies of the weights, the file that they came from included.
        activations: multiples of the most activations that eager torch has alive at once.
        base: bytes that a process takes for runtime and package with a very small model.
        error: how far the model's own part may be off, relative to it.
    """

    weights: float
    activations: float
    base: int
    error: float


@dataclass(frozen=True)
class MemoryEstimate:
    """Predicted peak memory of a process, with an error bar.

    Args:
        peak: bytes resident in a process that predicts with the model.
        low, high: error bar.
        own: of them, what the model itself takes; the rest is runtime and package.
    """

    peak: float
    low: float
    high: float
    own: float


# Fitted to the peak resident memory of processes that predict with networks of 5 to 157 MB of
# weights, on x86-64 Linux; see `benchmarks/latency_model.py --memory`. TensorRT was not measured.
RULES: dict[str, MemoryRule] = {
    "torch": MemoryRule(2.0, 1.8, 640_000_000, 0.3),
    "onnxruntime": MemoryRule(2.45, 2.5, 125_000_000, 0.3),
    "openvino": MemoryRule(3.0, 1.35, 166_000_000, 0.3),
    "tensorrt": MemoryRule(2.0, 1.0, 800_000_000, 0.5),
}
_SIZES = {"fp32": 1.0, "bf16": 0.5, "fp16": 0.5, "int8": 0.25}


def predict_memory(
    spec: ModelSpec | CfgSpec,
    *,
    engine: str,
    precision: str = "fp32",
    image_size: int | tuple[int, int] | None = None,
    batch: int = 1,
) -> MemoryEstimate:
    """Predict the peak resident memory of a process that runs a model.

    Args:
        spec: of any family, or of a cfg.
        engine: a key of `RULES`.
        precision: that it computes in.
        image_size: (height, width), or the side of a square; the spec's own if None.
        batch: images at once.

    Raises:
        UnknownName: there is no such engine or precision.
        InvalidSpec, InvalidCfg: the network cannot be built at that size.
    """
    rule = lookup(RULES, engine, "engine")
    size = lookup(_SIZES, precision, "precision")
    cost = count_costs(spec, image_size=image_size, batch=batch, fused=True)
    own = rule.weights * cost.weight_bytes + size * rule.activations * cost.peak_bytes
    slack = rule.error * own
    return MemoryEstimate(rule.base + own, rule.base + own - slack, rule.base + own + slack, own)
