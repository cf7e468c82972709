"""Operation tables of models, and their predicted latency."""

from ...checkpoints.model import build_empty
from ...errors import lookup
from ...heads import HEADS
from ...specs import CfgSpec, ModelSpec
from ..costs import NetworkCost, count_costs
from ..device_profile import DeviceProfile
from .latency_model import LatencyEstimate, LatencyModel
from .operation_table import (
    OperationRow,
    OperationTable,
    decode_row,
    input_row,
    layer_rows,
    make_table,
)


def tabulate(
    spec: ModelSpec | CfgSpec, *, image_size: int | tuple[int, int] | None = None, batch: int = 1
) -> OperationTable:
    """Tabulate the operations of a model as engines run it: uint8 pixels to boxes and scores.

    Args:
        spec: of any family, or of a cfg.
        image_size: (height, width), or the side of a square; the spec's own if None.
        batch: images at once.

    Raises:
        InvalidSpec, InvalidCfg: the network cannot be built at that size.
    """
    return tabulate_cost(spec, count_costs(spec, image_size=image_size, batch=batch, fused=True))


def tabulate_cost(spec: ModelSpec | CfgSpec, cost: NetworkCost) -> OperationTable:
    """Tabulate the operations from costs already counted, norms folded.

    Args:
        spec: of the model; says how boxes are decoded.
        cost: of its network.
    """
    batch, (height, width) = cost.batch, cost.image_size
    rows = [input_row("image", batch, 3, (height, width))]
    rows += layer_rows(cost.layers, (batch, 3, height, width))
    return make_table([*rows, *_decoding(spec, (height, width), batch)])


def predict_latency(
    spec: ModelSpec | CfgSpec,
    profile: DeviceProfile,
    *,
    image_size: int | tuple[int, int] | None = None,
    batch: int = 1,
) -> LatencyEstimate:
    """Predict a model's latency on a profiled device: image in memory to boxes and scores.

    It fits a `LatencyModel` first, which is worth keeping where there are several models.

    Args:
        spec: of any family, or of a cfg.
        profile: see `check_profile` for whether it may be used.
        image_size: (height, width), or the side of a square; the spec's own if None.
        batch: images at once.

    Raises:
        InvalidSpec, InvalidCfg: the network cannot be built at that size.
    """
    return LatencyModel(profile).predict(tabulate(spec, image_size=image_size, batch=batch))


def _decoding(spec: ModelSpec | CfgSpec, size: tuple[int, int], batch: int) -> list[OperationRow]:
    """Rows for the decoding of each level."""
    levels = build_empty(spec).levels if isinstance(spec, CfgSpec) else spec.levels
    layout = lookup(HEADS, spec.head_kind, "head").layout
    kind = "offsets" if layout.separate else "cells"
    return [
        decode_row(
            kind,
            batch,
            len(level.anchors) * (layout.box_values + spec.num_classes),
            (-(-size[0] // level.stride), -(-size[1] // level.stride)),
        )
        for level in levels
    ]
