"""The loop: it learns, resumes to the bit, accumulates exactly, and stops when the loss breaks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from scantling.errors import TrainingDiverged
from scantling.structures import Batch, LossTerms, Targets
from scantling.training.ema import EMA
from scantling.training.loop import Trainer
from scantling.training.optimizer import build_optimizer
from scantling.training.plan import StepPlan
from scantling.training.recipe import (
    EmaSettings,
    OptimizerSettings,
    Recipe,
    RegularizationSettings,
    ScheduleSettings,
)
from scantling.training.state import TrainState, load_state, read_notes, save_state

IMAGES = torch.randint(0, 255, (12, 3, 8, 8), generator=torch.Generator().manual_seed(0))


def loss(
    raw: Tensor, targets: Targets, image_size: tuple[int, int], *, all_reduce=None
) -> LossTerms:
    total = (raw - 3).square().mean()
    zero = total.detach() * 0
    return LossTerms(total, zero, zero, total)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.3), nn.Conv2d(4, 2, 1))


def recipe(**changes: object) -> Recipe:
    settings = {
        "epochs": 3,
        "batch": 2,
        "nominal_batch": 4,
        "schedule": ScheduleSettings(warmup_epochs=1),
        "optimizer": OptimizerSettings(learning_rate=0.05, clip_norm=5),
    }
    return Recipe(**{**settings, **changes})


def batches(plan: StepPlan, start: int):
    empty = Targets(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0).long())
    for step in plan.iterate(start=start):
        for rows in step.batches:
            images = IMAGES[list(rows)].to(torch.uint8)
            yield Batch(images, empty, rows)


def run(
    chosen: Recipe, *, stop: int | None = None, resume: Path | None = None, save=None, net=None
):
    net = net or network()
    state = TrainState(net, build_optimizer(net, chosen.optimizer), EMA(net, chosen.ema))
    if resume:
        load_state(state, resume)
    plan = StepPlan(chosen, len(IMAGES), (8, 8), 1)
    trainer = Trainer(plan, loss, Accelerator(cpu=True), lambda images: images.float() / 255)
    totals = []
    for report in trainer.steps(state, batches(plan, state.done)):
        totals.append(float(report.terms.total))
        if save:
            save_state(state, save, notes={"name": "x"})
        if report.step.index + 1 == stop:
            break
    return state, totals


def weights(state: TrainState) -> dict[str, Tensor]:
    whole = {**state.network.state_dict(), **dict(state.network.named_buffers())}
    return {**whole, **{f"a.{k}": v for k, v in state.ema.network.state_dict().items()}}


def test_it_learns():
    _, totals = run(recipe(epochs=20))
    assert totals[-1] < 0.2 * totals[0]


@pytest.mark.parametrize("stop", [1, 4, 8])
@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, stop: int, kind: str):
    chosen = recipe(optimizer=OptimizerSettings(kind=kind, learning_rate=0.05))
    whole, totals = run(chosen)
    file = tmp_path / "state"
    run(chosen, stop=stop, save=file)
    torch.rand(7)  # what happens between does not matter
    resumed, later = run(chosen, resume=file)
    assert read_notes(file) == {"name": "x", "done": stop}
    assert later == totals[stop:]
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(resumed)[name]), name


def test_accumulated_batches_have_the_gradient_of_one():
    net = nn.Sequential(nn.Conv2d(3, 2, 3))  # nothing that looks at the whole batch
    start = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    found = []
    for batch in (1, 4):
        net.load_state_dict(start)
        plain = OptimizerSettings(learning_rate=0.01, weight_decay=0, nesterov=False)
        schedule = ScheduleSettings(warmup_epochs=0, kind="constant")
        run(recipe(batch=batch, optimizer=plain, schedule=schedule), stop=2, net=net)
        found.append(net[0].weight.detach().clone())
    torch.testing.assert_close(*found)
    assert not torch.equal(found[0], start["0.weight"])


def test_gradients_are_clipped_to_their_norm():
    strict = OptimizerSettings(learning_rate=1, clip_norm=1e-3, weight_decay=0, nesterov=False)
    chosen = recipe(optimizer=strict, schedule=ScheduleSettings(warmup_epochs=0))
    before = torch.cat([p.detach().flatten() for p in network().parameters()])
    state, _ = run(chosen, stop=1)
    after = torch.cat([p.detach().flatten() for p in state.network.parameters()])
    assert float((after - before).norm()) == pytest.approx(1e-3, rel=1e-3)


def test_the_average_follows_by_its_formula():
    chosen = recipe(ema=EmaSettings(decay=0.9, ramp=0))
    expected = network().state_dict()["0.weight"].clone()
    net = network()
    state = TrainState(net, build_optimizer(net, chosen.optimizer), EMA(net, chosen.ema))
    plan = StepPlan(chosen, len(IMAGES), (8, 8), 1)
    trainer = Trainer(plan, loss, Accelerator(cpu=True), lambda images: images.float() / 255)
    for _ in trainer.steps(state, batches(plan, 0)):
        expected = 0.9 * expected + 0.1 * net.state_dict()["0.weight"]
    torch.testing.assert_close(state.ema.network.state_dict()["0.weight"], expected)


def test_a_loss_that_breaks_stops_the_run_and_names_the_images():
    net = network()
    with torch.no_grad():
        net[0].weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(TrainingDiverged, match=r"total nan.*Images of the update: \d+, \d+"):
        run(recipe(), net=net)


def test_frozen_parts_stay_and_keep_their_statistics():
    from scantling.training.optimizer import freeze

    net = network()
    freeze(net, ["0", "1"])
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    run(recipe(), net=net)
    changed = {n for n, t in net.state_dict().items() if not torch.equal(t, before[n])}
    assert changed == {"3.weight", "3.bias"}


def test_the_seed_of_a_step_decides_what_is_dropped():
    one, other = (
        run(recipe(seed=seed, regularization=RegularizationSettings()))[1] for seed in (0, 1)
    )
    assert one != other
    assert run(recipe(seed=0))[1] == one


def test_kernels_alone_decay():
    optimizer = build_optimizer(network(), OptimizerSettings(weight_decay=0.1))
    groups = {group["name"]: group for group in optimizer.param_groups}
    assert [p.ndim for p in groups["kernels"]["params"]] == [4, 4]
    assert {name: group["weight_decay"] for name, group in groups.items()} == {
        "kernels": 0.1,
        "others": 0.0,
        "biases": 0.0,
    }
    assert np.all([p.ndim == 1 for p in groups["biases"]["params"]])


def test_the_network_itself_stays_free_of_the_precision_of_training():
    net = network()
    plan = StepPlan(recipe(ema=EmaSettings(decay=0)), len(IMAGES), (8, 8), 1)
    seen = []
    accelerator = Accelerator(cpu=True, mixed_precision="bf16")

    def noted(raw: Tensor, *rest: object, **more: object) -> LossTerms:
        seen.append(raw.dtype)
        return loss(raw.float(), *rest, **more)

    trainer = Trainer(plan, noted, accelerator, lambda images: images.float() / 255)
    state = TrainState(net, build_optimizer(net, plan.recipe.optimizer), None)
    for _ in trainer.steps(state, batches(plan, 0)):
        with torch.no_grad():
            assert net(IMAGES[:2] / 255).dtype == torch.float32
    assert set(seen) == {torch.bfloat16}
