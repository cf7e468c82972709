"""The third comparison: how much AP a file loses on labelled data."""

from collections.abc import Callable
from time import perf_counter

from ..datasets.dataset import Dataset
from ..engines import Engine
from ..evaluation import evaluate, selection_for
from ..inference.predictor import Predictor
from ..specs.metadata import Metadata
from .boxes import ReferenceEngine
from .reference import Reference
from .result import Fault, Figure, Stage

LOST = "AP drops too much"


def compare_ap(
    reference: Reference,
    engine: Engine,
    metadata: Metadata,
    dataset: Dataset,
    *,
    max_drop: float,
    limit: int | None,
    progress: Callable[[int, int], None] | None,
) -> tuple[Stage, list[Fault]]:
    """Evaluate both by COCO's protocol.

    Args:
        reference, engine, metadata: both sides.
        dataset: labelled images.
        max_drop: how much less the AP of the file may be.
        limit: only the first so many images.
        progress: called with the images done and in all, of both sides.

    Raises:
        InvalidData: the classes of the data are not those of the model.
    """
    start = perf_counter()
    images = len(dataset) if limit is None else min(limit, len(dataset))
    sides = (
        (ReferenceEngine(reference, metadata.image_size), reference.metadata),
        (engine, metadata),
    )
    figures = []
    for number, (runs, own) in enumerate(sides):
        predictor = Predictor(
            runs, own.names, input_spec=own.input_spec, selection=selection_for("coco")
        )

        def tell(done: int, _total: int, before: int = number * images) -> None:
            if progress is not None:
                progress(before + done, 2 * images)

        figures.append(evaluate(predictor, dataset, limit=limit, progress=tell).stats)
    right, given = figures
    drop = right["AP"] - given["AP"]
    stage = Stage(
        "ap",
        (
            Figure("AP of the model", right["AP"]),
            Figure("AP of the file", given["AP"]),
            Figure("AP lost", drop, max_drop, at_least=False),
            Figure("AP50 lost", right["AP50"] - given["AP50"]),
        ),
        f"{images} labelled images",
        perf_counter() - start,
    )
    if stage.passed:
        return stage, []
    evidence = f"AP is {given['AP']:.4f} where the model has {right['AP']:.4f}"
    return stage, [Fault(LOST, "ap", evidence)]
