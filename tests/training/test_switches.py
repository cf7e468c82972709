"""Every switch of a recipe reaches what it is meant for: each by a figure that it must change."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import NAMES, SIZE, joint_batches, make_run, settle, small_model, some_batch
from torch import Tensor, nn

from labelled import make_dataset
from scantling.blocks import (
    CrossIterationNorm,
    CrossMiniBatchNorm,
    DropBlock,
    DropConnect,
    DropPath,
    FilterResponseNorm,
    SpatialDropout,
    SyncNorm,
    set_norms,
)
from scantling.checkpoints import Model, load_native, prepare_model, save_model
from scantling.darknet.layers import DarknetDropBlock
from scantling.datasets.loader import Task, open_training_set
from scantling.engines import EngineSettings
from scantling.engines.torch_engine import TorchEngine
from scantling.errors import InvalidSettings, InvalidValue
from scantling.training.data import make_augmentation, make_mixers
from scantling.training.model import add_regularization, fit_model_anchors, loss_for
from scantling.training.optimizer import freeze
from scantling.training.recipe import Recipe
from scantling.training.resolve import parse_settings, resolve_recipe
from scantling.training.state import TrainState

IMAGES = some_batch(range(2)).images.float() / 255
NORMS = {
    "batch": nn.BatchNorm2d,
    "sync": SyncNorm,
    "cross": CrossIterationNorm,
    "cross-mini": CrossMiniBatchNorm,
    "frn": FilterResponseNorm,
}
CFG = """[net]
width=96
height=96
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
stride=8
pad=1
activation=leaky
{}
[convolutional]
filters=16
size=1
stride=1
activation=linear
[yolo]
mask=0,1
anchors=10,14, 40,60
classes=3
num=2
"""


def cfg_model(folder: Path, between: str = "") -> Model:
    (folder / "small.cfg").write_text(CFG.format(between))
    return prepare_model(folder / "small.cfg", NAMES)


def set_to(*words: str) -> Recipe:
    return resolve_recipe([("--set", parse_settings(words))]).recipe


def first_update(words: tuple[str, ...] = (), *, updates: int = 1) -> TrainState:
    recipe = settle("scaled-yolov4", **parse_settings(words))
    state, trainer = make_run(small_model(), recipe)
    for _ in islice(trainer.steps(state, joint_batches(trainer.plan)), updates):
        pass
    return state


def loss_of(*words: str) -> float:
    model = small_model()
    batch = some_batch(range(2))
    noise = torch.Generator().manual_seed(0)
    raw = [torch.randn(2, 24, side, side, generator=noise) for side in (6, 3)]
    return float(loss_for(model, set_to(*words))(raw, batch.targets, SIZE).total)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        *(("darknet", [f"loss.box_loss={box}"]) for box in ("mse", "iou", "giou", "diou")),
        ("darknet", ["loss.label_smoothing=0.2"]),
        ("darknet", ["loss.focal=true"]),
        ("darknet", ["loss.hard_negatives=3"]),
        ("darknet", ["loss.match_threshold=1"]),
        ("darknet", ["loss.ignore_threshold=0.1"]),
        ("darknet", ["loss.objectness_gain=[1.0, 3.0]"]),
        *(("scaled-yolov4", [f"loss.box_loss={box}"]) for box in ("mse", "iou", "giou", "diou")),
        ("scaled-yolov4", ["loss.label_smoothing=0.2"]),
        ("scaled-yolov4", ["loss.focal_gamma=1.5"]),
        ("scaled-yolov4", ["loss.hard_negatives=3"]),
        ("scaled-yolov4", ["loss.anchor_ratio=2"]),
        ("scaled-yolov4", ["loss.level_balance=[1.0, 3.0]"]),
    ],
)
def test_a_setting_of_the_loss_changes_it(kind: str, words: list[str]):
    assert loss_of(f"loss.kind={kind}", *words) != loss_of(f"loss.kind={kind}")


@pytest.mark.parametrize(
    ("words", "kind", "count"),
    [
        (["regularization.drop_block=0.3", "regularization.drop_block_size=3"], DropBlock, 1),
        (["regularization.spatial_dropout=0.3"], SpatialDropout, 1),
        (["regularization.drop_path=0.5"], DropPath, 3),
        (["regularization.drop_connect=0.3"], DropConnect, 10),
    ],
)
def test_what_is_dropped_changes_training_and_nothing_else(
    words: list[str], kind: type, count: int
):
    name = "yolov4-csp" if kind is DropPath else "yolov4-tiny"
    model, plain = small_model(name), small_model(name)
    add_regularization(model, set_to(*words).regularization)
    found = [module for module in model.network.modules() if isinstance(module, kind)]
    assert len(found) >= count
    assert model.network.state_dict().keys() == plain.network.state_dict().keys()
    model.network.eval(), plain.network.eval()
    assert torch.equal(model.network(IMAGES)[0], plain.network(IMAGES)[0])
    model.network.train(), plain.network.train()
    assert not torch.equal(model.network(IMAGES)[0], plain.network(IMAGES)[0])


def test_drop_block_zeroes_the_share_that_the_recipe_says():
    model = add_regularization(
        small_model(),
        set_to("regularization.drop_block=0.2", "regularization.drop_block_size=2").regularization,
    )
    torch.manual_seed(0)
    gone = (model.network.drop(torch.ones(64, 32, 20, 20)) == 0).float().mean()
    assert 0.16 < gone < 0.21


def test_dropping_grows_to_its_full_strength_at_the_ramp():
    recipe = settle("scaled-yolov4", regularization={"drop_block": 0.3, "drop_ramp": 0.5})
    state, trainer = make_run(small_model(), recipe, images=16)
    (drop,) = [one for one in state.network.modules() if isinstance(one, DropBlock)]
    found = [drop.progress for _ in trainer.steps(state, joint_batches(trainer.plan))]
    assert found == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1, 1, 1])


def test_drop_path_without_residuals_is_refused():
    with pytest.raises(InvalidValue, match="it has no residuals"):
        add_regularization(
            small_model("yolov4-tiny"), set_to("regularization.drop_path=0.2").regularization
        )


@pytest.mark.parametrize("kind", NORMS)
def test_a_native_network_normalises_as_told_and_is_saved_as_ever(tmp_path: Path, kind: str):
    plain = small_model()
    model = add_regularization(small_model(), set_to(f"regularization.norm={kind}").regularization)
    found = {type(module) for module in model.network.modules()} & set(NORMS.values())
    assert found == {NORMS[kind]}
    names = model.network.state_dict().keys()
    if kind == "frn":
        assert {name for name in names if not name.endswith("threshold")} == {
            name
            for name in plain.network.state_dict()
            if "running" not in name and "num_b" not in name
        }
    else:
        assert names == plain.network.state_dict().keys()
    for _ in range(2):
        model.network(IMAGES)
    save_model(model, tmp_path / "model.safetensors")
    loaded = load_native(tmp_path / "model.safetensors")
    raw = model.network.eval()(IMAGES)
    for level, again in zip(raw, loaded.network(IMAGES), strict=True):
        assert torch.equal(level, again)
    engine = TorchEngine(loaded, EngineSettings(device="cpu", precision="fp32", image_size=SIZE))
    found = engine(some_batch(range(2)).images.permute(0, 2, 3, 1).numpy())
    expected = model.network.decode(raw, SIZE)
    torch.testing.assert_close(torch.as_tensor(found.boxes), expected.boxes, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(torch.as_tensor(found.scores), expected.scores, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", ["sync", "cross", "cross-mini"])
def test_the_network_of_a_cfg_normalises_as_told(tmp_path: Path, kind: str):
    model = cfg_model(tmp_path)
    names = model.network.state_dict().keys()
    add_regularization(model, set_to(f"regularization.norm={kind}").regularization)
    assert [type(m) for m in model.network.modules() if isinstance(m, nn.BatchNorm2d)] == [
        NORMS[kind]
    ]
    assert model.network.state_dict().keys() == names
    save_model(model, tmp_path / "model.safetensors")
    loaded = load_native(tmp_path / "model.safetensors")
    assert torch.equal(model.network.eval()(IMAGES)[0], loaded.network(IMAGES)[0])


@pytest.mark.parametrize(
    "word", ["norm=frn", "drop_block=0.1", "spatial_dropout=0.1", "drop_connect=0.1"]
)
def test_what_only_a_cfg_itself_can_say_is_refused_for_one(tmp_path: Path, word: str):
    with pytest.raises(InvalidValue, match=r"\[dropout\] section"):
        add_regularization(cfg_model(tmp_path), set_to(f"regularization.{word}").regularization)


def test_the_drop_block_of_a_cfg_grows_as_well(tmp_path: Path):
    between = "[dropout]\nprobability=0.3\ndropblock=1\ndropblock_size_abs=2"
    recipe = settle("darknet", regularization={"drop_ramp": 0.5})
    state, trainer = make_run(cfg_model(tmp_path, between), recipe, images=16)
    (drop,) = [one for one in state.network.modules() if isinstance(one, DarknetDropBlock)]
    found = [drop.progress for _ in trainer.steps(state, joint_batches(trainer.plan))]
    assert found == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1, 1, 1])


class NormThatActivates(nn.BatchNorm2d):
    """As other libraries have them."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).relu()


