"""One detector family, cut to the size of the device: YOLOv4, Scaled-YOLOv4 and EfficientDet.

`load` gives a model that turns images into `Detections`; `predict` runs it over folders, videos and
streams; `evaluate` tells how good it is on labelled images. Names are imported when they are first
used: `import scantling` loads no torch.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .errors import ScantlingError

if TYPE_CHECKING:
    from .checkpoints import create_model
    from .evaluate import Evaluation, evaluate, evaluate_results
    from .postprocess import Selection
    from .predict import Prediction, Predictor, load, predict
    from .specs import CATALOG, ModelSpec
    from .structures import Detections

__version__ = "0.1.0"

_HOMES = {
    "CATALOG": "specs",
    "Detections": "structures",
    "Evaluation": "evaluate",
    "ModelSpec": "specs",
    "Prediction": "predict",
    "Predictor": "predict",
    "Selection": "postprocess",
    "create_model": "checkpoints",
    "evaluate": "evaluate",
    "evaluate_results": "evaluate",
    "load": "predict",
    "predict": "predict",
}

__all__ = [
    "CATALOG",
    "Detections",
    "Evaluation",
    "ModelSpec",
    "Prediction",
    "Predictor",
    "ScantlingError",
    "Selection",
    "__version__",
    "create_model",
    "evaluate",
    "evaluate_results",
    "load",
    "predict",
]


class _Face(ModuleType):
    """Keeps `scantling.predict` the function: importing predict.py would put the module there."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _HOMES and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
