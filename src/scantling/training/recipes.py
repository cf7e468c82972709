"""Named recipes, which model has which, and the recipe of a cfg.

Sources: darknet's cfg files, in the public domain; Scaled-YOLOv4, https://arxiv.org/abs/2011.08036;
EfficientDet, https://arxiv.org/abs/1911.09070.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..checkpoints.load import CHECKPOINTS
from ..darknet.recipe import cfg_recipe
from ..errors import InvalidSettings
from ..specs import CfgSpec, find_spec

if TYPE_CHECKING:
    from ..checkpoints import Model
    from ..darknet import DarknetNetwork

Table = dict[str, Any]

DARKNET: Table = {
    "optimizer": {
        "learning_rate": 0.0013,
        "momentum": 0.949,
        "nesterov": False,
        "weight_decay": 0.0005,
    },
    "schedule": {
        "kind": "steps",
        "steps": [0.8, 0.9],
        "step_factor": 0.1,
        "warmup_epochs": 0,
        "warmup_least": 1000,
        "warmup_power": 4,
    },
    "ema": {"decay": 0.0},
    "loss": {"kind": "darknet", "box_gain": 0.07, "match_threshold": 0.213, "max_delta": 5},
    "augment": {"kind": "darknet", "settings": {"mosaic": 0.5, "jitter": 0.3}},
    "shapes": {"range": 1.4, "every": 10},
    "anchors": {"fitness": "iou", "threshold": 0.25},
}

DARKNET_TINY: Table = {
    **DARKNET,
    "optimizer": {**DARKNET["optimizer"], "learning_rate": 0.00261, "momentum": 0.9},
    "loss": {"kind": "darknet", "box_gain": 0.07, "match_threshold": 1.0},
    "augment": {"kind": "darknet", "settings": {"mosaic": 0.0, "jitter": 0.3, "resize": 1.5}},
    "shapes": {},
}

SCALED_YOLOV4: Table = {
    "optimizer": {
        "learning_rate": 0.01,
        "momentum": 0.937,
        "nesterov": True,
        "weight_decay": 0.0005,
    },
    "schedule": {
        "kind": "cosine",
        "final": 0.2,
        "by_epoch": True,
        "warmup_epochs": 3,
        "warmup_least": 1000,
        "warmup_bias": 0.1,
        "warmup_momentum": 0.8,
        "warmup_accumulation": True,
    },
    "ema": {"decay": 0.9999, "kind": "ramp", "ramp": 2000},
    "loss": {"kind": "scaled-yolov4", "objectness_gain": 0.7, "class_gain": 0.3},
    "augment": {"kind": "scaled-yolov4"},
}

SCALED_YOLOV4_LARGE: Table = {
    **SCALED_YOLOV4,
    "schedule": {**SCALED_YOLOV4["schedule"], "warmup_momentum": 0.9},
    "loss": {"kind": "scaled-yolov4", "objectness_gain": 1.0, "class_gain": 0.5},
    "augment": {
        "kind": "scaled-yolov4",
        "settings": {"centre": [0.5, 0.5], "translate": 0.5, "scale": 0.5},
    },
}

SCALED_YOLOV4_FINETUNE: Table = {
    **SCALED_YOLOV4_LARGE,
    "epochs": 150,
    "augment": {
        "kind": "scaled-yolov4",
        "settings": {"centre": [0.5, 0.5], "translate": 0.5, "scale": 0.8, "mixup": 0.2},
    },
}

EFFICIENTDET: Table = {
    "optimizer": {
        "learning_rate": 0.08,
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 0.00004,
        "clip_norm": 10,
    },
    "schedule": {"kind": "cosine", "final": 0.0, "warmup_epochs": 1, "warmup_start": 0.1},
    "ema": {"decay": 0.9998, "kind": "ratio"},
    "loss": {"kind": "efficientdet"},
    "augment": {"kind": "efficientdet"},
    "anchors": {"fit": "never"},
}

# Ours, for a data set of some hundred images: an update after every batch, and anchors of its own.
SMALL: Table = {
    "batch": 8,
    "nominal_batch": 8,
    "close_mosaic": 8,
    "optimizer": {
        "kind": "adamw",
        "learning_rate": 0.001,
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 0.01,
    },
    "schedule": {"kind": "cosine", "final": 0.02, "warmup_epochs": 2},
    "ema": {"decay": 0.995, "ramp": 200},
    "loss": {"kind": "scaled-yolov4"},
    "augment": {"kind": "scaled-yolov4", "settings": {"mosaic": 0.5, "scale": 0.5}},
    "anchors": {"fit": "always"},
}

# Every recipe by name.
RECIPES: dict[str, Table] = {
    "darknet": DARKNET,
    "darknet-tiny": DARKNET_TINY,
    "efficientdet": EFFICIENTDET,
    "scaled-yolov4": SCALED_YOLOV4,
    "scaled-yolov4-finetune": SCALED_YOLOV4_FINETUNE,
    "scaled-yolov4-large": SCALED_YOLOV4_LARGE,
    "small": SMALL,
}
# Which recipe a model has: by the kind of its head, then by how its name begins; the longest
# beginning wins.
FAMILIES: dict[str, dict[str, str]] = {
    "efficientdet": {"": "efficientdet"},
    "yolo": {
        "": "scaled-yolov4",
        "yolov4": "darknet",
        "yolov4-csp": "scaled-yolov4",
        "yolov4-p": "scaled-yolov4-large",
        "yolov4-tiny": "darknet-tiny",
        "yolov4x-mish": "scaled-yolov4",
    },
}


def recipe_name(model: str, *, head: str) -> str:
    """The recipe that a model is trained by where none is named.

    Args:
        model: a name of the catalogue, or any other.
        head: the kind of its head.

    Raises:
        InvalidSettings: no recipe belongs to such a head.
    """
    if head not in FAMILIES:
        raise InvalidSettings(
            [f"no recipe belongs to the head {head!r} of {model}: name one, and a loss for it"]
        )
    begins = [prefix for prefix in FAMILIES[head] if model.startswith(prefix)]
    return FAMILIES[head][max(begins, key=len)]


def recipe_of_model(model: "Model", *, images: int) -> tuple[str, Mapping[str, Any]]:
    """The source and settings of a model's own recipe: those of its cfg, or of its family.

    Args:
        model: whose.
        images: in the data: a cfg says how long a run is in updates.
    """
    spec = model.spec
    if isinstance(spec, CfgSpec):
        network = cast("DarknetNetwork", model.network)
        return f"{spec.name}.cfg", cfg_recipe(spec, network.detection_layers, images=images)
    name = recipe_name(spec.name, head=spec.head_kind)
    return f"recipe {name}", RECIPES[name]


def recipe_before_loading(model: str | Path) -> tuple[str, Mapping[str, Any]] | None:
    """As `recipe_of_model`, of a model that is not loaded yet; None for a checkpoint.

    Of a cfg it is only what decides which other settings there are.

    Raises:
        UnknownName: no model is called so.
    """
    suffix = Path(model).suffix.lower()
    if suffix == ".cfg":
        return "cfg", {"loss": {"kind": "darknet"}, "augment": {"kind": "darknet"}}
    if suffix in CHECKPOINTS:
        return None
    spec = find_spec(str(model))
    name = recipe_name(spec.name, head=spec.head_kind)
    return f"recipe {name}", RECIPES[name]
