"""A training step: ours (bf16, channels_last, fast Mish) against the fp32 NCHW step, interleaved.

    python benchmarks/train_step.py [--model yolov4-tiny] [--image-size 416] [--batch 8]

Forward, loss, backward and update of one batch, the same network, loss and objects in both. Run it
on an idle machine; prints ms an image, medians with spread, and the ratio in each turn.
"""

import argparse
import statistics
from collections.abc import Callable
from time import perf_counter

import torch

from scantling.blocks import use_fast_mish
from scantling.detector import build_detector
from scantling.losses import build_loss
from scantling.specs import find_spec
from scantling.structures import Targets
from scantling.training.recipes import RECIPES, recipe_name
from scantling.training.resolve import resolve_recipe

OBJECTS = 8  # an image


def make_step(name: str, size: int, batch: int, *, fast: bool) -> Callable[[], None]:
    """One update of a fresh network on a fixed batch."""
    torch.manual_seed(0)
    spec = find_spec(name)
    recipe = resolve_recipe([("", RECIPES[recipe_name(name, head=spec.head.kind)])]).recipe
    network = build_detector(spec).train()
    loss = build_loss(spec.levels, spec.num_classes, recipe.loss)
    images = torch.rand(batch, 3, size, size)
    if fast:
        use_fast_mish(network)
        network.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9)
    corner = torch.rand(batch * OBJECTS, 2) * 0.6
    boxes = torch.cat([corner, corner + 0.05 + torch.rand(batch * OBJECTS, 2) * 0.3], 1) * size
    targets = Targets(
        boxes,
        torch.randint(0, spec.num_classes, (batch * OBJECTS,)),
        torch.arange(batch).repeat_interleave(OBJECTS),
    )

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            raw = network(images)
        loss(raw, targets, (size, size)).total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def main() -> None:
    """Time both in turns."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="yolov4-tiny")
    parser.add_argument("--image-size", type=int, default=416)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--turns", type=int, default=12)
    arguments = parser.parse_args()
    steps = {
        "fp32 NCHW": make_step(arguments.model, arguments.image_size, arguments.batch, fast=False),
        "scantling": make_step(arguments.model, arguments.image_size, arguments.batch, fast=True),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(arguments.turns + 2):
        for name, step in steps.items():
            start = perf_counter()
            step()
            if turn >= 2:  # warm-up
                times[name].append((perf_counter() - start) / arguments.batch * 1e3)
    for name, values in times.items():
        print(
            f"{name:10} {statistics.median(values):7.1f} ms an image "
            f"({min(values):.1f} to {max(values):.1f})"
        )
    ratios = [a / b for a, b in zip(times["fp32 NCHW"], times["scantling"], strict=True)]
    print(f"ratio      {statistics.median(ratios):7.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
