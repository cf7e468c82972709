"""Compare AP: how much of it the candidate loses on labelled data."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from ..datasets.dataset import Dataset
from ..errors import InvalidData
from ..inference.predictor import Predictor
from .boxes import ReferenceEngine
from .comparator import Comparator
from .result import Fault, Figure, Stage

LOST = "AP drops too much"


@dataclass(frozen=True, kw_only=True)
class ApLimit:
    """What the AP may lose, and on which data.

    Args:
        dataset: labelled images.
        max_drop: how much less the AP of the candidate may be.
        limit: only the first so many images.
        progress: called with the images done and in all, of both.
    """

    dataset: Dataset
    max_drop: float
    limit: int | None = None
    progress: Callable[[int, int], None] | None = None


def compare_ap(comparator: Comparator, ap: ApLimit) -> tuple[Stage, list[Fault]]:
    """Evaluate candidate and reference by COCO's protocol.

    Raises:
        InvalidData: the classes of the data are not those of the model, or no object counts.
    """
    from ..evaluation import evaluate, selection_for  # late: only AP needs it

    start = perf_counter()
    dataset, metadata = ap.dataset, comparator.metadata
    images = len(dataset) if ap.limit is None else min(ap.limit, len(dataset))
    reference = comparator.reference
    both = (
        (ReferenceEngine(reference, metadata.image_size), reference.metadata),
        (comparator.engine, metadata),
    )
    figures = []
    for number, (engine, own) in enumerate(both):
        predictor = Predictor(
            engine, own.names, input_spec=own.input_spec, selection=selection_for("coco")
        )

        def show(done: int, _total: int, before: int = number * images) -> None:
            if ap.progress is not None:
                ap.progress(before + done, 2 * images)

        figures.append(evaluate(predictor, dataset, limit=ap.limit, progress=show).stats)
    names = ("AP", "AP50")
    right, given = ({name: one[name] or 0.0 for name in names} for one in figures)
    if figures[0]["AP"] is None:
        raise InvalidData(
            str(dataset.source),
            f"no object counts in the {images} images that are looked at, so that there is no AP",
            "Look at more of them",
        )
    drop = right["AP"] - given["AP"]
    stage = Stage(
        "ap",
        (
            Figure("AP of the model", right["AP"]),
            Figure("AP of the file", given["AP"]),
            Figure("AP lost", drop, ap.max_drop, at_least=False),
            Figure("AP50 lost", right["AP50"] - given["AP50"]),
        ),
        f"{images} labelled images",
        perf_counter() - start,
    )
    if stage.passed:
        return stage, []
    evidence = f"AP is {given['AP']:.4f} where the model has {right['AP']:.4f}"
    return stage, [Fault(LOST, "ap", evidence)]
