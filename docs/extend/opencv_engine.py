"""OpenCV's dnn module as an engine, for `.onnx` files that give raw predictions.

It takes float images, so export with `form=GraphForm(takes="float", gives="raw")`.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from scantling.engines.contract import EngineSettings
from scantling.engines.file_engine import FileEngine, Outputs
from scantling.engines.files import output_names
from scantling.engines.runtimes import Runtime
from scantling.errors import InvalidExport, InvalidValue
from scantling.specs.metadata import Metadata


class OpenCvSession:
    """A graph in OpenCV, one image or batch at a time."""

    def __init__(self, network: cv2.dnn.Net, names: tuple[str, ...]) -> None:
        self._network, self._names = network, names

    def start(self, images: NDArray[np.float32]) -> Callable[[], Outputs]:
        """(N, 3, H, W) images → their outputs, computed at once."""
        self._network.setInput(np.ascontiguousarray(images), "images")
        found = self._network.forward(list(self._names))
        outputs = dict(zip(self._names, (one.copy() for one in found), strict=True))
        return lambda: outputs

    def close(self) -> None:
        """Nothing is open."""


def open_opencv(path: Path, metadata: Metadata, settings: EngineSettings) -> FileEngine:
    """An `.onnx` file in OpenCV.

    Raises:
        InvalidValue: the graph takes or gives what OpenCV has no operations for, or a GPU is asked
            for.
        InvalidExport: OpenCV cannot read the graph.
    """
    form = metadata.form
    if (form.takes, form.gives) != ("float", "raw"):
        given = f"a graph from {form.takes} to {form.gives}"
        raise InvalidValue("form", given, "float to raw for the engine opencv")
    if settings.device not in ("auto", "cpu"):
        raise InvalidValue("device", settings.device, "auto or cpu for the engine opencv")
    try:
        network = cv2.dnn.readNetFromONNX(str(path))
    except cv2.error as error:
        raise InvalidExport(str(path), f"OpenCV says: {error.err}", "Use onnxruntime") from error
    return FileEngine(
        metadata,
        OpenCvSession(network, output_names(metadata)),
        name="opencv",
        precision="fp32",
        image_size=settings.image_size,
        description=f"opencv {cv2.__version__}, CPU, fp32",
    )


OPENCV = Runtime(packages=("opencv-python-headless", "opencv-python"), open_file=open_opencv)
