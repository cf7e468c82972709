"""What a network is computed in: as asked, as a file is meant, or the fastest of this processor.

Of the fastest there is one answer, `fast_precision`, for whoever asks: training, every engine, the
demonstration, export, benchmarks.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

from ..errors import InvalidValue
from ..io import default_cache, open_regular, write_file
from .hardware import PRECISIONS, Processor, find_processor, instruction_level, package_version

logger = logging.getLogger(__name__)

KEPT = "precision.json"  # in the cache folder: what was measured, by processor and level
MAX_BYTES = 1 << 20  # of that file
WORTH_IT = 1.1  # a reduced precision is less exact; a gain below this is none
SECONDS, FEWEST, MOST = 0.3, 4, 40  # of a measurement; turns of it
# (channels in, out, stride) of the convolutions that are timed, on images of a side
LAYERS = ((3, 32, 2), (32, 64, 2), (64, 64, 1), (64, 128, 2))
IMAGES, SIDE = 2, 128
SLOPE = 0.1

Runs = Mapping[str, Callable[[], object]]  # one turn in each precision


@dataclass(frozen=True)
class Arithmetic:
    """What a graph is computed in.

    Args:
        name: `fp32`, `bf16`, `fp16` or `int8`.
        floats: what it computes in where it computes in floating point.
    """

    name: str
    floats: str

    def __str__(self) -> str:
        return self.name if self.name == self.floats else f"{self.name} and {self.floats}"


def choose_arithmetic(
    asked: str | None, own: str, processor: Processor, fastest: Callable[[], str]
) -> Arithmetic:
    """What a graph is computed in.

    Args:
        asked: `fp32`, `bf16`, `fp16`; `auto` for the fastest of them; None for what the file is
            meant to be computed in.
        own: what it is meant to be computed in. What is INT8 in it stays so.
        processor: that computes.
        fastest: says which of them is, where that matters; see `fast_precision`.

    Raises:
        InvalidValue: the processor has no arithmetic for what was asked.
    """
    if asked in (None, "auto") and own == "int8":
        return Arithmetic("int8", "bf16" if fastest() == "bf16" else "fp32")
    if asked == "auto":
        chosen = fastest()
        return Arithmetic(chosen, chosen)
    wanted = own if asked is None else asked
    if wanted not in PRECISIONS:
        raise InvalidValue("precision", wanted, f"one of {', '.join(PRECISIONS)}, or auto")
    if wanted not in processor.precisions:
        if asked is not None:
            able = ", ".join(processor.precisions)
            raise InvalidValue(
                "precision", asked, f"one that this processor computes in: {able}, or auto"
            )
        logger.info(f"this processor has no arithmetic for {own}: the file is computed in fp32")
        wanted = "fp32"
    return Arithmetic("int8" if own == "int8" else wanted, wanted)


def fast_precision(
    runtime: str,
    *,
    training: bool = False,
    processor: Processor | None = None,
    cache: Path | None = None,
    measure: Callable[[str, Sequence[str], bool], dict[str, float]] | None = None,
) -> str:
    """The precision in which a runtime computes networks fastest on the processor.

    Without instructions for bf16 or fp16 that is fp32, whatever a runtime says it supports: it
    would emulate them, at half of the speed of fp32 or less. With AMX it is bf16. In between it
    is measured, for a third of a second by turns, and kept in the cache folder under the name of
    the processor, its instructions and what lowers them.

    Args:
        runtime: `torch`, `openvino` or `onnxruntime`; the last computes in fp32 alone.
        training: forward and backward, of which fp16 is left out; else forward alone.
        processor: this one if None.
        cache: folder to keep it in; the user's own if None.
        measure: (runtime, precisions, training) → seconds of each; the real thing if None.
    """
    processor = processor or find_processor()
    reduced = [one for one in processor.precisions if one != "fp32"]
    if training:
        reduced = [one for one in reduced if one == "bf16"]
    if runtime == "torch" and reduced:
        reduced = [one for one in reduced if torch_supports(one)]
    if runtime == "onnxruntime" or not reduced:
        return "fp32"
    level = instruction_level()
    if "bf16" in reduced and "amx_bf16" in processor.instructions and not level:
        return "bf16"
    kept = (cache or default_cache()) / KEPT
    key = _key(runtime, processor, level, training=training)
    seconds = _measured(_read(kept).get(key), reduced)
    if seconds is None:
        try:
            seconds = (measure or measure_precisions)(runtime, reduced, training)
        except Exception as error:  # whatever a runtime raises; no reason to stop
            logger.debug(f"precisions of {runtime} cannot be measured: {error}")
            return processor.likely if processor.likely in reduced else "fp32"
        _keep(kept, key, seconds)
    return _fastest(seconds)


def torch_supports(precision: str) -> bool:
    """Whether torch computes in bf16 or fp16 through oneDNN, which may emulate it."""
    import torch

    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    # the only way that torch offers to ask
    return bool(getattr(torch.ops.mkldnn, f"_is_mkldnn_{precision}_supported")())


def measure_precisions(runtime: str, reduced: Sequence[str], training: bool) -> dict[str, float]:
    """Seconds of one core for some convolutions in fp32 and in each other precision, at best.

    It is the time that the core works: that of waiting, where the machine is busy, is left out.

    Args:
        runtime: `torch` or `openvino`.
        reduced: the other precisions.
        training: forward and backward; else forward alone.
    """
    names = ["fp32", *reduced]
    if runtime == "openvino":
        return _take_times(_in_openvino(names))
    from .torch_engine import torch_threads

    with torch_threads(1):
        return _take_times(_in_torch(names, training=training))


def _take_times(runs: Runs) -> dict[str, float]:
    """The least seconds of the processor that each takes, by turns."""
    for run in runs.values():  # compiles, takes memory
        run()
    best: dict[str, float] = {}
    start = process_time()
    for turn in range(MOST):
        if turn >= FEWEST and process_time() - start > SECONDS:
            break
        for name, run in runs.items():
            before = process_time()
            run()
            passed = process_time() - before
            best[name] = min(passed, best.get(name, passed))
    return best


def macs_measured() -> int:
    """Multiplications and additions of one forward turn of `measure_precisions`."""
    total, side = 0, SIDE
    for channels, out, stride in LAYERS:
        side //= stride
        total += IMAGES * side * side * channels * out * 9
    return total


def _in_torch(names: Sequence[str], *, training: bool) -> Runs:
    import torch
    from torch import nn

    parts: list[nn.Module] = []
    for channels, out, stride in LAYERS:
        parts.append(nn.Conv2d(channels, out, 3, stride, 1, bias=not training))
        parts += [nn.BatchNorm2d(out), nn.LeakyReLU(SLOPE)] if training else [nn.LeakyReLU(SLOPE)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        images = torch.rand(IMAGES, 3, SIDE, SIDE).to(memory_format=torch.channels_last)
        network = nn.Sequential(*parts).to(memory_format=torch.channels_last)

    def train(dtype: torch.dtype) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            total = network(images).float().square().mean()
        total.backward()
        network.zero_grad(set_to_none=True)

    def prepare(dtype: torch.dtype) -> Callable[[], object]:
        if training:
            return lambda: train(dtype)
        own, given = _copy(network).to(dtype), images.to(dtype)

        def predict() -> None:
            with torch.inference_mode():
                own(given)

        return predict

    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    return {name: prepare(dtypes[name]) for name in names}


def _copy(network: Any) -> Any:
    from copy import deepcopy

    return deepcopy(network).eval()


def _in_openvino(names: Sequence[str]) -> Runs:
    import numpy as np

    from .openvino_engine import import_openvino, keep_signal_stack

    openvino = import_openvino("A measurement in OpenVINO")
    from openvino import opset13

    random = np.random.default_rng(0)
    images = opset13.parameter([IMAGES, 3, SIDE, SIDE], np.float32)
    found = images
    for channels, out, stride in LAYERS:
        weights = random.normal(0, 0.05, (out, channels, 3, 3)).astype(np.float32)
        found = opset13.convolution(found, weights, [stride] * 2, [1, 1], [1, 1], [1, 1])
        found = opset13.prelu(found, np.full(1, SLOPE, np.float32))
    model, core = openvino.Model([found], [images]), openvino.Core()
    given = random.random((IMAGES, 3, SIDE, SIDE), np.float32)
    hints = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
    requests = {}
    for name in names:
        settings = {"INFERENCE_PRECISION_HINT": hints[name], "INFERENCE_NUM_THREADS": 1}
        with keep_signal_stack():
            requests[name] = core.compile_model(model, "CPU", settings).create_infer_request()
    return {name: partial(one.infer, [given]) for name, one in requests.items()}


def _fastest(seconds: Mapping[str, float]) -> str:
    """The precision that took least, where it is worth it."""
    name = min(seconds, key=lambda one: seconds[one])
    return name if seconds["fp32"] >= WORTH_IT * seconds[name] else "fp32"


def _key(runtime: str, processor: Processor, level: str, *, training: bool) -> str:
    instructions = ",".join(sorted(processor.instructions))
    parts = [processor.name, instructions, level]
    parts += [runtime, package_version(runtime) or "", "training" if training else "predicting"]
    return " | ".join(parts)


def _measured(found: object, reduced: Sequence[str]) -> dict[str, float] | None:
    """Something kept, if it is a measurement of these precisions."""
    if not isinstance(found, dict):
        return None
    seconds = {name: found.get(name) for name in ("fp32", *reduced)}
    whole = all(isinstance(one, float) for one in seconds.values())
    return {name: float(one or 0) for name, one in seconds.items()} if whole else None


def _read(path: Path) -> dict[str, Any]:
    try:
        with open_regular(path) as file:
            found = json.loads(file.read(MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _keep(path: Path, key: str, seconds: Mapping[str, float]) -> None:
    with suppress(OSError):  # what cannot be kept is measured again
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, json.dumps({**_read(path), key: dict(seconds)}, indent=1) + "\n")
