"""Every recipe with a variant of its family: an update is finite, and weights follow."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_networks import joint_batches, make_run, settle, small_model

from scantling.augment import TRANSFORMS, Affine, CutOut, create
from scantling.specs import CATALOG, InputSpec
from scantling.structures import Sample
from scantling.training.data import make_augmentation, make_mixers
from scantling.training.folder import RunFolder, read_settings
from scantling.training.recipe import AugmentSettings, Recipe
from scantling.training.recipes import RECIPES, recipe_name

VARIANTS = {
    "darknet": "yolov4",
    "darknet-tiny": "yolov4-tiny-3l",
    "efficientdet": "efficientdet-d0",
    "scaled-yolov4": "yolov4-csp",
    "scaled-yolov4-finetune": "yolov4-p6",
    "scaled-yolov4-large": "yolov4-p5",
    "small": "yolov4-tiny",
}


def test_every_recipe_is_tried():
    assert VARIANTS.keys() == RECIPES.keys()
    for recipe, variant in list(VARIANTS.items())[:-1]:  # but the one that is nobody's own
        own = recipe_name(variant, head=CATALOG[variant].head.kind)
        assert own == recipe.replace("finetune", "large")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", VARIANTS)
def test_an_update_is_finite_and_weights_follow(name: str, precision: str):
    model = small_model(VARIANTS[name])
    before = {key: one.detach().clone() for key, one in model.network.named_parameters()}
    recipe = settle(name, precision=precision, batch=2, nominal_batch=2)
    state, trainer = make_run(model, recipe, size=(128, 128))
    terms = next(trainer.steps(state, joint_batches(trainer.plan))).terms
    for value in (terms.box, terms.objectness, terms.classes, terms.total):
        assert torch.isfinite(value)
    assert terms.total.dtype == torch.float32
    torch.testing.assert_close(terms.total, terms.box + terms.objectness + terms.classes)
    kernels = {key: one for key, one in state.network.named_parameters() if one.ndim > 1}
    moved = [not torch.equal(one, before[key]) for key, one in kernels.items()]
    assert sum(moved) > 0.95 * len(moved)
    for parameter in state.network.parameters():
        assert parameter.dtype == torch.float32
        assert torch.isfinite(parameter).all()


@pytest.mark.parametrize("norm", ["sync", "cross", "cross-mini", "frn"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_normalisation_learns_in_every_precision(norm: str, precision: str):
    changes = {
        "precision": precision,
        "batch": 2,
        "nominal_batch": 4,
        "regularization": {"norm": norm, "drop_block": 0.1, "drop_ramp": 0.1},
        "self_adversarial": {"probability": 1.0},
    }
    model = small_model()
    state, trainer = make_run(model, settle("scaled-yolov4", **changes))
    for report in trainer.steps(state, joint_batches(trainer.plan)):
        assert torch.isfinite(report.terms.total)
    before = dict(small_model().network.named_parameters())
    for name, one in state.network.named_parameters():
        assert torch.isfinite(one).all()
        assert name.endswith("threshold") or not torch.equal(one, before[name])


@pytest.mark.parametrize("name", RECIPES)
def test_the_augmentation_of_every_recipe_can_be_made(name: str):
    recipe = settle(name)
    spec = CATALOG[VARIANTS[name]].input
    made = make_augmentation(recipe.augment, input_spec=spec)((64, 96))
    for setting, value in recipe.augment.settings.items():
        given = tuple(value) if isinstance(value, list) else value
        assert getattr(made, setting) == given
    assert made.image_size == (64, 96)


@pytest.mark.parametrize("name", CATALOG)
def test_every_variant_is_trained_on_the_padding_that_it_predicts_on(name: str):
    spec = CATALOG[name]
    recipe = settle(recipe_name(name, head=spec.head.kind))
    made = make_augmentation(recipe.augment, input_spec=spec.input)((64, 64)).without_mixing()
    plain = {"hue": 0, "value": 0, "exposure": 1, "saturation": 1 if hasattr(made, "blur") else 0}
    made = replace(made, **{key: one for key, one in plain.items() if hasattr(made, key)})
    none = np.zeros(0, np.int64)
    boxes = np.zeros((0, 4), np.float32)
    black = Sample(np.zeros((16, 64, 3), np.uint8), boxes, none, none.astype(bool), 0)
    seen: Counter[tuple[int, ...]] = Counter()
    for seed in range(10):
        image = made(black, np.random.default_rng(seed), draw=None).image
        seen.update(map(tuple, image.reshape(-1, 3).tolist()))
    del seen[0, 0, 0]  # the image itself; where it ends, the two are blended
    pad_value = spec.input.pad_value
    if recipe.augment.kind == "darknet":  # pads with the mean colour of the image, as darknet does
        assert not seen
        return
    expected = pad_value if isinstance(pad_value, tuple) else (pad_value,) * 3
    assert seen.most_common(1)[0][0] == expected


def test_the_padding_of_the_model_is_that_of_extra_transforms_and_mixers():
    settings = AugmentSettings(
        extra=(
            {"name": "affine"},
            {"name": "scale-jitter", "settings": {"pad_value": 3}},
            {"name": "darknet-crop"},  # pads with the mean colour of the image, as darknet does
        ),
        mixers=({"name": "mixup"}, {"name": "darknet-mosaic"}),
    )
    spec = InputSpec(pad_value=7)
    extra = make_augmentation(settings, input_spec=spec)((64, 64)).extra
    assert [one.pad_value for one in extra] == [7, 3, None]
    assert [one.pad_value for one in make_mixers(settings, input_spec=spec)] == [7, None]


@pytest.mark.parametrize(
    ("kind", "padding"), [("scaled-yolov4", 114), ("efficientdet", (124, 116, 104))]
)
def test_a_run_of_the_first_version_is_resumed_with_its_own_padding(tmp_path, kind, padding):
    extra = [
        {"name": "affine", "settings": {}},
        {"name": "scale-jitter", "settings": {"scale": [0.5, 1]}},
        {"name": "darknet-crop", "settings": {}},
        {"name": "scale-jitter", "settings": {"fill": 3}},
        {"name": "blur", "settings": {}},
    ]
    names = ("mixup", "cutmix", "scaled-mosaic", "darknet-mosaic")
    mixers = [{"name": name, "probability": 0.5, "settings": {}} for name in names]
    augment = {"kind": kind, "settings": {}, "extra": extra, "mixers": mixers}
    args = dict.fromkeys(("model", "data", "weights", "split", "validation_split", "format"), "a")
    args |= {"max_data_errors": 0, "device": "cpu", "trackers": [], "seed": 0}
    tables = {"data": {}, "settings": {}, "recipe": {"augment": augment}, "sources": {}}
    folder, spec = RunFolder(tmp_path), InputSpec(pad_value=7)

    def padding_of(args_key: str) -> list[object]:
        folder.settings.write_text(json.dumps({args_key: args, **tables}))
        read = Recipe.model_validate(read_settings(folder).recipe).augment
        whole = make_augmentation(read, input_spec=spec)((64, 64))
        made = [whole, *whole.extra, *make_mixers(read, input_spec=spec)]
        return [one.pad_value for one in made if hasattr(one, "pad_value")]

    mean = (124, 116, 104)
    assert padding_of("begun") == [padding, 114, mean, None, 3, 114, 114, 114, None]
    assert padding_of("args") == [7, 7, 7, None, 3, 7, 7, 7, None]


def test_settings_of_a_run_made_before_still_name_the_padding():
    assert create(TRANSFORMS, "affine", {"fill": 7}) == Affine(pad_value=7)
    assert create(TRANSFORMS, "cutout", {"fill": 7}) == CutOut(fill=7)


def test_published_gains_and_warm_ups():
    csp, large, tuned = (
        settle(name, schedule={})
        for name in ("scaled-yolov4", "scaled-yolov4-large", "scaled-yolov4-finetune")
    )
    gains = [(r.loss.box_gain, r.loss.objectness_gain, r.loss.class_gain) for r in (csp, large)]
    assert gains == [(0.05, 0.7, 0.3), (0.05, 1.0, 0.5)]
    assert tuned.loss == large.loss
    assert (csp.schedule.warmup_momentum, large.schedule.warmup_momentum) == (0.8, 0.9)
