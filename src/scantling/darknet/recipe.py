"""The training options of a `.cfg` as settings of a recipe."""

import logging
from collections.abc import Sequence
from typing import Any

from ..losses.settings import class_weights_of
from ..specs import CfgSpec
from .cfg import Section
from .describe import count_classes, read_sections
from .options import not_trained

logger = logging.getLogger(__name__)

DEFAULT_CROP = 0.2  # jitter, where the cfg says nothing
NO_LIMIT = 3e38  # max_delta, where another level has one
MAX_CYCLES = 64
WITH_WEIGHTS = ("convolutional", "shortcut")
# One value for all levels. The most that a class may weigh is max_delta.
SHARED = (
    *("iou_loss", "iou_thresh_kind", "focal_loss", "label_smooth_eps"),
    "counters_per_class (with its max_delta)",
)


def cfg_recipe(
    spec: CfgSpec, levels: Sequence[int], *, images: int | None = None
) -> dict[str, Any]:
    """The settings of `[net]` and `[yolo]` as nested tables of a recipe.

    The run is as long as `max_batches` says, in whole epochs, where the images are counted; steps
    are shares of it. Not taken are anchors that no level has (an object that one of them fits best
    has no best anchor in darknet; `loss.other_anchors` does so here), and how strong
    self-adversarial training is: `adversarial_lr` scales raw gradients. What else a run goes
    without is logged as a warning.

    Args:
        spec: the cfg.
        levels: its detection layers, finest first; what the cfg sets a level comes in that order.
        images: in the data; None leaves the number of epochs out.

    Raises:
        InvalidCfg: as `read_sections`; or something that a recipe has no words for.
    """
    net, layers = read_sections(spec.cfg, f"{spec.name}.cfg")
    yolo = [section for section in layers if section.kind == "yolo"]
    if len(yolo) != len(levels):
        raise net.error("[region] has no recipe here", "Train it as a named variant or a [yolo]")
    _warn(net, layers)
    batch = net.integer("batch", 1, low=1)
    return {
        **_length(net, images),
        "batch": max(1, batch // net.integer("subdivisions", 1, low=1)),
        "nominal_batch": batch,
        "optimizer": {
            "learning_rate": net.number("learning_rate", 0.001, low=1e-9),
            "momentum": net.number("momentum", 0.9, low=0, high=1),
            "nesterov": False,
            "weight_decay": net.number("decay", 0.0001, low=0),
        },
        "schedule": _schedule(net),
        # darknet begins at half of the run; a ramp from the start comes to the same
        "ema": {"decay": net.number("ema_alpha", 0, low=0, high=1), "kind": "ramp"},
        "loss": _loss([layers[level] for level in levels]),
        # of these, darknet heeds its last detection layer alone
        "augment": {"kind": "darknet", "settings": _augment(net, yolo[-1])},
        "shapes": _shapes(net, yolo[-1]),
        "self_adversarial": _adversarial(net),
        "regularization": {"norm": "cross-mini" if _crosses(layers) else "batch"},
        "anchors": {"fitness": "iou", "threshold": 0.25},
        "freeze": _frozen(layers),
    }


def _warn(net: Section, layers: Sequence[Section]) -> None:
    """Name every option that a run goes without."""
    told = not_trained([net, *layers])
    for section in layers:
        if section.integer("stopbackward", 0, high=10**9) > 1:
            told.append(
                f"{section.source}: [{section.kind}] stopbackward="
                f"{section.options['stopbackward'].text}: layers are frozen for all of a run or for"
                " none of it (stopbackward=1); training goes without it"
            )
        if "counters_per_class" in section.options and section.number("cls_normalizer", 1) != 1:
            told.append(
                f"{section.source}: [{section.kind}] cls_normalizer beside counters_per_class is"
                " taken for 1; change the counts instead"
            )
    for line in dict.fromkeys(told):
        logger.warning(line)


def _frozen(layers: Sequence[Section]) -> list[str]:
    """The layers that darknet's backward pass does not come to: the last with `stopbackward=1`.

    It and all before it learn nothing, as is known to those who cut `yolov4.conv.137` there.
    """
    stops = [
        index
        for index, section in enumerate(layers)
        if section.integer("stopbackward", 0, high=10**9) == 1
    ]
    frozen = range(max(stops, default=-1) + 1)
    return [f"layers.{index}" for index in frozen if layers[index].kind in WITH_WEIGHTS]


def _length(net: Section, images: int | None) -> dict[str, Any]:
    """The epochs that `max_batches` updates of `batch` images are; nothing where it says none."""
    updates = net.integer("max_batches", 0, high=10**9)
    if not images or not updates:
        return {}
    return {"epochs": max(1, round(updates * net.integer("batch", 1, low=1) / images))}


def _schedule(net: Section) -> dict[str, Any]:
    total = net.integer("max_batches", 0, high=10**9)
    table: dict[str, Any] = {
        "warmup_epochs": 0,
        "warmup_least": net.integer("burn_in", 0, high=10**9),
        "warmup_power": net.number("power", 4, low=1e-3),
    }
    policy = net.word("policy", "constant")
    if policy == "steps":
        table |= _steps(net, total)
    elif policy == "sgdr":
        rate = net.number("learning_rate", 0.001, low=1e-9)
        final = net.number("learning_rate_min", 1e-5, low=0) / rate
        table |= {"kind": "cosine", "final": min(1.0, final), **_cycles(net, total)}
    elif policy == "poly":
        table |= {"kind": "poly", "final": 0, "power": net.number("power", 4, low=1e-3)}
    elif policy == "constant":
        table |= {"kind": "constant"}
    else:
        raise net.error(
            f"policy={policy} has no recipe here",
            "Use steps, sgdr, poly or constant, or name a recipe",
            option="policy",
        )
    return table


def _steps(net: Section, total: int) -> dict[str, Any]:
    steps, scales = net.integers("steps"), net.numbers("scales")
    if len(set(scales)) > 1 or (steps and not total):
        raise net.error(
            "steps are shares of max_batches here, all of one scale",
            "Give max_batches, and the same scale for each step",
            option="steps",
        )
    return {
        "kind": "steps",
        "steps": [min(1.0, step / total) for step in steps],
        "step_factor": scales[0] if scales else 1.0,
    }


def _cycles(net: Section, total: int) -> dict[str, Any]:
    """How many cycles of the cosine begin before the end."""
    length = net.integer("sgdr_cycle", 0, high=10**9)
    growth = net.integer("sgdr_mult", 2, low=1, high=100)
    if not 0 < length < total:
        return {}
    count, done = 0, 0
    while done < total and count < MAX_CYCLES:
        done, count = done + length * growth**count, count + 1
    return {"cycles": count, "cycle_growth": growth}


def _loss(levels: list[Section]) -> dict[str, Any]:
    def each(key: str, default: float) -> list[float]:
        return [section.number(key, default) for section in levels]

    first, *others = [_shared(section) for section in levels]
    if any(other != first for other in others):
        raise levels[0].error(
            f"{', '.join(SHARED)} differ between the detection layers", "Give all the same"
        )
    table: dict[str, Any] = {
        "kind": "darknet",
        **first,
        "box_gain": each("iou_normalizer", 0.75),
        "objectness_gain": each("obj_normalizer", 1),
        "gain": each("delta_normalizer", 1),
        "ignore_threshold": each("ignore_thresh", 0.5),
        "match_threshold": each("iou_thresh", 1),
        "smooth_objectness": [section.flag("objectness_smooth") for section in levels],
    }
    if any("max_delta" in section.options for section in levels):
        table["max_delta"] = each("max_delta", NO_LIMIT)
    return table


def _shared(section: Section) -> dict[str, Any]:
    """What a recipe has one value of, for all levels."""
    return {
        "box_loss": section.word("iou_loss", "mse"),
        "match_similarity": section.word("iou_thresh_kind", "iou"),
        "label_smoothing": section.number("label_smooth_eps", 0, low=0, high=1),
        "focal": section.flag("focal_loss"),
        "class_weights": _class_weights(section),
    }


def _class_weights(section: Section) -> tuple[float, ...]:
    """What `counters_per_class` makes each class weigh; empty without.

    Raises:
        InvalidCfg: it does not count each class.
    """
    counts, classes = section.numbers("counters_per_class"), count_classes(section)
    if counts and len(counts) != classes:
        raise section.error(
            f"counters_per_class has {len(counts)} numbers for {classes} classes",
            "Count the objects of each class",
            option="counters_per_class",
        )
    return class_weights_of(counts, max_weight=section.number("max_delta", NO_LIMIT))


def _augment(net: Section, last: Section) -> dict[str, Any]:
    mixed_otherwise = net.flag("mosaic") or net.flag("cutmix")  # which detectors do without
    return {
        "mosaic": 0.5 if net.flag("mosaic") else 0.0,
        "mixup": 0.5 if net.integer("mixup", 0) == 1 and not mixed_otherwise else 0.0,
        "clip_to_tile": net.flag("mosaic_bound"),
        "jitter": last.number("jitter", DEFAULT_CROP, low=0, high=1),
        "resize": last.number("resize", 1.0, low=0),
        "letterbox": net.flag("letter_box"),
        "saturation": net.number("saturation", 1, low=0),
        "exposure": net.number("exposure", 1, low=0),
        "hue": net.number("hue", 0, low=0),
        "flip": 0.5 * net.integer("flip", 1, high=1),
        "blur": net.integer("blur", 0),
        "noise": net.number("gaussian_noise", 0, low=0, high=127),
    }


def _shapes(net: Section, last: Section) -> dict[str, Any]:
    drawn = last.number("random", 0, low=0, high=4)
    table: dict[str, Any] = {
        "range": 1.4 if drawn == 1 else max(1.0, drawn),
        "dynamic_batch": net.flag("dynamic_minibatch"),
    }
    if "resize_step" in net.options:  # without, our own is what the strides ask for
        table["multiple"] = net.integer("resize_step", 32, low=1, high=1024)
    return table


def _adversarial(net: Section) -> dict[str, Any]:
    return {"probability": 0.5 if net.number("adversarial_lr", 0, low=0) else 0.0}


def _crosses(layers: tuple[Section, ...]) -> bool:
    return any(section.integer("cbn", 0) for section in layers if section.kind == "convolutional")
