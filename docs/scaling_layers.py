"""The papers' tables of single layers and stages, counted again from built ones."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cache

import torch
from torch import nn

from scantling.blocks import STAGES
from scantling.scaling.costs import add_up, trace_module

SIDE, WIDTH = 16, 256  # w = h and b of the blocks that are counted
# Layer of the papers: its plain and its partial kind, cost of one block in whb², and of one CSP'd.
LAYERS = {
    "Res": ("resnet", "csp-resnet", Fraction(17, 16), Fraction(13, 16)),
    "ResX": ("resnext", "csp-resnext", Fraction(137, 128), Fraction(73, 128)),
    "Dark": ("residual", "csp", Fraction(5), Fraction(5, 2)),
}


def table(header: str, rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    names = [name.strip() for name in header.split("|")]
    lines = [names, ["---"] + ["---:"] * (len(names) - 1), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def difference(counted: float, paper: float) -> str:
    """How far what was counted is from what the paper says."""
    share = counted / paper - 1
    return "none" if abs(share) < 5e-7 else f"{share:+.1%}"


@cache
def stage_cost(kind: str, depth: int, *, width: int = WIDTH, side: int = SIDE) -> Fraction:
    """MACs of a built stage without its strided convolution, in units of 16²·256²."""
    with torch.device("meta"):
        stage = STAGES[kind](width // 2, width, depth, stride=2, activation="leaky").eval()
        image = torch.zeros(1, width // 2, 2 * side, 2 * side)
    layers = trace_module(stage, image).layers
    macs = sum(layer.macs for layer in layers if "down" not in layer.name)
    return Fraction(macs, SIDE**2 * WIDTH**2)


def scaled_layers() -> str:
    """Table 1: cost of a layer, and what size, depth and width do to it."""
    rows = []
    for layer, (kind, _, block, _) in LAYERS.items():
        one = stage_cost(kind, 4)
        ratios = (
            stage_cost(kind, 4, side=2 * SIDE) / one,
            stage_cost(kind, 8) / one,
            stage_cost(kind, 4, width=2 * WIDTH) / one,
        )
        rows.append(
            (
                layer,
                f"`{kind}`",
                f"{block}·k",
                f"{one / 4}·k",
                difference(float(one / 4), float(block)),
                *ratios,
            )
        )
    header = "layer|kind|paper, whb²|counted|difference|size ×2|depth ×2|width ×2"
    return table(header, rows)


def csp_layers() -> str:
    """Table 2: the same, cross-stage partial."""
    rows = []
    for layer, (kind, csp, block, half) in LAYERS.items():
        per_block = stage_cost(csp, 2) - stage_cost(csp, 1)
        fixed = stage_cost(csp, 1) - per_block
        first = next(k for k in range(1, 33) if stage_cost(csp, k) < stage_cost(kind, k))
        rows.append(
            (
                layer,
                f"`{csp}`",
                f"3/4 + {half}·k",
                f"{fixed} + {per_block}·k",
                half / block,
                per_block / (stage_cost(kind, 2) - stage_cost(kind, 1)),
                f"{float(1 - half / block):.1%}",
                first,
            )
        )
    header = "layer|kind|paper, whb²|counted|paper, k→∞|counted|saved|cheaper from k ="
    return table(header, rows)


def dark_stages() -> str:
    """A CSPDarknet stage with its down-sampling against the plain one."""
    down = Fraction(9, 2)  # 3×3 from b/2 to b
    rows = []
    for k in (1, 2, 4, 8, 15):
        paper = Fraction(3) + Fraction(5, 2) * k
        csp, dark = down + stage_cost("csp", k), down + stage_cost("residual", k)
        rows.append(
            (
                k,
                f"{float(paper):g}",
                f"{float(csp):g}",
                f"{float(dark):g}",
                f"{float(1 - csp / dark):.1%}",
            )
        )
    return table("k|paper: CSP, whb²|counted: CSP|counted: plain|saved", rows)


def pairs(*convolutions: tuple[int, int]) -> int:
    """Σ C_in·C_out of built 1×1 convolutions, which the paper's table 5 calls CIO."""
    total = 0
    for before, after in convolutions:
        with torch.device("meta"):
            made = nn.Conv2d(before, after, 1, bias=False)
            layers = trace_module(made, torch.zeros(1, before, 4, 4)).layers
        total += add_up(layers).channel_product
    return total


def dense_and_osa() -> str:
    """Table 3: dense layers against one-shot aggregation."""
    rows = []
    for b, g, k in ((64, 32, 3), (128, 32, 4), (256, 32, 8)):
        dense = pairs(*((b + place * g, g) for place in range(k)))
        osa = pairs((b, g), *[(g, g)] * (k - 1))
        rows.append(
            (
                f"{b}, {g}, {k}",
                g * b * k + g * g * k * (k - 1) // 2,
                dense,
                b * g + g * g * (k - 1),
                osa,
                f"{dense / osa:.2f}",
            )
        )
    return table("b, g, k|dense, paper|counted|OSA, paper|counted|dense / OSA", rows)


def osa_splits() -> str:
    """Tables 4 and 5: three ways to divide an OSA layer."""
    rows = []
    for b, g, k in ((64, 8, 3), (64, 8, 5), (64, 8, 8), (64, 16, 5), (64, 32, 3)):
        inner, joined = [(g, g)] * (k - 1), b + k * g
        osa = pairs((b, g), *inner, (joined, joined // 2))
        csp = pairs((g, g), *inner, (k * g, k * g))
        pcb = pairs((g, g), *inner, (joined // 2, joined // 2))
        paper = (
            b * g + (k - 1) * g * g + joined**2 // 2,
            k * g * g + (k * g) ** 2,
            k * g * g + joined**2 // 4,
        )
        same = "none" if (osa, csp, pcb) == paper else "yes"
        costs = {"OSA": osa, "CSP": csp, "PCB": pcb}
        least = ", ".join(name for name, cost in costs.items() if cost == min(costs.values()))
        rows.append(
            (
                f"{b}, {g}, {k}",
                f"{k * g / b:g}",
                f"{osa:,}",
                f"{csp:,}",
                f"{pcb:,}",
                same,
                "yes" if pcb < csp else "no",
                least,
            )
        )
    return table("b, g, k|kg / b|OSANet|CSP|PCB|difference|PCB < CSP|least", rows)


def tiny_stages() -> str:
    """The stages of YOLOv4-tiny against the table's PCB."""
    rows = []
    for name in ("64", "128", "256"):
        b = int(name)
        with torch.device("meta"):
            stage = STAGES["csp-osa"](b, 2 * b, 2, stride=1, activation="leaky").eval()
            layers = trace_module(stage, torch.zeros(1, b, 8, 8)).layers
        built = add_up(layers).channel_product
        g, k = b // 2, 3
        paper = k * g * g + (b + k * g) ** 2 // 4
        rows.append((b, g, k, f"{paper:,}", f"{built:,}", difference(built, paper)))
    return table("b|g|k|PCB, paper|counted|difference", rows)
