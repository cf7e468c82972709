"""The batch is made to fit before the first epoch, by counting what a step takes."""

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from small import NAMES, write_cfg

from scantling.checkpoints import Model, prepare_model
from scantling.losses import DarknetSettings, Loss
from scantling.training.accelerator import TrialStep, fit_batch_to_memory, free_memory
from scantling.training.model import loss_for
from scantling.training.recipe import Recipe
from scantling.training.resolve import resolve_recipe

SIZE = (64, 64)
CPU = torch.device("cpu")


def no_autocast() -> torch.autocast:
    return torch.autocast("cpu", enabled=False)


@pytest.fixture
def thin(tmp_path: Path) -> tuple[Model, Loss]:
    model = prepare_model(write_cfg(tmp_path), NAMES)
    return model, loss_for(model, Recipe(loss=DarknetSettings()))


def trial(thin: tuple[Model, Loss]) -> TrialStep:
    model, loss = thin
    return TrialStep(model.network, loss, SIZE, CPU, no_autocast)


def count(thin: tuple[Model, Loss], batch: int) -> int:
    return trial(thin).bytes_for_backward(batch)


def test_what_a_step_takes_grows_with_every_image_alike(thin: tuple[Model, Loss]):
    one, two, four = (count(thin, batch) for batch in (1, 2, 4))
    # the maps behind the three convolutions alone: 8 x 32², 8 x 16², 16 x 8² values
    assert one > 4 * (8 * 32**2 + 8 * 16**2 + 16 * 8**2)
    assert two == pytest.approx(2 * one, rel=0.05)
    assert four - two == pytest.approx(2 * (two - one), rel=0.05)


def test_a_trial_step_leaves_weights_statistics_and_gradients_as_they_are(thin: tuple[Model, Loss]):
    network = thin[0].network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    count(thin, 2)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())


def fit(thin: tuple[Model, Loss], batch: int, free: int | None) -> int:
    return trial(thin).fitting_batch(batch, free=lambda: free)


def test_a_batch_is_halved_until_it_fits(thin: tuple[Model, Loss]):
    one = count(thin, 1)
    assert fit(thin, 16, None) == 16
    assert fit(thin, 16, 100 * one) == 16
    found = fit(thin, 16, 16 * one)  # not all of it, as the peak is above what is kept
    assert found in (4, 8)
    assert fit(thin, 16, 8 * one) == found // 2
    assert fit(thin, 16, 1) == 1
    assert fit(thin, 5, 6 * one) == 3


def test_one_image_is_counted_where_batch_norm_takes_none_alone(thin: tuple[Model, Loss]):
    model = prepare_model("efficientdet-d0", NAMES)
    loss = loss_for(model, resolve_recipe([("", {"loss": {"kind": "efficientdet"}})]).recipe)
    size = (128, 128)  # the coarsest map has one cell
    step = TrialStep(model.network, loss, size, CPU, no_autocast)
    assert step.bytes_per_image() == pytest.approx(step.bytes_for_backward(2) / 2, rel=0.01)


def test_a_batch_that_does_not_fit_is_split_and_accumulated_and_said(
    thin: tuple[Model, Loss], logged: list[str]
):
    resolved = resolve_recipe([("given", {"batch": 16, "nominal_batch": 8})])
    fitted = fit_batch_to_memory(resolved, trial(thin), Accelerator(cpu=True), free=lambda: 1)
    assert (fitted.recipe.batch, fitted.recipe.nominal_batch) == (1, 16)
    assert fitted.sources["batch"] == "memory"
    (line,) = logged
    assert "a batch of 16 images of 64x64 does not fit" in line
    assert "1 at once, accumulated to 16" in line


def test_a_batch_that_fits_stays_and_nothing_is_said(thin: tuple[Model, Loss], logged: list[str]):
    resolved = resolve_recipe([("given", {"batch": 4})])
    fitted = fit_batch_to_memory(resolved, trial(thin), Accelerator(cpu=True), free=lambda: 10**12)
    assert fitted is resolved
    assert not logged


def test_free_memory_is_a_plausible_number():
    free = free_memory()
    assert free is None or 2**20 < free < 2**50