def test_norms_of_another_library_are_never_taken_for_plain_ones():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), NormThatActivates(4))
    set_norms(network, "batch")
    assert type(network[1]) is NormThatActivates
    with pytest.raises(InvalidValue, match="NormThatActivates, which cannot be exchanged"):
        set_norms(network, "sync")


def test_cmbn_sees_all_batches_of_an_update():
    """With the statistics of both, two batches are normalised unlike each on its own."""
    words = ("batch=2", "nominal_batch=4")
    cross, plain = (
        first_update((*words, f"regularization.norm={k}")) for k in ("cross-mini", "batch")
    )
    one = next(iter(cross.network.parameters()))
    assert not torch.equal(one, next(iter(plain.network.parameters())))
    # and forgets them with the update: where each is one batch, it is plain batch norm
    whole = ("batch=4", "nominal_batch=4")
    cross, plain = (
        first_update((*whole, f"regularization.norm={kind}"), updates=3)
        for kind in ("cross-mini", "batch")
    )
    for name, tensor in cross.network.state_dict().items():
        assert torch.equal(tensor, plain.network.state_dict()[name])


def test_the_average_is_kept_where_there_is_a_decay_and_only_there():
    assert first_update(("ema.decay=0",)).ema is None
    state = first_update(("ema.decay=0.5", "ema.ramp=0"))
    start = next(small_model().network.parameters())
    expected = 0.5 * start + 0.5 * next(state.network.parameters())
    torch.testing.assert_close(next(state.ema.network.parameters()), expected)


