"""PyTorch as an engine: the network fused, in the memory layout and precision of its device."""

import logging
import re
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ..blocks import FusibleMish, fuse_norms, replace_mish
from ..checkpoints import Model
from ..darknet import DarknetNetwork
from ..detector import Detector
from ..errors import InvalidValue, NotEnoughMemory, lookup
from ..io import count_cores
from ..structures import Candidates, FloatArray, Image
from .contract import EngineSettings, Lifetime, Ready
from .hardware import free_memory
from .precision import fast_precision, torch_supports

logger = logging.getLogger(__name__)

LARGE = 1 << 23  # pixels of all images from which on the memory of the maps is counted first
NO_MEMORY = re.compile("allocate memory|not enough memory|out of memory", re.IGNORECASE)
DTYPES: dict[str, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


class TorchEngine:
    """A copy of a model's network, ready to predict; the model itself stays as it is.

    Args:
        model: what to run.
        settings: its `threads` are torch's while the network works, not before or after; None for
            as many as torch has. Half precision is faster where the hardware has it, and near but
            not equal. `compile` lets torch compile the network when it first sees images of a size:
            half a minute or more, for up to twice the speed; it needs a C++ compiler.

    Raises:
        InvalidSpec: the network takes no images of that size.
        InvalidValue: this machine lacks the device, or the device the precision.
    """

    name = "torch"
    streams = 1
    whole_images = False

    def __init__(self, model: Model, settings: EngineSettings | None = None) -> None:
        settings = settings or EngineSettings()
        self.image_size = choose_image_size(model, settings.size)
        self.size_divisor: int | None = model.network.sizes.step
        self._spec = model.spec
        self.device = choose_device(settings.device)
        self.dtype = choose_dtype(settings.precision or "fp32", self.device, cache=settings.cache)
        # On a processor, OpenMP keeps a pool of threads for each thread that calls it, and stops
        # spinning where the pools outnumber the cores: a quarter slower, measured on two cores.
        self.in_background = self.device.type != "cpu"
        self._mean, self._std = (
            255 * torch.tensor(values, device=self.device).view(3, 1, 1)
            for values in (model.spec.input.mean, model.spec.input.std)
        )
        network = deepcopy(model.network).eval().requires_grad_(False)
        fuse_norms(network)
        network.to(device=self.device, dtype=self.dtype)
        self._network: Any = network.to(memory_format=torch.channels_last)
        self._forward: Callable[..., Any] = (
            _compiled(self._network, self.device) if settings.compile else self._network
        )
        self._fits: set[tuple[int, ...]] = set()  # shapes of large images that there is memory for
        self.precision = next(key for key, dtype in DTYPES.items() if dtype == self.dtype)
        self._threads, self._cores = settings.threads, count_cores()
        self._lifetime = Lifetime(self.name)
        self.description = self._describe(compiled=settings.compile)

    def new_batch(self, images: int, image_size: tuple[int, int] | None = None) -> Image:
        """An (images, H, W, 3) array to be filled and handed to the engine.

        For a GPU it lies in page-locked memory, from which copies are fast.

        Args:
            images: how many.
            image_size: (height, width); the engine's own if None.

        Raises:
            InvalidSpec: the network takes no images of that size.
            InvalidValue: a side without pixels.
        """
        size = self.image_size if image_size is None else image_size
        self._check(size)
        self._check_memory(images, size)
        shape = (images, *size, 3)
        if self.device.type == "cpu":
            # not by torch: it would fill the array with a pool of threads, see `in_background`
            return np.zeros(shape, np.uint8)
        batch: Image = torch.empty(shape, dtype=torch.uint8, pin_memory=True).numpy()
        return batch

    @torch.inference_mode()
    def __call__(self, images: Image) -> Candidates:
        """Predict.

        Args:
            images: (N, H, W, 3) uint8 RGB, of any size that the network takes.

        Returns:
            The candidates of each image, on the engine's device. They are ready, and `images` may
            be filled anew.

        Raises:
            InvalidSpec: the network takes no images of that size.
            InvalidValue: images without pixels.
            NotEnoughMemory: for so many images of that size.
            EngineUnusable: the engine is closed, or of a GPU and of another process.
        """
        image_size = (images.shape[1], images.shape[2])
        self._check(image_size)
        self._check_memory(len(images), image_size)
        try:
            with torch_threads(self._threads or usual_threads(self._cores)):
                return self._predict(images, image_size)
        except (MemoryError, RuntimeError) as error:
            if not isinstance(error, MemoryError) and not NO_MEMORY.search(str(error)):
                raise
            raise _no_memory(len(images), image_size, "it was refused") from error

    def _predict(self, images: Image, image_size: tuple[int, int]) -> Candidates:
        # (N, H, W, 3) seen as (N, 3, H, W) already is channels_last: nothing moves
        pixels = torch.from_numpy(images).to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        # in fp32: bf16 does not hold all of the 256 levels after the division
        scaled = pixels.to(torch.float32).sub_(self._mean).div_(self._std).to(self.dtype)
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
            candidates: Candidates = self._network.decode(self._forward(scaled), image_size)
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()
        return candidates

    def submit(self, images: Image) -> Ready:
        """The answer to a batch, which is there at once; see `__call__`."""
        return Ready(self(images))

    def run(self, images: Image) -> dict[str, FloatArray]:
        """`boxes` (N, P, 4) and `scores` (N, P, K) of a batch, on numpy arrays; see `__call__`."""
        found = self(images)
        return {"boxes": found.boxes.cpu().numpy(), "scores": found.scores.cpu().numpy()}

    def close(self) -> None:
        """Let go of the network's memory; the engine is of no use afterwards."""
        self._lifetime.closed = True
        self._network = self._forward = nn.Identity()

    def _check_memory(self, images: int, size: tuple[int, int]) -> None:
        """Refuse large images that the maps of the network have no memory for.

        On a processor, whose system would end the process without a word.
        """
        shape = (images, 3, *size)
        if self.device.type != "cpu" or images * size[0] * size[1] < LARGE or shape in self._fits:
            return
        needed, free = count_map_bytes(self._network, shape, self.dtype), free_memory()
        if free is not None and needed > free:
            told = f"{needed / 1e9:.1f} GB for maps at once, {free / 1e9:.1f} GB are free"
            raise _no_memory(images, size, told)
        self._fits.add(shape)

    def _describe(self, *, compiled: bool) -> str:
        where = "CPU"
        if self.device.type == "cuda":
            where = torch.cuda.get_device_name(self.device)
        threads = self._threads or usual_threads(self._cores)
        parts = [f"torch {torch.__version__.split('+')[0]}", where, self.precision]
        if self.device.type == "cpu":
            parts.append(f"{threads} thread{'s' * (threads > 1)}")
        if compiled:
            parts.append("compiled")
        return ", ".join([*parts, "1 stream"])

    def _check(self, image_size: tuple[int, int]) -> None:
        self._lifetime.check(may_be_forked=self.device.type == "cpu")
        if self._lifetime.is_forked:
            # OpenMP would wait for threads that stayed in the other process
            torch.set_num_threads(1)
            self._threads, self._lifetime = 1, Lifetime(self.name)
            logger.warning("torch has one thread in a process that was forked after it was used")
        if image_size != self.image_size:
            check_size(self._network, image_size, self._spec.name)


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors that live at once; views count as what they are of."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, (tuple, list)) else (made,):
            if not isinstance(one, torch.Tensor) or one._is_view():
                continue
            if all(one is not given for given in args):  # not in place
                size = one.numel() * one.element_size()
                self.now += size
                self.most = max(self.most, self.now)
                weakref.finalize(one, self._let_go, size)
        return made

    def _let_go(self, size: int) -> None:
        self.now -= size


def count_map_bytes(network: nn.Module, shape: tuple[int, ...], dtype: torch.dtype) -> int:
    """Bytes that the maps of a network take at once, at most, without computing any.

    Args:
        network: stays as it is.
        shape: (N, 3, H, W) of the images.
        dtype: of the maps.
    """
    images = torch.empty(shape, dtype=dtype, device="meta")
    own = int(images.numel() * images.element_size())
    with torch.inference_mode(mode=False), torch.no_grad():
        shadow = deepcopy(network).to("meta")
        with _LiveBytes() as live:
            shadow(images)
    return own + int(live.most)


def _no_memory(images: int, size: tuple[int, int], told: str) -> NotEnoughMemory:
    shown = f"{images} image{'s' * (images > 1)} of {size[0]}×{size[1]} pixels"
    fix = "Give a smaller image size, or fewer images at once"
    return NotEnoughMemory(shown, told, fix)


def _compiled(network: nn.Module, device: torch.device) -> Callable[..., Any]:
    """The network, to be compiled at its first images; on a GPU, into a graph of launches."""
    swapped = deepcopy(network)
    replace_mish(swapped, FusibleMish)
    mode = "reduce-overhead" if device.type == "cuda" else None
    made: Callable[..., Any] = torch.compile(swapped, mode=mode)
    return made


def choose_image_size(model: Model, size: tuple[int, int] | None) -> tuple[int, int]:
    """(height, width) of the input: as asked, or the model's own."""
    if size is None:
        return model.spec.image_size
    check_size(model.network, size, model.spec.name)
    return size


def check_size(network: Detector | DarknetNetwork, image_size: tuple[int, int], name: str) -> None:
    """Refuse a size that a network cannot take.

    Raises:
        InvalidSpec: its strides do not divide it.
        InvalidValue: a side without pixels.
    """
    if min(image_size) < 1:
        raise InvalidValue("image_size", image_size, "sides of one pixel or more")
    network.sizes.check(name, image_size)


def choose_device(device: str) -> torch.device:
    """The device of that name, if this machine has it."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return torch.device("cuda" if gpus else "cpu")
    known = ["auto", "cpu", *(["cuda"] if gpus else []), *(f"cuda:{gpu}" for gpu in range(gpus))]
    if device not in known:
        raise InvalidValue("device", device, f"one that this machine has: {', '.join(known)}")
    return torch.device(device)


def choose_dtype(
    precision: str, device: torch.device, *, cache: Path | None = None, training: bool = False
) -> torch.dtype:
    """The number format of that name, if the device computes in it.

    Args:
        precision: key of `DTYPES`; `auto` for the fastest.
        device: that computes.
        cache: folder for what is measured to find the fastest; the user's own if None.
        training: forward and backward, not forward alone.

    Raises:
        InvalidValue, UnknownName: the device does not compute in it; there is none of the name.
    """
    if precision == "fp32":
        return torch.float32
    fast = [name for name in DTYPES if _computes(name, device)]
    if precision == "auto" and device.type == "cpu":
        return DTYPES[fast_precision("torch", training=training, cache=cache)]
    if precision == "auto":
        return torch.bfloat16 if training and "bf16" in fast else DTYPES[fast[-1]]
    dtype = lookup(DTYPES, precision, "precision")
    if precision not in fast:
        raise InvalidValue(
            "precision", precision, f"one that {device} computes in: {', '.join(fast)}"
        )
    return dtype


def _computes(precision: str, device: torch.device) -> bool:
    """Whether the device has arithmetic for it, or emulates it at a bearable speed."""
    if precision == "fp32":
        return True
    if device.type == "cuda":
        return precision == "fp16" or torch.cuda.is_bf16_supported(including_emulation=False)
    return torch_supports(precision)


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch have so many threads for a while, and then as many as before."""
    before = torch.get_num_threads()
    if threads == before:
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def usual_threads(cores: int | None = None) -> int:
    """As many threads as torch has, and not more than there are cores for this process.

    torch counts those of the machine, whatever its container may use.
    """
    return min(torch.get_num_threads(), count_cores() if cores is None else cores)
