"""Non-maximum suppression inside a graph, in shapes that no image changes.

The best candidates are found first, a fixed number of them. What is left of those after greedy NMS
is the one step for which ONNX and OpenVINO have an operation each: the operation `keep` stands for
it until a graph is translated, see `nms_ops`.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...postprocess import Selection
from ...specs.metadata import Metadata

ABOVE_ALL = 2.0  # the threshold of a class that is left out: no score is as high
MAX_CANDIDATES = 5000  # that NMS looks at in an image, as `postprocess.Selection` has it


class Suppress(nn.Module):
    """Candidates → detections, as `scantling.postprocess.select` finds them.

    Shape: boxes (N, P, 4), scores (N, P, K) → (N, max_detections, 6) of box, score and label, best
    first; rows of score 0 hold nothing.

    Args:
        metadata: its thresholds and classes, and how many detections an image may have.
    """

    def __init__(self, metadata: Metadata) -> None:
        super().__init__()
        self.num_classes = len(metadata.names)
        selection = Selection(
            min_score=metadata.min_score,
            classes=metadata.classes,
            class_scores=dict(metadata.class_scores.items()),
        )
        limits = np.minimum(selection.limits(self.num_classes), ABOVE_ALL)
        self.limits: float | Tensor = metadata.min_score
        if len(limits) > 1:
            del self.limits
            self.register_buffer("limits", torch.from_numpy(limits), persistent=False)
        self.iou_threshold = metadata.iou_threshold
        self.max_detections = metadata.max_detections
        self.candidates = max(MAX_CANDIDATES, metadata.max_detections)
        self.any_size = metadata.form.any_size

    def forward(self, boxes: Tensor, scores: Tensor, edges: Tensor | None = None) -> Tensor:
        """The detections; cut off at `edges`, the (1, 4) farthest that a box may reach."""
        boxes, scores, labels = self._best(boxes, scores)
        limits = (self.iou_threshold, self.max_detections, self.num_classes)
        kept = torch.ops.scantling.keep.default(boxes, scores, labels, *limits)
        scores, order = (scores * kept).topk(self.max_detections, dim=1)
        boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4))
        if edges is not None:
            boxes = torch.minimum(boxes.clamp(min=0), edges[:, None])
        labels = labels.gather(1, order).float()
        rows = torch.cat([boxes, scores[..., None], labels[..., None]], dim=2)
        return torch.where(scores[..., None] > 0, rows, torch.zeros_like(rows))

    def _best(self, boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The best candidates of each image in the order of their places; (N, M, …) each.

        Of those that are too weak or not finite the score is 0.
        """
        sound = (boxes.abs() < torch.inf).all(dim=2, keepdim=True)
        passed = (scores > self.limits) & (scores < torch.inf) & sound
        scores = torch.where(passed, scores, torch.zeros_like(scores))
        # of an open size, as many empty rows as might be missing; else those that are
        missing = MAX_CANDIDATES if self.any_size else self.max_detections - boxes.shape[1]
        if missing > 0:
            boxes, scores = F.pad(boxes, (0, 0, 0, missing)), F.pad(scores, (0, 0, 0, missing))
        if self.any_size or boxes.shape[1] > self.candidates:
            # only boxes among the best can hold the best candidates
            rows = _places_of_best(scores.amax(dim=2), self.candidates)[..., None]
            scores = scores.gather(1, rows.expand(-1, -1, self.num_classes))
            boxes = boxes.gather(1, rows.expand(-1, -1, 4))
        count = min(self.candidates, scores.shape[1] * self.num_classes)
        scores = scores.flatten(1)
        places = _places_of_best(scores, count)
        rows = places.div(self.num_classes, rounding_mode="floor")
        boxes = boxes.gather(1, rows[..., None].expand(-1, -1, 4))
        return boxes, scores.gather(1, places), places - rows * self.num_classes


def _places_of_best(scores: Tensor, count: int) -> Tensor:
    """(N, Q) scores → (N, count) places of the best of them, in ascending order."""
    return scores.topk(count, dim=1).indices.sort(dim=1).values


def _keep(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    iou_threshold: float,
    max_detections: int,
    num_classes: int,  # noqa: ARG001 - the operations of other formats need it
) -> Tensor:
    """Greedy NMS: (N, M) 1.0 for what stays, 0.0 for what a better box of its class overlaps."""
    area = (boxes[..., 2:] - boxes[..., :2]).prod(dim=2)
    places = torch.arange(boxes.shape[1])
    left, kept = scores.clone(), torch.zeros_like(scores)
    for _ in range(max_detections):
        if not (left > 0).any():
            break
        best = left.argmax(dim=1, keepdim=True)
        box = boxes.gather(1, best[..., None].expand(-1, -1, 4))
        low = torch.maximum(box[..., :2], boxes[..., :2])
        high = torch.minimum(box[..., 2:], boxes[..., 2:])
        overlap = (high - low).clamp(min=0).prod(dim=2)
        union = area.gather(1, best) + area - overlap
        # a box without area overlaps nothing: 0 / 0 is no number, and not above any
        over = (overlap / union > iou_threshold) & (labels.gather(1, best) == labels)
        chosen = (places == best) & (left.gather(1, best) > 0)
        left, kept = torch.where(over | chosen, 0.0, left), torch.where(chosen, 1.0, kept)
    return kept


KEEP = torch.library.custom_op("scantling::keep", _keep, mutates_args=())
KEEP.register_fake(lambda boxes, scores, *_: torch.empty_like(scores))  # noqa: ARG005
