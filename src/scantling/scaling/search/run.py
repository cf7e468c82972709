"""From a budget to a model, with everything that there is to say about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...datasets.dataset import Dataset
from ...specs import ModelSpec
from .advice import Advice, advise, common_image
from .budget import USUAL_IMAGE, Budget
from .candidates import CLASSES
from .capacity import Criterion, published_criterion
from .device import Device
from .rows import Field, make_field
from .search import Fit, search


@dataclass(frozen=True)
class Found:
    """The model that fits a budget.

    Args:
        spec: of the model; with anchors for the data set, where there was one.
        fit: why it is that.
        criterion: that candidates were ranked by.
        device: that latency was predicted for.
        advice: what the boxes of the data set say.
    """

    spec: ModelSpec
    fit: Fit
    criterion: Criterion
    device: Device | None = None
    advice: Advice | None = None


def scale(
    budget: Budget,
    *,
    like: str = "both",
    device: Device | None = None,
    dataset: Dataset | None = None,
    num_classes: int | None = None,
    kinds: Sequence[str] | None = None,
) -> Found:
    """The best model within a budget.

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
    field = make_rows(budget.image, like=like, device=device, num_classes=classes, kinds=kinds)
    return choose(budget, field, device=device, dataset=dataset, num_classes=classes)


def with_camera(budget: Budget, dataset: Dataset | None) -> Budget:
    """The budget for images as a data set has them, unless it says how large they are."""
    if dataset is None or budget.image != USUAL_IMAGE:
        return budget
    return Budget(
        latency=budget.latency,
        memory=budget.memory,
        parameters=budget.parameters,
        macs=budget.macs,
        min_object=budget.min_object,
        image=common_image(dataset),
    )


def make_rows(
    image: tuple[int, int],
    *,
    like: str,
    device: Device | None,
    num_classes: int,
    kinds: Sequence[str] | None,
) -> Field:
    """Every candidate with what it costs on a device."""
    return make_field(
        like,
        num_classes=num_classes,
        image=image,
        latency=None if device is None else device.latency,
        memory=None if device is None else device.memory,
        kinds=kinds,
    )


def choose(
    budget: Budget,
    field: Field,
    *,
    device: Device | None,
    dataset: Dataset | None,
    num_classes: int,
) -> Found:
    """The best of some candidates, with anchors for a data set."""
    fit = search(budget, field, num_classes=num_classes)
    spec, advice = (fit.spec, None) if dataset is None else advise(fit.spec, dataset)
    return Found(spec, fit, published_criterion(), device, advice)
