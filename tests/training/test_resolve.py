"""Recipes: published values, layers on one another, and every mistake told at once."""

from pathlib import Path

import pytest

from scantling.errors import InvalidSettings
from scantling.specs import CATALOG
from scantling.training.recipes import RECIPES, recipe_name
from scantling.training.resolve import parse_settings, read_run_file, resolve_recipe


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_one(name: str):
    kind = resolve_recipe([(name, RECIPES[name])]).recipe.loss.kind
    assert name.startswith(kind) or (name, kind) == ("small", "scaled-yolov4")


def test_every_variant_has_the_recipe_of_its_family():
    found = {name: recipe_name(name, head=spec.head.kind) for name, spec in CATALOG.items()}
    assert found["yolov4"] == found["yolov4-sam-mish"] == "darknet"
    assert found["yolov4-tiny"] == found["yolov4-tiny-3l"] == "darknet-tiny"
    assert found["yolov4-csp"] == found["yolov4x-mish"] == "scaled-yolov4"
    assert {found[f"yolov4-p{level}"] for level in (5, 6, 7)} == {"scaled-yolov4-large"}
    assert {found[name] for name in found if name.startswith("eff")} == {"efficientdet"}


def test_published_values():
    tiny = resolve_recipe([("x", RECIPES["darknet-tiny"])]).recipe
    assert (tiny.optimizer.learning_rate, tiny.optimizer.momentum) == (0.00261, 0.9)
    assert (tiny.schedule.warmup_least, tiny.schedule.warmup_power) == (1000, 4)
    scaled = resolve_recipe([("x", RECIPES["scaled-yolov4"])]).recipe
    assert (scaled.optimizer.learning_rate, scaled.optimizer.momentum) == (0.01, 0.937)
    efficient = resolve_recipe([("x", RECIPES["efficientdet"])]).recipe
    assert (efficient.optimizer.learning_rate, efficient.optimizer.clip_norm) == (0.08, 10)


def test_the_stronger_layer_wins_and_every_value_says_where_it_is_from(tmp_path: Path):
    file = tmp_path / "run.toml"
    file.write_text("epochs = 7\n[optimizer]\nmomentum = 0.5\n")
    resolved = resolve_recipe(
        [
            ("recipe darknet", RECIPES["darknet"]),
            (str(file), read_run_file(file)),
            ("--set", parse_settings(["optimizer.momentum=0.6", "freeze=['backbone']"])),
        ]
    )
    rows = {name: (value, source) for name, value, source in resolved.rows()}
    assert rows["optimizer.momentum"] == (0.6, "--set")
    assert rows["epochs"] == (7, str(file))
    assert rows["optimizer.learning_rate"] == (0.0013, "recipe darknet")
    assert rows["seed"] == (0, "default")
    assert resolved.recipe.freeze == ("backbone",)


def test_another_kind_leaves_nothing_of_the_old_one():
    resolved = resolve_recipe(
        [("a", RECIPES["darknet"]), ("b", parse_settings(["loss.kind=efficientdet"]))]
    )
    assert resolved.recipe.loss.kind == "efficientdet"
    assert resolved.recipe.loss.box_gain == 50


def test_all_mistakes_are_told_together():
    with pytest.raises(InvalidSettings) as error:
        resolve_recipe(
            [("--set", parse_settings(["epochs=-3", "optimizer.momentun=1", "schedule.kind=cos"]))]
        )
    text = str(error.value)
    assert "epochs (--set): -3 given; input should be greater than 0" in text
    assert "optimizer.momentun (--set): there is no such setting. Did you mean" in text
    assert "schedule.kind (--set)" in text
    assert len(error.value.problems) == 3


@pytest.mark.parametrize(
    ("word", "new"),
    [
        ("optimiser.momentum=0.5", "optimizer"),
        ("average.decay=0.5", "ema"),
        ("regularise.norm='frn'", "regularization"),
        ("adversarial.probability=0.5", "self_adversarial"),
    ],
)
def test_the_old_name_of_a_group_says_the_new_one(word: str, new: str):
    old = word.partition(".")[0]
    with pytest.raises(InvalidSettings, match=rf"{old} \(--set\): it is called {new} now$"):
        resolve_recipe([("--set", parse_settings([word]))])


