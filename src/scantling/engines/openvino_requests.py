"""Requests to a model that OpenVINO compiled: each works on one batch, and all at once."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .file_engine import Outputs


class Requests:
    """Requests to one compiled model, used in turn; each writes into arrays made for it.

    Args:
        compiled: the model.
        names: of its outputs.
        count: how many run at once.
    """

    def __init__(self, compiled: Any, names: list[str], count: int) -> None:
        self._requests = [compiled.create_infer_request() for _ in range(count)]
        self._names = names
        self._shapes = [
            (tuple(output.shape), output.element_type.to_dtype())
            if output.partial_shape.is_static
            else None
            for output in compiled.outputs
        ]
        self._last: list[_Answer | None] = [None] * count
        self._next = 0

    def start(self, images: NDArray[Any]) -> Callable[[], Outputs]:
        """Begin on images; what is given back waits for the outputs, by name."""
        import openvino

        place = self._next
        self._next = (place + 1) % len(self._requests)
        last = self._last[place]
        if last is not None:
            last.settle()
        request = self._requests[place]
        request.set_input_tensor(openvino.Tensor(images, shared_memory=True))
        arrays: list[NDArray[Any] | None] = []
        for output, known in enumerate(self._shapes):
            array = None if known is None else np.empty(*known)
            arrays.append(array)
            if array is not None:
                request.set_output_tensor(output, openvino.Tensor(array, shared_memory=True))
        request.start_async()
        answer = self._last[place] = _Answer(request, images, self._names, arrays)
        return answer

    def settle(self) -> None:
        """Wait for everything that was begun."""
        for answer in self._last:
            if answer is not None:
                answer.settle()


class _Answer:
    """What one request is working on."""

    def __init__(
        self,
        request: Any,
        images: NDArray[Any],
        names: list[str],
        arrays: list[NDArray[Any] | None],
    ) -> None:
        self._request = request
        self._images: NDArray[Any] | None = images  # read from until the answer is there
        self._names = names
        self._arrays = arrays
        self._outputs: Outputs = {}
        self._failure: RuntimeError | None = None
        self._lock = threading.Lock()

    def __call__(self) -> Outputs:
        """Wait for the outputs.

        Raises:
            RuntimeError: OpenVINO failed.
        """
        self.settle()
        if self._failure is not None:
            raise self._failure
        return self._outputs

    def settle(self) -> None:
        """Wait until the request is free for something else, and keep what it gave."""
        with self._lock:
            if self._images is None:
                return
            try:
                self._request.wait()
            except RuntimeError as error:
                self._failure = error
            else:
                for output, (name, array) in enumerate(zip(self._names, self._arrays, strict=True)):
                    if array is None:  # in memory of the request, whose size it chose itself
                        array = self._request.get_output_tensor(output).data.copy()
                    self._outputs[name] = array
            self._images = None
