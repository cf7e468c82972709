"""Which layers of a graph in INT8 or bf16 stay as they are: the fewest that keep its AP."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checkpoints import Model
from ..datasets.dataset import Dataset
from ..engines import open_engine
from ..errors import ExportDiffers
from ..evaluation import evaluate, selection_for
from ..inference.predictor import Predictor
from ..specs.metadata import Metadata
from ..structures import Candidates, FloatArray
from .calibration import Calibrated, Images
from .quantizable import Draft, Progress

logger = logging.getLogger(__name__)

RANKED_ON = 4  # images that show which layers hurt
GROUPS = 16  # of neighbouring layers, one of which is given back at a time
MOST = 0.6  # share of the layers that may stay; beyond, it is none in that precision any more

# By the precision that costs too much.
ADVICE = {
    "int8": "Use --precision bf16 or fp32, allow more with --max-ap-drop, or calibrate on more "
    "images and on such as the model will see",
    "bf16": "Use --precision fp32, or allow more with --max-ap-drop",
}


@dataclass(frozen=True)
class Outcome:
    """What became of a graph.

    Args:
        kept: layers that stay as they are, in order.
        ap_drop: what it costs in AP; None where nothing could judge it.
    """

    kept: tuple[str, ...]
    ap_drop: float | None


def choose_kept(
    draft: Draft,
    metadata: Metadata,
    calibrated: Calibrated,
    model: Model,
    *,
    max_ap_drop: float,
    folder: Path,
    suffix: str,
    engine: str,
    progress: Progress,
) -> Outcome:
    """Find the fewest layers that have to stay as they are for the AP to stay near.

    The layers are ranked by how much nearer the outputs come to those of the float graph when they
    alone are given back; then the worst stay, twice as many each time, until the drop is within the
    limit.

    Args:
        draft: the graph.
        metadata: of it.
        calibrated: with the images that judge.
        model: for the names of its classes.
        max_ap_drop: the limit.
        folder: for files on the way.
        suffix: of these files.
        engine: that runs them.
        progress: told the steps of the ranking that are done, and how many there are.

    Raises:
        ExportDiffers: the limit cannot be kept with enough of the graph in its precision.
    """
    kept, judged = draft.ends, calibrated.judged
    if judged is None:
        return Outcome(kept, None)
    path = folder / f"tried{suffix}"

    def measure(kept: Sequence[str]) -> float:
        own = _metadata_for(draft, kept, metadata)
        draft.write(frozenset(kept), calibrated.feeds, own, path)
        return _ap(path, engine, own, model, judged)

    before = measure(draft.layers)
    drop = before - measure(kept)
    logger.info(f"{metadata.precision} costs {drop:.4f} of AP {before:.4f}")
    if drop <= max_ap_drop:
        return Outcome(kept, drop)
    ranked = _rank(draft, metadata, calibrated.feeds, path, engine, progress)
    count = 1
    while drop > max_ap_drop:
        groups = ranked[:count]
        kept = tuple(
            layer
            for layer in draft.layers
            if layer in draft.ends or any(layer in one for one in groups)
        )
        if len(kept) > MOST * len(draft.layers):
            raise ExportDiffers(
                metadata.source,
                f"{metadata.precision} costs {drop:.4f} of AP {before:.4f}, more than "
                f"{max_ap_drop:g}, even with half of the layers left as they are",
                ADVICE[metadata.precision],
            )
        drop = before - measure(kept)
        logger.info(f"with {len(kept)} of {len(draft.layers)} layers left as they are {drop:.4f}")
        count *= 2
    return Outcome(kept, drop)


def _metadata_for(draft: Draft, kept: Sequence[str], metadata: Metadata) -> Metadata:
    """Metadata with precision fp32 when no layer is quantised: the full-precision baseline."""
    if len(kept) < len(draft.layers):
        return metadata
    return metadata.model_copy(update={"precision": "fp32"})


def _ap(path: Path, engine: str, metadata: Metadata, model: Model, judged: Dataset) -> float:
    """AP of a file on the images that judge."""
    opened = open_engine(path, engine=engine, device="cpu", cache=path.parent)
    try:
        predictor = Predictor(
            opened, model.names, input_spec=metadata.input_spec, selection=selection_for("coco")
        )
        found = evaluate(predictor, judged, known_classes_only=True).stats
    finally:
        opened.close()
    return float(found["AP"])


def _rank(
    draft: Draft,
    metadata: Metadata,
    feeds: Images,
    path: Path,
    engine: str,
    progress: Progress,
) -> list[tuple[str, ...]]:
    """Groups of neighbouring layers, the one that costs most first."""
    places = np.unique(np.linspace(0, len(feeds) - 1, RANKED_ON).astype(np.int64))
    few = replace(feeds, paths=tuple(feeds.paths[place] for place in places))
    images = [few.fit(one)[None] for one in few.paths]
    groups = _groups(draft.layers)
    aligned = metadata.form.gives != "detections"

    def look(kept: Sequence[str]) -> list[Candidates]:
        draft.write(frozenset(kept), few, _metadata_for(draft, kept, metadata), path)
        opened = open_engine(path, engine=engine, device="cpu", cache=path.parent)
        try:
            return [opened(image) for image in images]
        finally:
            opened.close()

    truth = look(draft.layers)
    costs = []
    for done, group in enumerate(groups, start=1):
        pairs = zip(truth, look((*draft.ends, *group)), strict=True)
        costs.append(sum(distance(*pair, aligned=aligned) for pair in pairs))
        progress(done, len(groups))
    return [groups[place] for place in np.argsort(costs, kind="stable")]


def _groups(layers: tuple[str, ...]) -> list[tuple[str, ...]]:
    """At most `GROUPS` runs of neighbouring layers, nearly equally long."""
    ends = np.linspace(0, len(layers), min(GROUPS, len(layers)) + 1).astype(np.int64)
    return [layers[start:end] for start, end in pairwise(ends)]


def distance(truth: Candidates, found: Candidates, *, aligned: bool = True) -> float:
    """How far the candidates of one image are from those of another graph; 0 where they are equal.

    Of every box counts its score's difference and, weighted by its score, the share of it that the
    other does not cover.

    Args:
        truth: of the graph that is right.
        found: of the other.
        aligned: row by row they are of the same prediction; else only the scores are compared,
            best first.
    """
    scores, others = (one.scores[0].max(axis=-1) for one in (truth, found))
    total = float(scores.sum()) + 1e-9
    if not aligned:
        return float(np.abs(np.sort(scores) - np.sort(others)).sum()) / total
    apart = 1 - _iou(truth.boxes[0], found.boxes[0])
    classes = np.abs(truth.scores[0] - found.scores[0]).max(axis=-1)
    return float((classes + scores * apart).sum()) / total


def _iou(boxes: FloatArray, others: FloatArray) -> NDArray[Any]:
    """(P,) of row i with row i."""
    low = np.maximum(boxes[:, :2], others[:, :2])
    high = np.minimum(boxes[:, 2:], others[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    areas = [np.clip(one[:, 2:] - one[:, :2], 0, None).prod(axis=1) for one in (boxes, others)]
    return np.asarray(shared / (areas[0] + areas[1] - shared + 1e-9))
