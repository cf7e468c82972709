"""Where a run computes: device, precision, processes, memory; and which trackers follow it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from ..checkpoints import Model
from ..engines.torch_engine import choose_device, choose_dtype
from ..errors import InvalidValue, MissingPackage, lookup
from ..losses import Loss
from .folder import RunFolder
from .memory import fitting_batch, free_memory
from .recipe import Recipe
from .resolve import Resolved

logger = logging.getLogger(__name__)

# Every tracker: the module that it needs, and the package that has it.
TRACKERS = {
    "mlflow": ("mlflow", "mlflow"),
    "tensorboard": ("tensorboard", "tensorboard"),
    "wandb": ("wandb", "wandb"),
}


def check_trackers(names: Sequence[str]) -> None:
    """Refuse what cannot follow a run here.

    Raises:
        UnknownName, MissingPackage: a tracker that does not exist, or is not installed.
    """
    for name in names:
        module, package = lookup(TRACKERS, name, "tracker")
        if find_spec(module) is None:
            raise MissingPackage(package, f"--track {name}")


def open_accelerator(
    device: str, recipe: Recipe, trackers: Sequence[str], folder: RunFolder
) -> Accelerator:
    """Where and in which precision to compute, with which other processes.

    Raises:
        InvalidValue: this machine lacks the device, or the device the precision.
    """
    place = choose_device(device)
    precision = recipe.precision if recipe.precision != "auto" else _fast_precision(place)
    choose_dtype(precision, place)
    # accelerate keeps the device and precision of the first run of a Python process for all
    AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(
        cpu=place.type == "cpu",
        mixed_precision={"fp32": "no"}.get(precision, precision),
        log_with=list(trackers) or None,
        project_dir=str(folder.path),
    )


def check_share(recipe: Recipe, accelerator: Accelerator) -> None:
    """Refuse a batch that the processes cannot share evenly.

    Raises:
        InvalidValue: it is no multiple of their number.
    """
    processes = accelerator.num_processes
    if recipe.batch % processes:
        expected = f"a multiple of {processes}, the number of processes"
        raise InvalidValue("batch", recipe.batch, expected)
    if recipe.shapes.dynamic_batch and processes > 1:
        raise InvalidValue("shapes.dynamic_batch", True, "false with several processes")


def fit_memory(
    model: Model,
    loss: Loss,
    resolved: Resolved,
    largest_size: tuple[int, int],
    accelerator: Accelerator,
    *,
    free: Callable[[], int | None] = free_memory,
) -> Resolved:
    """The settings with a batch that fits into memory at the largest shape, which is said.

    What is accumulated to one update stays the same.
    """
    recipe, processes = resolved.recipe, accelerator.num_processes
    wanted = -(-recipe.batch // processes)
    found = fitting_batch(
        model.network,
        loss,
        wanted,
        largest_size,
        device=accelerator.device,
        autocast=accelerator.autocast,
        free=free,
    )
    # the least of all processes, so that they agree
    found = int(accelerator.gather(torch.tensor([found], device=accelerator.device)).min())
    if found >= wanted:
        return resolved
    nominal = max(recipe.nominal_batch, recipe.batch)
    logger.info(
        f"a batch of {recipe.batch} images of {largest_size[0]}x{largest_size[1]} does not fit into"
        f" memory: {found * processes} at once, accumulated to {nominal}"
    )
    smaller = recipe.replace(batch=found * processes, nominal_batch=nominal)
    return replace(resolved, recipe=smaller, sources={**resolved.sources, "batch": "memory"})


def _fast_precision(device: torch.device) -> str:
    """bf16 where the device computes in it; on a GPU without, fp16; else fp32."""
    try:
        choose_dtype("bf16", device)
    except InvalidValue:
        return "fp16" if device.type == "cuda" else "fp32"
    return "bf16"
