"""One level of raw predictions, in plain numbers: all that decoding and losses need of it."""

from typing import Annotated, Literal

from pydantic import Field

from .frozen import Frozen, Positive

Anchor = tuple[float, float]  # (width, height) in pixels of the network's input
MAX_ANCHORS = 1024  # of a cell


class Level(Frozen):
    """How the raw predictions of one level become boxes and scores.

    It travels in the metadata of exported files.

    Args:
        stride: input pixels per cell.
        anchors: A × (width, height) in pixels of the network's input.
        box_coding: how boxes are coded; see `HeadSpec`.
        scale_xy: how far a centre may leave its cell: 1 as in YOLOv3; above, a centre on the edge
            of a cell needs no infinite logit.
        activated: the values are no logits, and taken as they are.
        class_activation: of the class scores.
    """

    stride: Positive
    anchors: Annotated[tuple[Anchor, ...], Field(min_length=1, max_length=MAX_ANCHORS)]
    box_coding: Annotated[str, Field(min_length=1, max_length=64)]
    scale_xy: float = 1.0
    activated: bool = False
    class_activation: Literal["sigmoid", "softmax"] = "sigmoid"
