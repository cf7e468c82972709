"""What a cfg says of training: the published files against darknet's documented values."""

from pathlib import Path

import pytest
import torch

from scantling.checkpoints import Model
from scantling.darknet import build_cfg_network, read_cfg
from scantling.darknet.recipe import cfg_recipe
from scantling.errors import InvalidCfg
from scantling.specs import CfgSpec
from scantling.structures import Targets
from scantling.training.data import make_augmentation
from scantling.training.model import loss_for
from scantling.training.optimizer import freeze
from scantling.training.recipe import Recipe
from scantling.training.resolve import resolve_recipe

# The last two columns of every row: with mosaic, and with an average of this decay.
# size, batch, subdivisions, momentum, learning rate, max_batches, mosaic, letter_box, ema
NETS = {
    "yolov4": (608, 64, 8, 0.949, 0.0013, 500500, 1, 0, 0),
    "yolov4-custom": (608, 64, 16, 0.949, 0.001, 500500, 1, 0, 0),
    "yolov4_new": (608, 64, 8, 0.949, 0.0013, 500500, 1, 1, 0.9998),
    "yolov4-sam-mish": (512, 64, 8, 0.949, 0.0013, 500500, 1, 0, 0),
    "csresnext50-panet-spp-original-optimal": (608, 64, 8, 0.949, 0.00261, 500500, 1, 0, 0),
    "csresnext50-panet-spp": (512, 64, 16, 0.9, 0.001, 500500, 0, 0, 0),
    "yolov4-tiny": (416, 64, 1, 0.9, 0.00261, 2000200, 0, 0, 0),
    "yolov4-tiny-3l": (608, 64, 1, 0.9, 0.00261, 500200, 0, 0, 0),
    "yolov4-csp": (512, 64, 8, 0.949, 0.001, 500500, 1, 1, 0.9998),
    "yolov4x-mish": (640, 64, 8, 0.949, 0.001, 500500, 1, 1, 0),
    "yolov4-csp-swish": (640, 64, 8, 0.949, 0.001, 500500, 1, 1, 0.9998),
    "yolov4-csp-x-swish": (640, 64, 8, 0.949, 0.001, 500500, 1, 1, 0.9998),
    "yolov4-p5": (896, 64, 8, 0.949, 0.001, 500500, 1, 1, 0.9998),
    "yolov4-p6": (1280, 64, 8, 0.949, 0.001, 500500, 1, 1, 0.9998),
    "cspx-p7-mish": (1536, 64, 8, 0.949, 0.001, 500500, 1, 1, 0),
    "enet-coco": (416, 64, 8, 0.9, 0.001, 500200, 0, 0, 0),
}
STEPS = {"yolov4-tiny": (1_600_000, 1_800_000)}
# jitter, resize, range of shapes, match_threshold, box_gain, objectness_gain, smooth, max_delta,
# box loss; finest level first
CSP = (0.1, 1.5, 1.0, 0.2, 0.05, (4.0, 1.0, 0.4), (False, True, True), (5, 5, 2), "ciou")
SWISH = (0.1, 1.5, 1.0, 1.0, 0.05, 0.4, True, 2, "ciou")
LARGE = (0.1, 1.5, 1.0, 0.2, 0.05, 1.0, True, 2, "ciou")
TINY = (0.3, 1.5, 1.0, 1.0, 0.07, 1.0, False, None, "ciou")
YOLOS = {
    "yolov4": (0.3, 1.0, 1.4, 0.213, 0.07, 1.0, False, 5, "ciou"),
    "yolov4-custom": (0.3, 1.0, 1.4, 0.213, 0.07, 1.0, False, 5, "ciou"),
    "yolov4-sam-mish": (0.3, 1.0, 1.4, 0.213, 0.07, 1.0, False, None, "ciou"),
    "csresnext50-panet-spp-original-optimal": (0.3, 1, 1.4, 0.213, 0.07, 1, False, None, "ciou"),
    "csresnext50-panet-spp": (0.3, 1.0, 1.4, 1.0, 0.75, 1.0, False, None, "mse"),
    "yolov4-tiny": TINY,
    "yolov4-tiny-3l": TINY,
    "yolov4-csp": CSP,
    "yolov4x-mish": CSP,
    "yolov4-csp-swish": SWISH,
    "yolov4-csp-x-swish": SWISH,
    "yolov4_new": SWISH,
    "yolov4-p5": LARGE,
    "yolov4-p6": LARGE,
    "cspx-p7-mish": (0.1, 1.5, 1, 0.2, 0.05, (4, 1, 0.5, 0.4, 0.1), True, 40, "ciou"),
}
NO_RECIPE = {"yolov2", "yolov2-tiny"}  # [region]

