"""Chooses the members of a family: for each the best within its budget, all of one recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...datasets.dataset import Dataset
from ...errors import InfeasibleBudget, InvalidValue
from ..search import Device, Found, open_device
from ..search.candidates import CLASSES
from ..search.rows import Field
from ..search.run import choose, make_rows, with_camera
from .members import Wanted

# Kinds of architectures that are made and trained alike.
RECIPES: dict[str, tuple[str, ...]] = {
    "tiny": ("tiny",),
    "csp": ("csp", "large"),
    "plain": ("plain",),
    "osa": ("osa",),
    "mbconv": ("mbconv",),
    "mbconv-lite": ("mbconv-lite",),
}
OF_FAMILY = {
    "yolov4": ("tiny", "csp", "plain", "osa"),
    "efficientdet": ("mbconv", "mbconv-lite"),
}


@dataclass(frozen=True)
class Member:
    """A member of a family.

    Args:
        name: that it was asked for by.
        found: the model, with the reasons.
    """

    name: str
    found: Found


@dataclass(frozen=True)
class Family:
    """Models of one recipe, one for each budget.

    Args:
        recipe: a key of `RECIPES`.
        members: in the order in which they were asked for.
        passed_over: the other recipes, with the mean capacity that their members would have; None
            where they have no model for a budget.
    """

    recipe: str
    members: tuple[Member, ...]
    passed_over: dict[str, float | None]

    @property
    def capacity(self) -> float:
        """The mean of its members."""
        return _mean(self.members)


def choose_family(
    wanted: Sequence[Wanted],
    *,
    like: str = "both",
    recipe: str | None = None,
    dataset: Dataset | None = None,
    num_classes: int | None = None,
) -> Family:
    """The models for several budgets, all of the recipe whose members have the most capacity.

    Args:
        wanted: the members.
        like: `yolov4`, `efficientdet` or `both`.
        recipe: a key of `RECIPES`; the best if None.
        dataset: labelled images, for anchors and advice.
        num_classes: of every model; those of the data set, or 80, if None.

    Raises:
        InvalidValue: two members have one name, or there are none.
        InfeasibleBudget: no recipe has a model for every budget; of the one that comes nearest.
    """
    names = [one.name for one in wanted]
    if not names or len(set(names)) < len(names):
        raise InvalidValue("the members", names, "one or more, each with a name of its own")
    classes = num_classes or (CLASSES if dataset is None else max(1, len(dataset.names)))
    devices = {one.device: open_device(one.device) for one in wanted if one.device is not None}
    tried: dict[str, tuple[Member, ...] | InfeasibleBudget] = {}
    for name in [recipe] if recipe else _recipes(like):
        try:
            tried[name] = _choose(wanted, name, devices, dataset, classes)
        except InfeasibleBudget as problem:
            tried[name] = problem
    made = {name: one for name, one in tried.items() if not isinstance(one, InfeasibleBudget)}
    if not made:
        raise next(one for one in tried.values() if isinstance(one, InfeasibleBudget))
    best = max(made, key=lambda name: _mean(made[name]))
    passed_over = {
        name: _mean(made[name]) if name in made else None for name in tried if name != best
    }
    return Family(best, made[best], passed_over)


def _recipes(like: str) -> tuple[str, ...]:
    return OF_FAMILY.get(like, tuple(RECIPES))


def _choose(
    wanted: Sequence[Wanted],
    recipe: str,
    devices: Mapping[Path, Device],
    dataset: Dataset | None,
    classes: int,
) -> tuple[Member, ...]:
    """The members of one recipe."""
    fields: dict[object, Field] = {}
    members = []
    for one in wanted:
        budget = with_camera(one.budget, dataset)
        device = None if one.device is None else devices[one.device]
        key = (one.device, budget.image)
        if key not in fields:
            fields[key] = make_rows(
                budget.image,
                like="both",
                device=device,
                num_classes=classes,
                kinds=RECIPES[recipe],
            )
        try:
            found = choose(budget, fields[key], device=device, dataset=dataset, num_classes=classes)
        except InfeasibleBudget as problem:
            where = f"{one.name}: {problem.problem}"
            raise InfeasibleBudget(problem.constraint, where, problem.fix) from problem
        members.append(Member(one.name, found))
    return tuple(members)


def _mean(members: Sequence[Member]) -> float:
    return sum(one.found.fit.costs.capacity for one in members) / len(members)
