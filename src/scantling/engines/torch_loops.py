"""Loops in a torch.export file: only those that are sure to end."""

from typing import Any

from ..errors import InvalidExport
from .torch_export_file import AGAIN

LOOP = "torch.ops.higher_order.while_loop"
MOST = 100_000  # turns of a loop
# What decides whether to go on: steps so far < N, and anything is left.
CONDITION = [
    "torch.ops.aten.lt.Scalar",
    "torch.ops.aten.gt.Scalar",
    "torch.ops.aten.any.default",
    "torch.ops.aten.__and__.Tensor",
]


def graphs_of_loop(node: dict[str, Any], source: str) -> list[dict[str, Any]]:
    """The condition and the body of a loop that counts its turns and ends at a number of them.

    Args:
        node: of the graph.
        source: what an error calls the file.

    Raises:
        InvalidExport: it is another kind of loop, which might never end.
    """
    graphs = []
    try:
        for given in node["inputs"][:2]:
            graph = given["arg"]["as_graph"]["graph"]
            graphs.append(graph)
        condition, body = graphs
        sure = _ends(condition) and _counts(body)
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise InvalidExport(source, "it holds a damaged loop", AGAIN) from error
    if not sure:
        raise InvalidExport(source, "it holds a loop that might never end", AGAIN)
    return graphs


def _ends(condition: dict[str, Any]) -> bool:
    """Whether the condition fails once the first value has reached a number."""
    nodes = condition["nodes"]
    if [node["target"] for node in nodes] != CONDITION:
        return False
    count, _, _, both = nodes
    limit = count["inputs"][1]["arg"]["as_int"]
    return (
        type(limit) is int
        and limit <= MOST
        and _is(count["inputs"][0]["arg"], condition["inputs"][0])
        and _is(both["inputs"][0]["arg"], count["outputs"][0])
        and _is(condition["outputs"][0], both["outputs"][0])
        and len({_name(output) for node in nodes for output in node["outputs"]}) == len(nodes)
    )


def _counts(body: dict[str, Any]) -> bool:
    """Whether the first value is one more after each turn, and nothing else changes it."""
    nodes = body["nodes"]
    made = [_name(output) for node in nodes for output in node["outputs"]]
    names = [_name(one) for one in body["inputs"]]
    kinds = [node["target"].split(".")[3] for node in nodes]
    in_place = any(kind.endswith("_") and not kind.startswith("__") for kind in kinds)
    steps = [
        node
        for node in nodes
        if node["target"] == "torch.ops.aten.add.Tensor"
        and _is(node["inputs"][0]["arg"], body["inputs"][0])
        and node["inputs"][1]["arg"] == {"as_int": 1}
        and len(node["inputs"]) == 2
        and _is(node["outputs"][0], body["outputs"][0])
    ]
    return len(steps) == 1 and not in_place and len(set(made + names)) == len(made + names)


def _is(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return _name(one) == _name(other)


def _name(argument: dict[str, Any]) -> str:
    name = argument["as_tensor"]["name"]
    if not isinstance(name, str) or not name:
        raise ValueError
    return name