def test_freezing_a_part_of_a_detector_keeps_it_and_its_statistics():
    model = small_model()
    names = freeze(model.network, ["backbone"])
    assert names
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    state, trainer = make_run(model, settle("scaled-yolov4"))
    for _ in trainer.steps(state, joint_batches(trainer.plan)):
        pass
    same = {n for n, t in state.network.state_dict().items() if torch.equal(t, before[n])}
    assert same == {name for name in before if name.startswith("backbone.")}
    with pytest.raises(InvalidValue, match="Did you mean 'backbone'"):
        freeze(model.network, ["backbon"])
    with pytest.raises(InvalidValue, match="nothing is left to learn"):
        freeze(model.network, ["neck", "head"])


def test_the_gradient_is_clipped_where_the_recipe_says():
    words = ("optimizer.nesterov=false", "optimizer.weight_decay=0", "optimizer.learning_rate=1.0")
    start = torch.cat([one.flatten() for one in small_model().network.parameters()])

    def moved(*more: str) -> float:
        network = first_update((*words, *more)).network
        return float(
            (torch.cat([one.flatten() for one in network.parameters()]) - start).detach().norm()
        )

    assert moved("optimizer.clip_norm=0.01") == pytest.approx(0.01, rel=0.01)
    assert moved() > 0.1


@pytest.mark.parametrize("kind", ["cosine", "steps", "poly", "constant"])
def test_the_schedule_sets_the_rate_of_the_optimizer(kind: str):
    recipe = settle(
        "scaled-yolov4", schedule={"kind": kind, "final": 0.0, "by_epoch": False, "steps": [0.5]}
    )
    state, trainer = make_run(small_model(), recipe, images=16)
    rates = [
        report.learning_rate / recipe.optimizer.learning_rate
        for report in trainer.steps(state, joint_batches(trainer.plan))
    ]
    share = np.arange(8) / 8
    expected = {
        "cosine": (1 + np.cos(np.pi * share)) / 2,
        "steps": np.where(share < 0.5, 1, 0.1),
        "poly": (1 - share) ** 0.9,
        "constant": np.ones(8),
    }
    assert rates == pytest.approx(expected[kind])
    assert state.optimizer.param_groups[0]["lr"] == pytest.approx(
        expected[kind][-1] * recipe.optimizer.learning_rate
    )


