"""Choose a family: for each budget the best model, all members of one recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...datasets.dataset import Dataset
from ...errors import InfeasibleBudget, InvalidValue
from ..search import Device, ScaledModel, open_device
from ..search.candidate_table import CandidateTable, make_candidate_table
from ..search.candidates import CLASSES
from ..search.scaled_model import choose, with_camera
from .requests import MemberRequest

# Kinds of architectures that are made and trained alike.
RECIPES: dict[str, tuple[str, ...]] = {
    "tiny": ("tiny",),
    "csp": ("csp", "large"),
    "plain": ("plain",),
    "osa": ("osa",),
    "mbconv": ("mbconv",),
    "mbconv-lite": ("mbconv-lite",),
}
OF_FAMILY = {"yolov4": ("tiny", "csp", "plain", "osa"), "efficientdet": ("mbconv", "mbconv-lite")}


@dataclass(frozen=True)
class Member:
    """One member of a family: its name and its model.

    Args:
        name: that it was asked for by.
        scaled: the model, with the reasons.
    """

    name: str
    scaled: ScaledModel


@dataclass(frozen=True)
class Family:
    """Models of one recipe, one for each budget.

    Args:
        recipe: a key of `RECIPES`.
        members: in the order in which they were asked for.
        passed_over: the other recipes, with the mean proxy that their members would have; None
            where they have no model for a budget.
    """

    recipe: str
    members: tuple[Member, ...]
    passed_over: dict[str, float | None]

    @property
    def mean_proxy(self) -> float:
        """Mean accuracy proxy of the members."""
        return _mean(self.members)


def choose_family(
    wanted: Sequence[MemberRequest],
    *,
    like: str = "both",
    recipe: str | None = None,
    dataset: Dataset | None = None,
    num_classes: int | None = None,
) -> Family:
    """Choose a model for each budget, all of the recipe with the highest mean accuracy proxy.

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
    wanted: Sequence[MemberRequest],
    recipe: str,
    devices: Mapping[Path, Device],
    dataset: Dataset | None,
    classes: int,
) -> tuple[Member, ...]:
    """Best model of one recipe for each request."""
    tables: dict[object, CandidateTable] = {}
    members = []
    for one in wanted:
        budget = with_camera(one.budget, dataset)
        device = None if one.device is None else devices[one.device]
        key = (one.device, budget.image)
        if key not in tables:
            tables[key] = make_candidate_table(
                image=budget.image,
                cost_models=None if device is None else device.cost_models,
                num_classes=classes,
                kinds=RECIPES[recipe],
            )
        try:
            scaled = choose(
                budget, tables[key], device=device, dataset=dataset, num_classes=classes
            )
        except InfeasibleBudget as problem:
            where = f"{one.name}: {problem.problem}"
            raise InfeasibleBudget(problem.constraint, where, problem.fix) from problem
        members.append(Member(one.name, scaled))
    return tuple(members)


def _mean(members: Sequence[Member]) -> float:
    return sum(one.scaled.search.costs.accuracy_proxy for one in members) / len(members)