NET = "[net]\nwidth=64\nheight=64\nlearning_rate=0.001\nmax_batches=1000\n{}\n"
REST = """[convolutional]
filters=7
size=1
stride=32
activation=linear
[yolo]
mask=0
anchors=10,14
classes=2
{}
"""


def recipe_of(spec: CfgSpec) -> Recipe:
    levels = build_on_meta(spec).detection_layers
    return resolve_recipe([("cfg", cfg_recipe(spec, levels))]).recipe


def build_on_meta(spec: CfgSpec):
    with torch.device("meta"):
        return build_cfg_network(spec)


def small(folder: Path, net: str = "", yolo: str = "") -> Recipe:
    path = folder / "small.cfg"
    path.write_text(NET.format(net) + REST.format(yolo))
    return recipe_of(read_cfg(path))


def each(value: object, levels: int) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,) * levels


@pytest.mark.parametrize("name", NETS)
def test_optimizer_schedule_and_data_are_those_of_the_published_cfg(assets: Path, name: str):
    size, batch, parts, momentum, rate, total, mosaic, letterbox, average = NETS[name]
    spec = read_cfg(assets / "cfg" / f"{name}.cfg")
    recipe = recipe_of(spec)
    assert spec.image_size == (size, size)
    assert (recipe.batch, recipe.nominal_batch) == (batch // parts, batch)
    optimizer = recipe.optimizer
    assert (optimizer.momentum, optimizer.learning_rate) == (momentum, rate)
    assert (optimizer.weight_decay, optimizer.nesterov) == (0.0005, False)
    schedule, steps = recipe.schedule, STEPS.get(name, (400_000, 450_000))
    assert schedule.kind == "steps"
    assert schedule.steps == pytest.approx([step / total for step in steps])
    assert (schedule.step_factor, schedule.warmup_power) == (0.1, 4)
    # 1000 updates of the nominal batch
    assert recipe.replace(epochs=10**6).warmup_batches(100) == 1000 * parts
    settings = recipe.augment.settings
    assert settings["mosaic"] == 0.5 * mosaic
    assert settings["letterbox"] == bool(letterbox)
    colours = {"saturation": 1.5, "exposure": 1.5, "hue": 0.1, "flip": 0.5}
    assert {key: settings[key] for key in colours} == colours
    assert recipe.ema.decay == average
    assert recipe.regularization.norm == "batch"
    assert recipe.self_adversarial.probability == 0
    make_augmentation(recipe.augment, input_spec=spec.input)


@pytest.mark.parametrize("name", YOLOS)
def test_the_loss_is_that_of_the_published_cfg(assets: Path, name: str):
    jitter, resize, shapes, match, box, objectness, smooth, delta, kind = YOLOS[name]
    spec = read_cfg(assets / "cfg" / f"{name}.cfg")
    recipe = recipe_of(spec)
    loss, levels = recipe.loss, len(build_on_meta(spec).levels)
    assert (recipe.augment.settings["jitter"], recipe.augment.settings["resize"]) == (
        jitter,
        resize,
    )
    assert recipe.shapes.range == shapes
    assert loss.box_loss == kind
    assert each(loss.match_threshold, levels) == each(match, levels)
    assert each(loss.box_gain, levels) == each(box, levels)
    assert each(loss.objectness_gain, levels) == each(objectness, levels)
    assert each(loss.smooth_objectness, levels) == each(smooth, levels)
    assert each(loss.max_delta, levels) == each(delta, levels)
    assert each(loss.ignore_threshold, levels) == each(0.7, levels)
    assert each(loss.class_gain, levels) == each(1.0, levels)  # cls_normalizer has no effect


def test_every_cfg_that_can_be_trained_has_a_loss(assets: Path):
    for path in sorted((assets / "cfg").glob("*.cfg")):
        try:
            spec = read_cfg(path)
            network = build_on_meta(spec)
        except InvalidCfg:
            continue  # not supported at all: refused where cfg files are read
        levels = network.detection_layers
        if path.stem in NO_RECIPE:
            with pytest.raises(InvalidCfg, match=r"\[region\] has no recipe"):
                cfg_recipe(spec, levels)
        else:
            recipe = recipe_of(spec)
            loss = loss_for(Model(spec, network, ()), recipe)
            assert len(loss.levels) == len(levels), path.stem


@pytest.mark.parametrize("name", ["yolov4-tiny", "yolov4-csp", "yolov3-tiny", "enet-coco"])
def test_the_loss_of_a_cfg_teaches_its_network(assets: Path, name: str):
    spec = read_cfg(assets / "cfg" / f"{name}.cfg").replace(image_size=(64, 64))
    torch.manual_seed(0)
    network = build_cfg_network(spec).train()
    loss = loss_for(Model(spec, network, ()), recipe_of(spec))
    targets = Targets(
        torch.tensor([[5.0, 6, 40, 50], [20, 30, 60, 64], [2, 2, 30, 20]]),
        torch.tensor([3, 70, 5]),
        torch.tensor([0, 0, 1]),
    )
    terms = loss(network(torch.rand(2, 3, 64, 64)), targets, (64, 64))
    terms.total.backward()
    gradients = [p.grad for p in network.parameters()]
    # no layer is left without: several processes would wait for it
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert sum(float(gradient.abs().sum()) for gradient in gradients) > 0


def test_options_that_no_published_cfg_has_are_taken_too(tmp_path: Path):
    net = "batch=32\nsubdivisions=4\nadversarial_lr=1\ndynamic_minibatch=1\nmixup=1\nblur=1\n"
    net += "gaussian_noise=10\nletter_box=1\nflip=0\nresize_step=64"
    yolo = "label_smooth_eps=0.1\nfocal_loss=1\niou_thresh_kind=giou\niou_thresh=0.3\nrandom=1.5"
    recipe = small(tmp_path, net, yolo)
    assert (recipe.loss.label_smoothing, recipe.loss.focal) == (0.1, True)
    assert (recipe.loss.match_similarity, recipe.loss.match_threshold) == ("giou", (0.3,))
    assert recipe.self_adversarial.probability == 0.5
    assert recipe.self_adversarial.strength == 0.05
    assert (recipe.shapes.range, recipe.shapes.multiple) == (1.5, 64)
    assert recipe.shapes.dynamic_batch
    settings = recipe.augment.settings
    assert (settings["mixup"], settings["blur"], settings["noise"]) == (0.5, 1, 10)
    assert (settings["flip"], settings["letterbox"]) == (0, True)


def test_cross_mini_batch_norm_is_taken_from_a_convolution(tmp_path: Path):
    path = tmp_path / "small.cfg"
    rest = REST.format("").replace("filters=7", "batch_normalize=1\ncbn=1\nfilters=7", 1)
    path.write_text(NET.format("") + rest)
    assert recipe_of(read_cfg(path)).regularization.norm == "cross-mini"


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        ("policy=sgdr\nlearning_rate_min=0.0001", {"kind": "cosine", "final": 0.1, "cycles": 1}),
        ("policy=sgdr\nsgdr_cycle=100\nsgdr_mult=2", {"cycles": 4, "cycle_growth": 2}),
        ("policy=sgdr\nsgdr_cycle=250\nsgdr_mult=1", {"cycles": 4, "cycle_growth": 1}),
        ("policy=poly\npower=2", {"kind": "poly", "power": 2, "final": 0}),
        ("policy=constant", {"kind": "constant"}),
        ("", {"kind": "constant"}),
        ("policy=steps\nsteps=500\nscales=.5", {"steps": (0.5,), "step_factor": 0.5}),
    ],
)
def test_every_policy_becomes_a_schedule(tmp_path: Path, net: str, expected: dict[str, object]):
    schedule = small(tmp_path, net).schedule.model_dump()
    found = {key: schedule[key] for key in expected}
    assert found == pytest.approx(expected) if "final" in expected else found == expected


