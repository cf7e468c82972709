"""The machine of a run: device, precision, processes, trackers, and the batch that fits memory."""

import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.state import AcceleratorState
from accelerate.utils import gather_object
from torch import Tensor, nn

from ..blocks import read_past, write_past
from ..engines.hardware import find_processor, free_memory
from ..engines.torch_engine import DTYPES, choose_device, choose_dtype
from ..errors import InvalidValue, MissingPackage, lookup
from ..inference import Prediction, Predictor
from ..losses import Loss
from ..structures import Targets
from .folder import RunFolder
from .recipe import Recipe
from .resolve import ResolvedRecipe

logger = logging.getLogger(__name__)

HEADROOM = 0.8  # share of the free memory that a step may take
TRANSIENT = 1.5  # the peak of a step over what is kept for its backward pass, measured
OF_WEIGHTS = 3  # as large as the weights: their gradients, momentum and EMA
OBJECTS = 8  # an image, of the trial
# How long processes wait for one another: while one computes metrics, writes a report or reads from
# a slow disk. One that ends lets its launcher end the others, however long they would wait.
PATIENCE = timedelta(hours=6)

# Every tracker: the module that it needs, and the package that has it.
TRACKERS = {
    "mlflow": ("mlflow", "mlflow"),
    "tensorboard": ("tensorboard", "tensorboard"),
    "wandb": ("wandb", "wandb"),
}


def check_trackers(names: Sequence[str]) -> None:
    """Require that every experiment tracker is known and installed.

    Raises:
        UnknownName, MissingPackage: a tracker that does not exist, or is not installed.
    """
    for name in names:
        module, package = lookup(TRACKERS, name, "tracker")
        if find_spec(module) is None:
            raise MissingPackage(package, f"--track {name}")


def open_accelerator(
    device: str,
    recipe: Recipe,
    trackers: Sequence[str],
    folder: RunFolder,
    *,
    cache: Path | None = None,
) -> Accelerator:
    """Make accelerate's `Accelerator` for a device, with the recipe's precision.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        recipe: whose `auto` is the fastest precision; see `engines.precision.fast_precision`.
        trackers: keys of `TRACKERS`.
        folder: of the run.
        cache: folder for what is measured; the user's own if None.

    Raises:
        InvalidValue: this machine lacks the device, or the device the precision; or the processes
            cannot share a batch evenly.
    """
    place = choose_device(device)
    dtype = choose_dtype(recipe.precision, place, cache=cache, training=True)
    precision = next(name for name, one in DTYPES.items() if one == dtype)
    if precision != "fp32" and place.type == "cpu" and precision not in find_processor().precisions:
        logger.warning(
            f"this processor has no instructions for {precision} and emulates it: fp32 is faster"
        )
    # accelerate keeps the device and precision of the first run of a Python process for all
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(
        cpu=place.type == "cpu",
        mixed_precision={"fp32": "no"}.get(precision, precision),
        log_with=list(trackers) or None,
        project_dir=str(folder.path),
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
    )
    _check_share(recipe, accelerator.num_processes)
    return accelerator


def _check_share(recipe: Recipe, processes: int) -> None:
    """Require a batch that is a multiple of the number of processes."""
    if recipe.batch % processes:
        expected = f"a multiple of {processes}, the number of processes"
        raise InvalidValue("batch", recipe.batch, expected)
    if recipe.shapes.dynamic_batch and processes > 1:
        raise InvalidValue("shapes.dynamic_batch", True, "false with several processes")


