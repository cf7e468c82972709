"""Non-maximum suppression (NMS) as a model's authors run it: a default that travels with it."""

from typing import Literal

from .frozen import Frozen, Ratio


class NmsSpec(Frozen):
    """The kind of NMS that a model is run with where its user asks for none.

    Args:
        kind: a name in `scantling.postprocess.selection.NMS`.
        beta: of `diou`: IoU − (d² / c²)^beta; see `scantling.postprocess.Selection`.
    """

    kind: Literal["greedy", "diou"] = "greedy"
    beta: Ratio = 1.0


DARKNET_DIOU = NmsSpec(kind="diou", beta=0.6)
