"""Mixed precision: the fewest layers of an INT8 or bf16 graph that have to stay in fp32."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..datasets.dataset import Dataset
from ..engines.graphs.quantizable import Progress, QuantizableGraph
from ..errors import ExportDiffers
from ..inference.predictor import Predictor
from ..specs.metadata import Metadata
from ..structures import Candidates, FloatArray
from ..verification import Figure
from .calibration import Calibrated, Images
from .speed import open_on_cpu

if TYPE_CHECKING:
    from ..evaluation import ApLost, Metrics

logger = logging.getLogger(__name__)

RANKED_ON = 4  # images that show which layers hurt
GROUPS = 16  # of neighbouring layers, one of which is put in fp32 at a time
MOST = 0.6  # share of the layers that may be in fp32; beyond, it is none in that precision

# By the precision that costs too much.
ADVICE = {
    "int8": "Use --precision bf16 or fp32, allow more with --max-ap-drop, or calibrate on more "
    "images and on such as the model will see",
    "bf16": "Use --precision fp32, or allow more with --max-ap-drop",
}


@dataclass(frozen=True)
class MixedPrecision:
    """Which layers keep their precision, and what the others cost.

    Args:
        fp32_layers: names of the layers, in order.
        ap_lost: by the whole graph; None without images to compare AP on.
    """

    fp32_layers: tuple[str, ...]
    ap_lost: "ApLost | None"


@dataclass(frozen=True)
class Trials:
    """Writes a graph with some layers in fp32, and runs it.

    Args:
        graph: whose precision is reduced.
        metadata: of it.
        calibrated: images to calibrate on, and to compare AP on.
        path: of the file that is written for each trial.
        engine: that runs it.
    """

    graph: QuantizableGraph
    metadata: Metadata
    calibrated: Calibrated
    path: Path
    engine: str

    def measure(self, fp32_layers: Sequence[str], dataset: Dataset) -> "Metrics":
        """The metrics on a data set."""
        from ..evaluation import evaluate, selection_for  # late: only AP needs it

        metadata = self.write(fp32_layers, self.calibrated.inputs)
        with open_on_cpu(self.path, self.engine) as engine:
            predictor = Predictor(
                engine,
                metadata.names,
                input_spec=metadata.input_spec,
                selection=selection_for("coco"),
            )
            return evaluate(predictor, dataset, known_classes_only=True).metrics

    def outputs(self, fp32_layers: Sequence[str], inputs: Images) -> list[Candidates]:
        """Candidates of each image, calibrated on the same."""
        self.write(fp32_layers, inputs)
        with open_on_cpu(self.path, self.engine) as engine:
            return [engine(image[None]) for image in inputs.loaded]

    def write(self, fp32_layers: Sequence[str], inputs: Images) -> Metadata:
        """Write the file; its metadata has precision fp32 when no layer is reduced.

        So the full-precision baseline runs in full precision.
        """
        metadata = self.metadata
        if len(fp32_layers) >= len(self.graph.layers):
            metadata = metadata.model_copy(update={"precision": "fp32"})
        self.graph.write(frozenset(fp32_layers), inputs, metadata, self.path)
        return metadata


def choose_fp32_layers(trials: Trials, *, max_ap_drop: float, progress: Progress) -> MixedPrecision:
    """Find the fewest layers that have to stay in fp32 for the AP to stay near.

    The layers are ranked by how much nearer the outputs come to those of the float graph when they
    alone are in fp32; then the worst stay, twice as many each time, until the drop is within the
    limit.

    Args:
        trials: of the graph.
        max_ap_drop: the limit.
        progress: told the steps of the ranking that are done, and how many there are.

    Raises:
        ExportDiffers: the limit cannot be kept with enough of the graph in its precision.
    """
    graph, precision = trials.graph, trials.metadata.precision
    fp32_layers, dataset = graph.always_fp32, trials.calibrated.evaluation
    if dataset is None:
        return MixedPrecision(fp32_layers, None)
    from ..evaluation import compare_metrics  # late: only AP needs it

    before = trials.measure(graph.layers, dataset)
    found = compare_metrics(before, trials.measure(fp32_layers, dataset))
    if found is None:
        logger.info(f"no object of a class that the model knows: no AP to compare {precision} by")
        return MixedPrecision(fp32_layers, None)
    logger.info(f"{precision}: {found}, on {trials.calibrated.judged}")
    if found.lost <= max_ap_drop:
        _tell_of_doubt(found, max_ap_drop)
        return MixedPrecision(fp32_layers, found)
    ranked = _rank(trials, progress)
    count = 1
    while found.lost > max_ap_drop:
        worst = {layer for group in ranked[:count] for layer in group}
        fp32_layers = tuple(
            layer for layer in graph.layers if layer in graph.always_fp32 or layer in worst
        )
        if len(fp32_layers) > MOST * len(graph.layers):
            doubt = _doubt(found, max_ap_drop)
            raise ExportDiffers(
                trials.metadata.source,
                f"{precision}: {found}, on {trials.calibrated.judged}: more than "
                f"{max_ap_drop:g}, even with half of the layers left as they are"
                + (f"; {doubt}" if doubt else ""),
                ADVICE[precision],
            )
        found = compare_metrics(before, trials.measure(fp32_layers, dataset)) or found
        logger.info(
            f"with {len(fp32_layers)} of {len(graph.layers)} layers left as they are: {found}"
        )
        count *= 2
    _tell_of_doubt(found, max_ap_drop)
    return MixedPrecision(fp32_layers, found)


def _tell_of_doubt(found: "ApLost", max_ap_drop: float) -> None:
    """Warn where the limit lies in the interval of what is lost: the images cannot decide."""
    doubt = _doubt(found, max_ap_drop)
    if doubt:
        logger.warning(f"by these images {found}: {doubt}")


def _doubt(found: "ApLost", max_ap_drop: float) -> str:
    """The words of `verify` for a limit that lies in the interval; empty where it does not."""
    figure = Figure("AP lost", found.lost, max_ap_drop, at_least=False, error=found.error)
    return figure.doubt


def _rank(trials: Trials, progress: Progress) -> list[tuple[str, ...]]:
    """Groups of neighbouring layers, the one that costs most first."""
    graph, inputs = trials.graph, trials.calibrated.inputs
    places = np.unique(np.linspace(0, len(inputs) - 1, RANKED_ON).astype(np.int64))
    few = replace(inputs, paths=tuple(inputs.paths[place] for place in places))
    groups = _groups(graph.layers)
    aligned = trials.metadata.form.gives != "detections"
    truth = trials.outputs(graph.layers, few)
    costs = []
    for done, group in enumerate(groups, start=1):
        pairs = zip(truth, trials.outputs((*graph.always_fp32, *group), few), strict=True)
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
