"""The training loop, in the open: a generator that makes one update at a time.

The caller logs, evaluates, saves and stops in its own `for`.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..blocks import begin_update, set_progress
from ..errors import InvalidSettings, TrainingDiverged
from ..losses import Loss
from ..structures import Batch, LossTerms, Targets
from .optimizer import set_rates, set_training
from .plan import StepPlan, TrainStep, rng_for
from .self_adversarial import attack
from .state import TrainState

if TYPE_CHECKING:
    from accelerate import Accelerator

TERMS = tuple(field.name for field in fields(LossTerms))


@dataclass(frozen=True, eq=False)
class StepDone:
    """What one update did. The terms stay on their device: reading them waits for it.

    Args:
        step: which: its `index` from 0 over the whole run, its `epoch` from 0, its `images`.
        learning_rate: of the weights in this update.
        terms: of the loss, means over the images of the update: tensors of one number each,
            `total`, `box`, `objectness`, 0 where the head has none, and `classes`.
    """

    step: TrainStep
    learning_rate: float
    terms: LossTerms


@dataclass(frozen=True)
class Trainer:
    """Makes the updates of a run.

    Args:
        plan: its steps.
        loss: of the network.
        accelerator: where and in which precision to compute, and with which other processes.
        normalize: from (N, 3, H, W) pixels on the device, uint8 or, of an image that was changed
            against the network, float32, to what the network takes.
    """

    plan: StepPlan
    loss: Loss
    accelerator: "Accelerator"
    normalize: Callable[[Tensor], Tensor]

    def steps(self, state: TrainState, batches: Iterator[Batch]) -> Iterator[StepDone]:
        """Make update after update, from where the state is to the end of the plan.

        When an update is handed out, the state is that after it.

        Args:
            state: what is changed.
            batches: this process's share of each batch of `plan.iterate(start=state.done)`, in
                order.

        Raises:
            TrainingDiverged: the loss is no longer finite. It is told one update late, so that
                nobody waits for the device.
        """
        recipe, accelerator = self.plan.recipe, self.accelerator
        network, optimizer = self._joined(state.network), accelerator.prepare(state.optimizer)
        total = self.plan.updates
        before: _Watched | None = None
        for step in self.plan.iterate(start=state.done):
            rate = set_rates(
                state.optimizer,
                recipe,
                progress=step.progress,
                batch_index=step.first_batch,
                per_epoch=self.plan.per_epoch,
            )
            set_training(state.network)
            set_progress(
                state.network, min(1.0, step.index / total / recipe.regularization.drop_ramp)
            )
            begin_update(state.network)
            # dropped blocks and paths come from torch's own generator
            seed = rng_for(recipe.seed, "torch", step.index, accelerator.process_index)
            with seeded(int(seed.integers(2**63))):
                used = [next(batches) for _ in step.batches]
                strength = step.index / total
                terms = self._collect(network, state.network, step, used, strength=strength)
            if recipe.optimizer.clip_norm:
                accelerator.clip_grad_norm_(network.parameters(), recipe.optimizer.clip_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            state.done = step.index + 1
            if state.ema is not None:
                state.ema.update(state.done)
            if before is not None:
                before.check()
            before = _Watched(terms, [image for batch in used for image in batch.image_ids])
            yield StepDone(step, rate, terms)
        if before is not None:
            before.check()

    def _joined(self, network: nn.Module) -> nn.Module:
        """The network wrapped to share gradients with the other processes, if any.

        accelerate's own `prepare` would change the network itself: whoever evaluates it between
        two updates would get the precision of training.
        """
        device = self.accelerator.device
        if self.accelerator.num_processes == 1:
            return network
        places = [device.index] if device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=places)

    def _collect(
        self,
        network: nn.Module,
        plain: nn.Module,
        step: TrainStep,
        batches: Sequence[Batch],
        *,
        strength: float,
    ) -> LossTerms:
        """Collect the gradients of one update; the mean of its losses."""
        accelerator, parts = self.accelerator, []
        for place, batch in enumerate(batches):
            last = place == len(batches) - 1
            with nullcontext() if last else accelerator.no_sync(network):
                images = batch.images.to(accelerator.device, non_blocking=True)
                images = self._attacked(plain, images, step.first_batch + place, strength)
                with accelerator.autocast(), _told_if_too_small(step.image_size):
                    raw = network(self.normalize(images))
                targets = _to(batch.targets, accelerator.device)
                terms = self.loss(raw, targets, step.image_size, all_reduce=self._all_reduce)
                share = len(step.batches[place]) / step.images
                accelerator.backward(terms.total * share)
            parts.append((terms, share))
        return _mean(parts)

    def _attacked(self, network: nn.Module, images: Tensor, batch: int, strength: float) -> Tensor:
        """The images; on a share of the batches changed by self-adversarial training."""
        settings = self.plan.recipe.self_adversarial
        draw = rng_for(self.plan.recipe.seed, "adversarial", batch).random()
        if draw >= settings.probability:
            return images
        return attack(
            network,
            self.loss,
            images,
            strength=settings.strength * strength,
            normalize=self.normalize,
            autocast=self.accelerator.autocast,
        )

    def _all_reduce(self, values: Tensor) -> Tensor:
        summed: Tensor = self.accelerator.reduce(values, reduction="sum")
        return summed


@contextmanager
def _told_if_too_small(image_size: tuple[int, int]) -> Iterator[None]:
    """Say what torch means where a feature map of one image has one cell, and so no variance."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        height, width = image_size
        problem = f"image_size: of {height}×{width} pixels a feature map has one cell, and a batch"
        expected = "has one image: expected a larger image_size, or no batch of one image"
        raise InvalidSettings([f"{problem} {expected}"]) from error


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let torch draw its random numbers from a seed for a while, and go on as before after it."""
    used: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    gpus = range(torch.cuda.device_count()) if used else ()
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(seed)
        yield


def _to(targets: Targets, device: torch.device) -> Targets:
    columns = (getattr(targets, field.name) for field in fields(targets))
    return Targets(*(column.to(device, non_blocking=True) for column in columns))


@torch.no_grad()
def _mean(parts: Sequence[tuple[LossTerms, float]]) -> LossTerms:
    """The mean over the images of an update, of the means over those of each batch."""
    columns = ([getattr(terms, name).detach() * share for terms, share in parts] for name in TERMS)
    return LossTerms(*(torch.stack(column).sum() for column in columns))


class _Watched:
    """The loss of an update on its way to the host, to be looked at after the next one is queued.

    A plain read would wait for all that was queued since; this waits for its own copy alone.
    """

    def __init__(self, terms: LossTerms, images: Sequence[int | str]) -> None:
        on_device = torch.stack([getattr(terms, name) for name in TERMS])
        self._images = images
        self._values = on_device.to("cpu", non_blocking=True)  # page-locked, from a GPU
        self._copied = None
        if on_device.is_cuda:
            self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._copied.record(torch.cuda.current_stream(on_device.device))

    def check(self) -> None:
        """Require a finite loss.

        Raises:
            TrainingDiverged: it is not finite.
        """
        if self._copied is not None:
            self._copied.synchronize()
        values = dict(zip(TERMS, self._values.tolist(), strict=True))
        if not math.isfinite(values["total"]):
            told = ", ".join(f"{name} {value:g}" for name, value in values.items())
            raise TrainingDiverged(told, self._images)
