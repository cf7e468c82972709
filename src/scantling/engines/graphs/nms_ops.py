"""`suppress.KEEP` in the operations of ONNX and of OpenVINO.

Both have greedy NMS for each class on its own, over all boxes: so every box takes part in every
class, with a score of 0 in all but its own. It names what stays, in a list whose length depends on
the image; written into zeros of a fixed shape it becomes the mask that the graph goes on with.
"""

from typing import Any

import numpy as np

from ...specs.metadata import Metadata


def keep_in_onnx(metadata: Metadata, ops: Any) -> Any:
    """What the exporter of PyTorch writes for `KEEP`.

    Args:
        metadata: its thresholds.
        ops: an operator set of `onnxscript`.
    """

    def keep(
        boxes: Any,
        scores: Any,
        labels: Any,
        iou_threshold: float,  # noqa: ARG001 - the metadata has them too
        max_detections: int,  # noqa: ARG001
        num_classes: int,  # noqa: ARG001
    ) -> Any:
        classes = ops.Constant(value_ints=list(range(len(metadata.names))))
        axis = ops.Constant(value_ints=[1])
        own = ops.Equal(
            ops.Unsqueeze(labels, axis), ops.Reshape(classes, ops.Constant(value_ints=[1, -1, 1]))
        )
        zero = ops.Constant(value_float=0.0)
        selected = ops.NonMaxSuppression(
            boxes,
            ops.Where(own, ops.Unsqueeze(scores, axis), zero),
            ops.Constant(value_ints=[metadata.max_detections]),
            ops.Constant(value_floats=[metadata.iou_threshold]),
            ops.Constant(value_floats=[0.0]),
        )
        places = ops.Gather(selected, ops.Constant(value_ints=[0, 2]), axis=1)
        rows = ops.Gather(ops.Shape(places), ops.Constant(value_ints=[0]))
        ones = ops.Expand(ops.Constant(value_float=1.0), rows)
        return ops.ScatterND(ops.Mul(scores, zero), places, ones)

    return keep


def keep_in_openvino(metadata: Metadata, node: Any) -> list[Any]:
    """What OpenVINO's converter puts in the place of `KEEP`.

    Args:
        metadata: its thresholds.
        node: the operation, with its inputs.
    """
    import openvino.opset13 as ops

    boxes, scores, labels = (node.get_input(place) for place in range(3))
    classes = np.arange(len(metadata.names), dtype=np.int64).reshape(1, -1, 1)
    axis = np.int64(1)
    own = ops.equal(ops.convert(ops.unsqueeze(labels, axis), "i64"), classes)
    selected = ops.non_max_suppression(
        boxes,
        ops.select(own, ops.unsqueeze(scores, axis), np.float32(0)),
        np.int64(metadata.max_detections),
        np.float32(metadata.iou_threshold),
        np.float32(0),
        sort_result_descending=False,
        output_type="i64",
    )
    places = ops.gather(selected.output(0), np.array([0, 2], np.int64), axis)
    found = ops.shape_of(places, "i64")
    count = ops.gather(found, np.array([0], np.int64), np.int64(0))
    ones = ops.broadcast(np.float32(1), count)
    zeros = ops.multiply(scores, np.float32(0))
    kept: list[Any] = ops.scatter_nd_update(zeros, places, ones).outputs()
    return kept
