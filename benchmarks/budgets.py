"""Random latency budgets on this machine: is the chosen model, measured, within its budget?

    scantling device measure --engine openvino --minutes 3 --out box.json
    python benchmarks/budgets.py box.json --budgets 50

Each budget is drawn between the fastest model and `--longest`, half of them with a limit of
parameters or memory too. The models that they lead to are measured by turns, a few rounds of all of
them, and the middle one of a model's turns counts: on a machine with neighbours a single one may
fall into minutes in which everything takes half as long again.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from rich.progress import track

from scantling.errors import InfeasibleBudget
from scantling.scaling.search import MeasuredLatency, ScaledModel, open_device, verify_latency
from scantling.scaling.search.budget import USUAL_IMAGE, Budget
from scantling.scaling.search.candidate_table import CandidateTable, make_candidate_table
from scantling.scaling.search.scaled_model import choose


def draw_budget(rng: np.random.Generator, table: CandidateTable, longest: float) -> Budget:
    """A budget of latency, half of the time with another limit."""
    least = float(table.limit_value("latency").min())
    budget = Budget(latency=float(np.exp(rng.uniform(np.log(least), np.log(longest)))))
    other = rng.choice(["none", "none", "parameters", "memory"])
    if other == "none":
        return budget
    low, high = np.percentile(table.limit_value(other), [2, 98])
    return replace(budget, **{other: float(np.exp(rng.uniform(np.log(low), np.log(high))))})


def main() -> None:
    """Draw, choose, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("device")
    parser.add_argument("--budgets", type=int, default=50)
    parser.add_argument("--longest", type=float, default=0.5, help="seconds")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each model and round")
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    rng = np.random.default_rng(told.seed)
    device = open_device(told.device)
    print(device.description)
    tables = {
        like: make_candidate_table(like, image=USUAL_IMAGE, cost_models=device.cost_models)
        for like in ("yolov4", "efficientdet", "both")
    }
    drawn: list[tuple[str, float, str]] = []
    chosen: dict[str, ScaledModel] = {}
    while len(drawn) < told.budgets:
        like = str(rng.choice(list(tables)))
        budget = draw_budget(rng, tables[like], told.longest)
        try:
            found = choose(budget, tables[like], device=device, dataset=None, num_classes=80)
        except InfeasibleBudget:
            continue
        chosen.setdefault(found.spec.name, found)
        drawn.append((like, budget.latency or 0.0, found.spec.name))
    measured = measure(chosen, rounds=told.rounds, seconds=told.seconds)
    met = 0
    for like, limit, name in drawn:
        one = replace(measured[name], limit=limit)
        met += one.passed
        print(f"{like:13} {name:30} {one.describe()}", flush=True)
    errors = [abs(one.predicted[0] / one.seconds - 1) for one in measured.values()]
    print(f"met: {met} of {len(drawn)}; median error of {len(errors)}: {np.median(errors):.1%}")


def measure(
    chosen: dict[str, ScaledModel], *, rounds: int, seconds: float
) -> dict[str, MeasuredLatency]:
    """Each model's middle turn, by its name."""
    turns: dict[str, list[MeasuredLatency]] = {name: [] for name in chosen}
    with TemporaryDirectory() as home:
        for name in track([*chosen] * rounds, "measuring"):
            torch.manual_seed(0)  # the same weights: what was converted is found again
            found = verify_latency(chosen[name], seconds=seconds, cache=Path(home) / name)
            turns[name].append(found)
    return {name: middle(own) for name, own in turns.items()}


def middle(turns: list[MeasuredLatency]) -> MeasuredLatency:
    """The turn whose median is in the middle."""
    return sorted(turns, key=lambda one: one.seconds)[len(turns) // 2]


if __name__ == "__main__":
    main()