@pytest.mark.parametrize(
    ("net", "match"),
    [
        ("policy=exp\ngamma=0.9", "policy=exp has no recipe"),
        ("policy=steps\nsteps=10,20\nscales=.1,.5", "all of one scale"),
    ],
)
def test_what_no_recipe_can_say_is_refused_with_its_line(tmp_path: Path, net: str, match: str):
    with pytest.raises(InvalidCfg, match=rf"small\.cfg:\d+: \[net\] .*{match}"):
        small(tmp_path, net)


def test_a_limit_of_one_level_leaves_the_others_without(tmp_path: Path):
    level = REST.format("max_delta=3")
    other = REST.format("").replace("stride=32", "stride=1")
    path = tmp_path / "small.cfg"
    again = "[route]\nlayers=-2\n" + other.replace("filters=7", "filters=7", 1)
    path.write_text(NET.format("") + level + again)
    limits = recipe_of(read_cfg(path)).loss.max_delta
    assert sorted(limits) == [3, pytest.approx(3e38)]


def cfg_of(folder: Path, net: str = "", yolo: str = "") -> CfgSpec:
    path = folder / "small.cfg"
    path.write_text(NET.format(net) + REST.format(yolo))
    return read_cfg(path)


def test_counters_per_class_are_the_weights_of_the_classes(tmp_path: Path):
    # darknet's get_classes_multipliers: the largest count by each, at most max_delta
    loss = small(tmp_path, yolo="counters_per_class=100, 25").loss
    assert loss.class_weights == (1, 4)
    assert small(tmp_path, yolo="counters_per_class=100,1\nmax_delta=5").loss.class_weights == (
        1,
        5,
    )
    with pytest.raises(InvalidCfg, match="3 numbers for 2 classes"):
        small(tmp_path, yolo="counters_per_class=1,2,3")


