"""Feature pyramids as graphs: which map of which level feeds which node.

Papers: EfficientDet, https://arxiv.org/abs/1911.09070, section 3; FPN,
https://arxiv.org/abs/1612.03144; PANet, https://arxiv.org/abs/1803.01534; NAS-FPN,
https://arxiv.org/abs/1904.07392.

The feature networks that EfficientDet's table 5 compares, as fields of a `NeckSpec`:

| in the table            | kind                  | depth | fusion  |
| ----------------------- | --------------------- | ----- | ------- |
| repeated top-down FPN   | `fpn`                 | > 1   | `sum`   |
| repeated FPN + PANet    | `panet`               | > 1   | `sum`   |
| NAS-FPN                 | `nas-fpn`             | > 1   | its own |
| fully-connected FPN     | `fully-connected-fpn` | > 1   | `sum`   |
| BiFPN without weights   | `bifpn`               | > 1   | `sum`   |
| BiFPN                   | `bifpn`               | > 1   | `fast`  |

All have the separable convolutions of a BiFPN.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import InvalidSpec


@dataclass(frozen=True)
class Node:
    """One fusion of a cell.

    Attributes:
        level: of what it computes, 0 the finest.
        inputs: what it fuses: below the number of levels, the cell's input of that level; from
            there on, the cell's earlier nodes, in order.
        fusion: a name in `scantling.blocks.FUSIONS`, where the graph says how; None for the spec's.
    """

    level: int
    inputs: tuple[int, ...]
    fusion: str | None = None


def top_down(levels: int) -> list[Node]:
    """FPN: from the coarsest level to the finest, each adds what the one above found."""
    nodes = [Node(levels - 1, (levels - 1,))]
    for level in reversed(range(levels - 1)):
        nodes.append(Node(level, (level, levels + len(nodes) - 1)))
    return nodes


def down_and_up(levels: int) -> list[Node]:
    """PANet: down, then up again; a level sees what it found on the way down."""
    nodes = top_down(levels)
    nodes.append(Node(0, (2 * levels - 1,)))
    for level in range(1, levels):
        nodes.append(Node(level, (2 * levels - 1 - level, levels + len(nodes) - 1)))
    return nodes


def bidirectional(levels: int) -> list[Node]:
    """BiFPN: down, then up again, without the nodes that have one input only; inner levels see
    their own input a second time."""
    nodes: list[Node] = []
    above = levels - 1
    for level in reversed(range(levels - 1)):
        nodes.append(Node(level, (level, above)))
        above = levels + len(nodes) - 1
    for level in range(1, levels):
        way_down = () if level == levels - 1 else (2 * levels - 2 - level,)
        nodes.append(Node(level, (level, *way_down, levels + len(nodes) - 1)))
    return nodes


def fully_connected(levels: int) -> list[Node]:
    """Every level sees the input of every level."""
    return [Node(level, tuple(range(levels))) for level in range(levels)]


def nas_fpn(levels: int) -> list[Node]:
    """NAS-FPN: the cell that the paper's search found, figure 6, for P3 to P7.

    Its second fusion is global attention, of the coarser map first. An output also adds the inputs
    of its level that nothing else has used, as the authors' networks do: P5 and P7.

    Raises:
        InvalidSpec: there are not five levels.
    """
    if levels != 5:
        raise InvalidSpec("nas-fpn", f"{levels} levels", "Use five: it was searched for P3 to P7")
    attention = "global-attention"
    return [
        Node(1, (3, 1), attention),  # 5: P6 and P4
        Node(1, (1, 5), "sum"),  # 6
        Node(0, (0, 6), "sum"),  # 7: P3's output
        Node(1, (6, 7), "sum"),  # 8: P4's
        Node(2, (8, 7, 2), attention),  # 9: P5's
        Node(4, (9, 6, 4), attention),  # 10: P7's
        Node(3, (10, 9), attention),  # P6's
    ]


# Every graph of a cell: graph(levels) → nodes in the order in which they run.
GRAPHS: dict[str, Callable[[int], list[Node]]] = {
    "bifpn": bidirectional,
    "fpn": top_down,
    "fully-connected-fpn": fully_connected,
    "nas-fpn": nas_fpn,
    "panet": down_and_up,
}
