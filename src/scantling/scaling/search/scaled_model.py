"""Scale a model to a budget: candidates, search, anchors for a data set."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...datasets.dataset import Dataset
from ...errors import InfeasibleBudget
from ...specs import ModelSpec
from .accuracy_proxy import AccuracyProxy, published_proxy
from .advice import DatasetAdvice, advise, common_image
from .budget import USUAL_IMAGE, Budget
from .candidate_search import SearchResult, search_candidates
from .candidate_table import CandidateTable, make_candidate_table
from .candidates import CLASSES
from .device import Device


@dataclass(frozen=True)
class ScaledModel:
    """The best model within a budget, and why it was chosen.

    Args:
        spec: of the model; with anchors for the data set, where there was one.
        search: why it is that.
        proxy: that candidates were ranked by.
        device: that latency was predicted for.
        advice: what the boxes of the data set say.
    """

    spec: ModelSpec
    search: SearchResult
    proxy: AccuracyProxy
    device: Device | None = None
    advice: DatasetAdvice | None = None


def scale(
    budget: Budget,
    *,
    like: str = "both",
    device: Device | None = None,
    dataset: Dataset | None = None,
    num_classes: int | None = None,
    kinds: Sequence[str] | None = None,
) -> ScaledModel:
    """Find the best model within a budget.

    >>> from scantling.scaling.search.budget import Budget
    >>> scale(Budget(macs=10e9), like="yolov4").spec.name  # doctest: +SKIP

    Args:
        budget: what it may cost. Where it leaves the size of the camera's images at the usual one
            and there is a data set, that of most of its images counts.
        like: `yolov4`, `efficientdet` or `both`.
        device: that a latency is for; see `open_device`.
        dataset: labelled images, which advise image size and levels and give the anchors.
        num_classes: of the model; those of the data set, or 80, if None.
        kinds: of architectures, such as `csp` and `tiny`; all if None.

    Raises:
        InfeasibleBudget: nothing fits; says what is in the way, and what could be reached.
        InvalidValue: a latency without a device.
        InvalidData: the data set has no boxes.
        UnknownName: there is no such family or kind.
    """
    budget = with_camera(budget, dataset)
    classes = num_classes or (CLASSES if dataset is None else max(1, len(dataset.names)))
    table = make_candidate_table(
        like,
        num_classes=classes,
        image=budget.image,
        cost_models=None if device is None else device.cost_models,
        kinds=kinds,
    )
    return choose(budget, table, device=device, dataset=dataset, num_classes=classes)


def _as_predicted(error: InfeasibleBudget, device: Device) -> InfeasibleBudget:
    """The error with how sure it is: the times are predicted from a profile."""
    off = device.profile.whole.error
    fix = f"{error.fix}; or hold the profile against a measurement: scantling benchmark"
    if device.profile.doubt:
        fix = (
            "That is too much to say what can be had: measure the device again, idle (scantling "
            f"device measure --minutes 2), before you believe it. {error.fix}"
        )
    return InfeasibleBudget(
        error.constraint,
        f"{error.problem}, as predicted by the profile {device.name!r}, which is off by {off:.0%} "
        "in the median",
        fix,
    )


def with_camera(budget: Budget, dataset: Dataset | None) -> Budget:
    """Set the budget's camera image to the data set's most common size, unless it is given."""
    if dataset is None or budget.image != USUAL_IMAGE:
        return budget
    return replace(budget, image=common_image(dataset))


def choose(
    budget: Budget,
    table: CandidateTable,
    *,
    device: Device | None,
    dataset: Dataset | None,
    num_classes: int,
) -> ScaledModel:
    """Search a table of candidates, and fit the anchors to a data set."""
    try:
        result = search_candidates(budget, table, num_classes=num_classes)
    except InfeasibleBudget as error:
        if device is None or error.constraint != "latency":
            raise
        raise _as_predicted(error, device) from error
    spec, advice = (result.spec, None) if dataset is None else advise(result.spec, dataset)
    return ScaledModel(spec, result, published_proxy(), device, advice)