def test_cutmix_turns_mixup_off_as_darknet_does_and_mosaic_bound_is_taken(tmp_path: Path):
    settings = small(tmp_path, "mixup=1\ncutmix=1").augment.settings
    assert (settings["mixup"], settings["clip_to_tile"]) == (0, False)
    recipe = small(tmp_path, "mosaic=1\ncutmix=1\nmosaic_bound=1")
    assert (recipe.augment.settings["mosaic"], recipe.augment.settings["clip_to_tile"]) == (
        0.5,
        True,
    )
    augmentation = make_augmentation(recipe.augment, input_spec=cfg_of(tmp_path).input)
    assert augmentation((64, 64))._mosaic().clip_to_tile


def test_stopbackward_freezes_the_layer_and_all_before_it(tmp_path: Path):
    path = tmp_path / "small.cfg"
    first = "[convolutional]\nfilters=4\nactivation=leaky\n[shortcut]\nfrom=-1\n"
    stop = "[convolutional]\nfilters=4\nactivation=leaky\nstopbackward=1\n"
    path.write_text(NET.format("") + first + stop + REST.format(""))
    recipe = recipe_of(read_cfg(path))
    assert recipe.freeze == ("layers.0", "layers.1", "layers.2")
    frozen = freeze(build_cfg_network(read_cfg(path)), recipe.freeze)
    assert {name.split(".")[1] for name in frozen} == {"0", "2"}
    assert recipe_of(cfg_of(tmp_path)).freeze == ()


def test_what_a_run_goes_without_is_warned_of_by_name(tmp_path: Path, caplog):
    small(tmp_path, "adam=1\nlearning_rate=0.1", "truth_thresh=0.9\nstopbackward=3000")
    told = "\n".join(caplog.messages)
    assert "[net] adam=1: " in told
    assert "[yolo] truth_thresh=0.9: " in told
    assert "[yolo] stopbackward=3000: " in told
    caplog.clear()
    small(tmp_path, yolo="counters_per_class=3,4\ncls_normalizer=0.5")
    assert "cls_normalizer beside counters_per_class" in caplog.text
    caplog.clear()
    small(tmp_path, "adam=0\ntime_steps=1", "cls_normalizer=0.5\ntruth_thresh=1")
    assert not caplog.messages


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", ("greedy", 1)),
        ("beta_nms=0.7", ("greedy", 1)),
        ("nms_kind=default\nbeta_nms=0.7", ("greedy", 1)),
        ("nms_kind=greedynms\nbeta_nms=0.7", ("diou", 0.6)),  # box_diou, whatever beta_nms says
        ("nms_kind=diounms", ("diou", 0.6)),
        ("nms_kind=diounms\nbeta_nms=0.7", ("diou", 0.7)),
    ],
)
def test_the_kind_of_nms_is_that_of_darknet(tmp_path: Path, lines: str, expected: object):
    nms = cfg_of(tmp_path, yolo=lines).nms
    assert (nms.kind, nms.beta) == expected


def test_an_unknown_kind_of_nms_is_refused(tmp_path: Path):
    with pytest.raises(InvalidCfg, match=r"small.cfg:\d+: \[yolo\] nms_kind=cornersnms is unknown"):
        cfg_of(tmp_path, yolo="nms_kind=cornersnms")