class SharedPredictor(Predictor):
    """A predictor of several processes, which share the files out; the first one gets everything.

    Args:
        accelerator: of the run.
        options: of `Predictor`.
    """

    def __init__(self, accelerator: Accelerator, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._rank, self._processes = accelerator.process_index, accelerator.num_processes

    def stream_files(
        self, paths: Sequence[str | PathLike[str]], **options: Any
    ) -> Generator[Prediction, None, None]:
        """As of `Predictor`, called in every process. Only that of rank 0 yields anything.

        The predictions of its own share come first.
        """
        kept: list[Prediction] = []
        for found in super().stream_files(paths[self._rank :: self._processes], **options):
            index = found.frame.index * self._processes + self._rank
            prediction = replace(found, frame=replace(found.frame, index=index))
            if self._rank == 0:
                yield prediction
            else:
                kept.append(prediction)
        gathered = gather_object(kept)
        if self._rank == 0:
            yield from gathered


@dataclass(frozen=True)
class TrialStep:
    """A training step on random images, made to find out how much memory it takes.

    Neither weights nor statistics change.

    Args:
        network, loss: of the run.
        image_size: (height, width) of the largest images.
        device: of the network.
        autocast: makes the context that the network runs in.
    """

    network: nn.Module
    loss: Loss
    image_size: tuple[int, int]
    device: torch.device
    autocast: Callable[[], torch.autocast]

    def fitting_batch(self, wanted: int, *, free: Callable[[], int | None] = free_memory) -> int:
        """The largest batch that a step has memory for: the one wanted, its half, …, at least 1.

        On a GPU the step is tried. On a processor, where the system would end the run without a
        word, what one image needs is counted and compared with what is free.

        Args:
            wanted: images at once, in this process.
            free: says how many bytes there are; None where nobody knows.
        """
        if self.device.type == "cuda":
            return self._largest_tried(wanted)
        batch, room = wanted, free()
        if room is None or batch == 1:
            return batch
        one = self.bytes_per_image()
        own = OF_WEIGHTS * sum(weight.nbytes for weight in self.network.parameters())
        while batch > 1 and one * batch * TRANSIENT + own > room * HEADROOM:
            batch = -(-batch // 2)
        return batch

    def _largest_tried(self, batch: int) -> int:
        # what the optimizer and the EMA will take, held while steps are tried
        parameters = self.network.parameters()
        ballast = [torch.empty_like(weight) for weight in parameters for _ in range(2)]
        while True:
            try:
                self.bytes_for_backward(batch)
            except torch.OutOfMemoryError:
                if batch == 1:
                    raise
                batch = -(-batch // 2)
            else:
                ballast.clear()
                return batch
            finally:
                torch.cuda.empty_cache()

    def bytes_per_image(self) -> int:
        """Bytes that one image of a batch takes, rounded up."""
        try:
            return self.bytes_for_backward(1)
        except ValueError:  # batch norm of a map of a single cell takes no single image
            return -(-self.bytes_for_backward(2) // 2)

    def bytes_for_backward(self, batch: int) -> int:
        """Make one step and forget it; the bytes that were kept for its backward pass."""
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        network = self.network
        buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
        past = read_past(network)
        weights = {parameter.data_ptr() for parameter in network.parameters()}
        images = torch.rand(batch, 3, *self.image_size, device=self.device)
        try:
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                with self.autocast():
                    raw = network(images)
                total = self.loss(raw, self._random_targets(batch), self.image_size).total
            torch.autograd.backward(total)
        finally:
            network.zero_grad(set_to_none=True)
            for name, buffer in network.named_buffers():
                buffer.copy_(buffers[name])
            write_past(network, past)
        return sum(size for pointer, size in kept.items() if pointer not in weights)

    def _random_targets(self, batch: int) -> Targets:
        """A few objects in every image."""
        height, width = self.image_size
        corner = torch.rand(batch * OBJECTS, 2, device=self.device) * 0.5
        size = torch.rand(batch * OBJECTS, 2, device=self.device) * 0.4 + 0.05
        scale = torch.tensor([width, height, width, height], device=self.device)
        return Targets(
            boxes=torch.cat([corner, corner + size], dim=1) * scale,
            labels=torch.zeros(batch * OBJECTS, dtype=torch.int64, device=self.device),
            image_index=torch.arange(batch, device=self.device).repeat_interleave(OBJECTS),
        )


def fit_batch_to_memory(
    resolved: ResolvedRecipe,
    step: TrialStep,
    accelerator: Accelerator,
    *,
    free: Callable[[], int | None] = free_memory,
) -> ResolvedRecipe:
    """The recipe with the largest batch that fits into memory, which is logged where it is smaller.

    Batches are accumulated to as many images an update as before.
    """
    recipe, processes = resolved.recipe, accelerator.num_processes
    wanted = -(-recipe.batch // processes)
    found = step.fitting_batch(wanted, free=free)
    # the least of all processes, so that they agree
    found = int(accelerator.gather(torch.tensor([found], device=accelerator.device)).min())
    if found >= wanted:
        return resolved
    nominal = max(recipe.nominal_batch, recipe.batch)
    height, width = step.image_size
    logger.info(
        f"a batch of {recipe.batch} images of {height}x{width} does not fit into"
        f" memory: {found * processes} at once, accumulated to {nominal}"
    )
    smaller = recipe.replace(batch=found * processes, nominal_batch=nominal)
    return replace(resolved, recipe=smaller, sources={**resolved.sources, "batch": "memory"})