def test_random_shapes_reach_the_network_and_small_ones_have_more_images():
    recipe = settle(
        "scaled-yolov4", epochs=4, shapes={"range": 2.0, "every": 1, "dynamic_batch": True}
    )
    state, trainer = make_run(small_model(), recipe, images=16)
    seen = {}
    state.network.register_forward_pre_hook(
        lambda _, given: seen.update({tuple(given[0].shape[-2:]): len(given[0])})
    )
    for _ in trainer.steps(state, joint_batches(trainer.plan)):
        pass
    assert len(seen) > 2
    assert all(side % 32 == 0 for size in seen for side in size)
    small, large = min(seen, key=np.prod), max(seen, key=np.prod)
    assert seen[small] > seen[large] >= 4


def batch_of(folder: Path, *words: str, mixing: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of one batch of four grey images, one object of its own class on each."""
    rows = [(place, place, (20, 20, 90, 70)) for place in range(4)]
    files = tuple(f"{place}.jpg" for place in range(4))
    dataset = make_dataset(folder, rows, files=files, names=tuple("abcd"))
    recipe = set_to(*words)
    input_spec = small_model().spec.input
    augmentation = make_augmentation(recipe.augment, input_spec=input_spec)
    mixers = make_mixers(recipe.augment, input_spec=input_spec)
    training_set = open_training_set(dataset, augmentation, long_side=96, mixers=mixers)
    arrays = training_set.arrays(Task((0, 1, 2, 3), SIZE, mixing=mixing))
    return arrays.images, arrays.image_index


@pytest.mark.parametrize(
    "words",
    [
        ["augment.kind=darknet", "augment.settings.mosaic=1.0"],
        ["augment.kind=darknet", "augment.settings.mosaic=0.0", "augment.settings.mixup=1.0"],
        ["augment.kind=scaled-yolov4"],
        ["augment.kind=none", 'augment.mixers=[{name="cutmix", probability=1.0}]'],
        ["augment.kind=none", 'augment.mixers=[{name="mixup", probability=1.0}]'],
    ],
)
def test_mixing_combines_objects_of_several_images_until_it_is_closed(
    tmp_path: Path, words: list[str]
):
    alone = np.bincount(batch_of(tmp_path, *words, mixing=False)[1], minlength=4)
    mixed = np.bincount(batch_of(tmp_path, *words)[1], minlength=4)
    assert alone.max() == 1
    assert mixed.max() > 1


@pytest.mark.parametrize("kind", ["none", "darknet", "scaled-yolov4", "efficientdet"])
def test_further_transforms_are_applied_after_those_of_every_kind(tmp_path: Path, kind: str):
    extra = 'augment.extra=[{name="gaussian-noise", settings={probability=1.0}}]'
    plain, _ = batch_of(tmp_path, f"augment.kind={kind}")
    changed, _ = batch_of(tmp_path, f"augment.kind={kind}", extra)
    assert plain.shape == changed.shape
    assert not np.array_equal(plain, changed)


def test_a_mistake_in_the_settings_of_an_augmentation_is_told():
    for words in (["augment.settings.mosaik=1"], ['augment.extra=[{name="cutt"}]']):
        with pytest.raises(InvalidSettings, match="augment: "):
            make_augmentation(set_to(*words).augment, input_spec=small_model().spec.input)


@pytest.mark.parametrize(("fit", "changed"), [("always", True), ("never", False), ("auto", True)])
def test_anchors_are_fitted_to_the_data_as_told(tmp_path: Path, fit: str, changed: bool):
    rng = np.random.default_rng(0)
    sides = rng.uniform(2, 4, (30, 2))  # far smaller than any anchor
    rows = [(0, 0, (5, 5, 5 + width, 5 + height)) for width, height in sides]
    dataset = make_dataset(tmp_path, rows)
    model = small_model()
    recipe = set_to(f"anchors.fit={fit}", "anchors.generations=20")
    found, before, after = fit_model_anchors(model, dataset, recipe, image_size=SIZE)
    assert before.recall < 0.5
    assert (after is not None) == changed
    assert (found.spec.head.anchors != model.spec.head.anchors) == changed
    if after is not None:
        assert after.recall > 0.98
        loss = loss_for(found, recipe)
        assert {float(a) for grid in loss.grids for a in grid.anchors.flatten()} == {
            float(np.float32(side))
            for group in found.spec.head.anchors
            for a in group
            for side in a
        }
