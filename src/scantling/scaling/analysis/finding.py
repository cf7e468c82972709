"""A finding of a design rule."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class RuleFinding:
    """Where a design rule applies: the layer, the cost, the change to make, and the source.

    Args:
        rule: which one.
        where: the layer or part.
        message: what was found, with its numbers.
        change: what to do; empty where nothing has to be done.
        source: the paper, and where in it.
        share_of_cost: the share of the network that it is about, 0 to 1; sorts the findings.
        kind: `advice`, or a `fact` that is as it should be or cannot be helped.
    """

    rule: str
    where: str
    message: str
    change: str
    source: str
    share_of_cost: float
    kind: Literal["advice", "fact"] = "advice"
