"""Recipes in short runs: what is shortened, what the user set, and that it is said."""

from pathlib import Path
from typing import Any

import pytest
from small import CFG, NAMES

from logged import logged_lines
from scantling.checkpoints import prepare_model
from scantling.training.plan import StepPlan
from scantling.training.recipes import RECIPES, recipe_of_model
from scantling.training.resolve import ResolvedRecipe, fit_to_length, parse_settings, resolve_recipe


def fitted(name: str, given: list[str], *, images: int = 200) -> tuple[ResolvedRecipe, list[str]]:
    layers = [(f"recipe {name}", RECIPES[name]), ("given", parse_settings(given))]
    with logged_lines() as lines:
        return fit_to_length(resolve_recipe(layers), images), lines


@pytest.mark.parametrize(
    ("epochs", "closing", "warmup"), [(1, 0, 0.33), (6, 1, 2), (8, 2, 2), (42, 8, 2), (300, 8, 2)]
)
def test_small_keeps_mosaic_and_leaves_its_warm_up_early(epochs: int, closing: int, warmup: float):
    found, lines = fitted("small", [f"epochs={epochs}"])
    assert found.recipe.close_mosaic == closing
    assert found.recipe.schedule.warmup_epochs == pytest.approx(warmup, abs=0.01)
    assert bool(lines) == (epochs < 32)
    if epochs == 6:
        assert lines == ["WARNING: shortened for a run of 6 epochs: close_mosaic 8 → 1"]
        rows = {name: (value, source) for name, value, source in found.rows()}
        assert rows["close_mosaic"] == (1, "recipe small, shortened")


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("epochs", [1, 5, 30])
def test_no_recipe_warms_up_longer_than_a_third_or_is_without_mosaic_for_more_than_a_quarter(
    name: str, epochs: int
):
    recipe = fitted(name, [f"epochs={epochs}"])[0].recipe
    per_epoch = -(-200 // recipe.batch)
    assert recipe.warmup_batches(per_epoch) <= epochs * per_epoch / 3 + 1
    assert recipe.close_mosaic <= epochs / 4


def test_a_long_run_keeps_what_the_paper_says():
    assert (
        fitted("darknet", ["epochs=300"], images=100_000)[0].recipe
        == resolve_recipe([("x", RECIPES["darknet"])]).recipe
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["close_mosaic=6"], "close_mosaic 6 (given) is all of a run of 6 epochs"),
        (["schedule.warmup_epochs=4"], "the warm-up is 3 epochs, half of a run of 6 epochs"),
    ],
)
def test_what_the_user_set_stays_and_is_told_where_it_leaves_nothing(given: list[str], said: str):
    found, lines = fitted("scaled-yolov4", ["epochs=6", "schedule.warmup_least=0", *given])
    wanted: Any = dict(row.split("=") for row in given)
    rows = {name: value for name, value, _ in found.rows()}
    assert {name: rows[name] for name in wanted} == {k: float(v) for k, v in wanted.items()}
    assert any(said in line for line in lines), lines


@pytest.mark.parametrize(
    ("net", "images", "given", "epochs"),
    [
        ("max_batches=100", 10, [], 40),  # of 100 updates of 4 images
        ("max_batches=100", 7, [], 57),
        ("max_batches=100", 4000, [], 1),
        ("max_batches=100", 10, ["epochs=3"], 3),
        ("max_batches=100", 10, ["batch=1"], 40),
        ("max_batches=0", 10, [], 300),
        ("", 10, [], 300),
    ],
)
def test_a_run_is_as_long_as_its_cfg_says(
    net: str, images: int, given: list[str], epochs: int, tmp_path: Path
):
    (tmp_path / "thin.cfg").write_text(CFG.replace("max_batches=100", net))
    model = prepare_model(tmp_path / "thin.cfg", NAMES)
    layers = [recipe_of_model(model, images=images), ("given", parse_settings(given))]
    with logged_lines() as lines:
        found = fit_to_length(resolve_recipe(layers), images)
    assert found.recipe.epochs == epochs
    followed = net == "max_batches=100" and given != ["epochs=3"]
    told = f"thin.cfg: max_batches × batch / {images:,} images is a run of {epochs} epoch"
    assert any(told in line for line in lines) == followed
    source = {name: source for name, _, source in found.rows()}["epochs"]
    assert (source == "thin.cfg") == followed


def test_the_updates_of_a_run_are_those_of_its_cfg(tmp_path: Path):
    steps = "max_batches=100\nsteps=50,80\nscales=.1,.1\npolicy=steps"
    (tmp_path / "thin.cfg").write_text(
        CFG.replace("max_batches=100", steps).replace("policy=constant\n", "")
    )
    model = prepare_model(tmp_path / "thin.cfg", NAMES)
    recipe = resolve_recipe([recipe_of_model(model, images=20)]).recipe
    plan = StepPlan(recipe, 20, (64, 64), 8)
    assert plan.updates == 100
    assert recipe.schedule.steps == (0.5, 0.8)


def test_a_run_of_millions_of_updates_is_counted_at_once():
    recipe = RECIPES["scaled-yolov4"]
    settings = {"epochs": 10**9, "batch": 3, "nominal_batch": 7}
    found = resolve_recipe([("x", recipe), ("y", settings)]).recipe
    assert StepPlan(found, 10, (64, 64), 32).updates > 10**9
