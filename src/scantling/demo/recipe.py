"""The model and the training settings of the demo."""

from typing import Any

from ..specs import find_spec
from ..specs.schema import ModelSpec
from .scenes import IMAGE_SIZE

CHANNELS = (16, 32, 64, 128, 256)  # a quarter of yolov4-tiny's, of the last stage half
STEM_CHANNELS = 8
BATCH = 16
EVALUATE_EVERY = 5  # epochs


def thin_tiny() -> ModelSpec:
    """yolov4-tiny with half of its channels or fewer, and boxes coded as Scaled-YOLOv4 does."""
    spec = find_spec("yolov4-tiny")
    stages = zip(spec.backbone.stages, CHANNELS, strict=True)
    return spec.replace(
        name="yolov4-tiny-thin",
        image_size=IMAGE_SIZE,
        backbone=spec.backbone.replace(
            stem_channels=STEM_CHANNELS,
            stages=tuple(stage.replace(channels=width) for stage, width in stages),
        ),
        neck=spec.neck.replace(channels=(CHANNELS[-1] // 2, CHANNELS[-1])),
        head=spec.head.replace(box_coding="sigmoid", scale_xy=(2.0, 2.0)),
    )


def make_settings(epochs: int, seed: int) -> dict[str, Any]:
    """Training settings of the demo, over Scaled-YOLOv4's recipe.

    What differs from it serves a run of minutes: AdamW with a short warm-up, a moving average that
    forgets soon, no mosaic, and a class term that weighs as much as with eighty classes.
    """
    return {
        "epochs": epochs,
        "batch": BATCH,
        "nominal_batch": BATCH,
        "seed": seed,
        "evaluate_every": EVALUATE_EVERY,
        "optimizer": {
            "kind": "adamw",
            "learning_rate": 0.004,
            "momentum": 0.9,
            "weight_decay": 0.01,
        },
        "schedule": {
            "final": 0.02,
            "by_epoch": False,
            "warmup_epochs": 1,
            "warmup_least": 0,
            "warmup_accumulation": False,
        },
        "ema": {"decay": 0.99, "ramp": 50},
        "loss": {"objectness_gain": 0.3, "class_gain": 3.0},
        "augment": {
            "kind": "none",
            "extra": [{"name": "horizontal-flip"}, {"name": "vertical-flip"}],
        },
        "anchors": {"fit": "always", "generations": 200},
        "loader": {"workers": 0, "store_gigabytes": 1},
    }