@pytest.mark.parametrize("text", ["a = [", "\udcff", "x" * 10])
def test_what_is_no_toml_is_told(tmp_path: Path, text: str):
    file = tmp_path / "run.toml"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InvalidSettings, match="is no TOML"):
        read_run_file(file)


def test_a_word_without_a_value_is_told():
    with pytest.raises(InvalidSettings, match="'epochs': expected key=value"):
        parse_settings(["epochs"])


def test_another_schedule_or_optimizer_keeps_what_both_have():
    words = ["schedule.final=0.5", "schedule.kind=cosine", "optimizer.kind=adamw"]
    recipe = resolve_recipe(
        [("recipe", RECIPES["darknet"]), ("given", parse_settings(words))]
    ).recipe
    assert (recipe.schedule.kind, recipe.schedule.final) == ("cosine", 0.5)
    assert (recipe.schedule.warmup_least, recipe.schedule.warmup_power) == (1000, 4)
    assert (recipe.optimizer.kind, recipe.optimizer.learning_rate) == ("adamw", 0.0013)


def test_another_kind_may_stand_behind_its_settings():
    words = ["loss.label_smoothing=0.1", "loss.kind=scaled-yolov4"]
    words += ["augment.settings.mixup=0.3", "augment.kind=scaled-yolov4"]
    resolved = resolve_recipe([("recipe", RECIPES["darknet"]), ("given", parse_settings(words))])
    assert resolved.recipe.loss.label_smoothing == 0.1
    assert resolved.recipe.loss.kind == "scaled-yolov4"
    assert resolved.recipe.augment.settings == {"mixup": 0.3}
    assert "augment.settings.jitter" not in resolved.sources
    assert resolved.sources["augment.settings.mixup"] == "given"


def test_the_loss_of_no_kind_is_that_of_the_default():
    recipe = resolve_recipe([("given", parse_settings(["loss.box_gain=0.1"]))]).recipe
    assert (recipe.loss.kind, recipe.loss.box_gain) == ("scaled-yolov4", 0.1)


@pytest.mark.parametrize("word", ["momentum=0", "momentum=1"])
def test_what_no_optimizer_can_do_is_told_before_it_is_built(word: str):
    with pytest.raises(InvalidSettings, match=r"optimizer.*\(--set\)"):
        resolve_recipe([("--set", parse_settings([f"optimizer.{word}"]))])


@pytest.mark.parametrize(
    ("base", "given", "said"),
    [
        ("small", "mosaic=0", "Did you mean 'augment.settings.mosaic'?"),
        ("small", "augment.mixup=0.1", "Did you mean 'augment.settings.mixup'?"),
        ("small", "momentum=0.8", "Did you mean 'optimizer.momentum'?"),
        ("darknet", "kind=adamw", "'optimizer.kind' or 'schedule.kind'"),
        ("small", "lr0=0.01", "Did you mean 'optimizer.learning_rate'?"),
        ("small", "focal=true", "With loss.kind=darknet there is one; here loss.kind is scaled-"),
        ("small", "loss.focal=true", "Did you mean 'loss.focal_gamma'?"),
        ("darknet", "degrees=5", "With augment.kind=scaled-yolov4 there is one"),
        ("darknet", "zzz=1", "There are epochs, batch, nominal_batch"),
    ],
)
def test_a_setting_is_found_by_the_last_part_of_its_name(base: str, given: str, said: str):
    with pytest.raises(InvalidSettings) as raised:
        resolve_recipe([("recipe", RECIPES[base]), ("given", parse_settings([given]))])
    assert said in str(raised.value)


@pytest.mark.parametrize("size", [128, "[128, 128]"])
def test_an_image_size_may_be_one_side(size: object):
    resolved = resolve_recipe([("given", parse_settings([f"image_size={size}"]))])
    assert resolved.recipe.image_size == (128, 128)


@pytest.mark.parametrize("size", [0, "'large'", 12.5, "[64, 64, 64]", "[64, -1]"])
def test_a_wrong_image_size_is_told_what_one_is(size: object):
    with pytest.raises(InvalidSettings, match=r"such as 416, or \(height, width\)"):
        resolve_recipe([("given", parse_settings([f"image_size={size}"]))])
