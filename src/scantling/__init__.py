"""One detector family, cut to the size of the device: YOLOv4, Scaled-YOLOv4 and EfficientDet.

`load` gives a model that turns images into `Detections`; `predict` runs it over folders, videos and
streams; `train`, `evaluate`, `export`, `verify`, `benchmark`, `analyze` and `scale` are what the
commands of these names call. Names are imported when they are first used: `import scantling` loads
no torch.
"""

from typing import TYPE_CHECKING

from .errors import ScantlingError as ScantlingError
from .lazy import lazy_exports

if TYPE_CHECKING:
    from .benchmarking import benchmark as benchmark
    from .checkpoints import create_model as create_model
    from .evaluation import (
        Evaluation as Evaluation,
        evaluate as evaluate,
        evaluate_results as evaluate_results,
    )
    from .exporting import export as export
    from .inference import (
        Prediction as Prediction,
        Predictor as Predictor,
        load as load,
        predict as predict,
    )
    from .postprocess import Selection as Selection
    from .scaling.analysis import analyze as analyze
    from .scaling.search import scale as scale
    from .specs import CATALOG as CATALOG, ModelSpec as ModelSpec
    from .structures import Detections as Detections
    from .training import train as train
    from .verification import verify as verify

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "benchmarking": ["benchmark"],
        "checkpoints": ["create_model"],
        "errors": ["ScantlingError"],
        "evaluation": ["Evaluation", "evaluate", "evaluate_results"],
        "exporting": ["export"],
        "inference": ["Prediction", "Predictor", "load", "predict"],
        "postprocess": ["Selection"],
        "scaling.analysis": ["analyze"],
        "scaling.search": ["scale"],
        "specs": ["CATALOG", "ModelSpec"],
        "structures": ["Detections"],
        "training": ["train"],
        "verification": ["verify"],
    },
)
__all__ += ["__version__"]
