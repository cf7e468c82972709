"""How many images of the largest shape fit into memory, before the first epoch begins."""

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ..blocks import read_past, write_past
from ..losses import Loss
from ..structures import Targets

HEADROOM = 0.8  # share of the free memory that a step may take
TRANSIENT = 1.5  # the peak of a step over what is kept for its backward pass, measured
OF_WEIGHTS = 3  # as large as the weights: their gradients, momentum and average
OBJECTS = 8  # an image, of the trial


def free_memory() -> int | None:
    """Bytes that this process can still have; None where the system does not say."""
    found = []
    try:
        found.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        found = [int(fields["MemAvailable"].split()[0]) * 1024]
    except (ValueError, OSError, KeyError, AttributeError):
        pass
    for folder, limit, used, cached in (
        ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
        (
            "/sys/fs/cgroup/memory",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file",
        ),
    ):
        try:
            most, taken = (int(Path(folder, name).read_text("ascii")) for name in (limit, used))
            lines = Path(folder, "memory.stat").read_text("ascii").splitlines()
            # files that were read count as taken, but make room when it is needed
            spare = next((int(line.split()[1]) for line in lines if line.split()[0] == cached), 0)
        except (OSError, ValueError, IndexError):
            continue
        found.append(most - taken + spare)
    return min(found) if found else None


def fitting_batch(
    network: nn.Module,
    loss: Loss,
    batch: int,
    image_size: tuple[int, int],
    *,
    device: torch.device,
    autocast: Callable[[], torch.autocast],
    free: Callable[[], int | None] = free_memory,
) -> int:
    """The largest part of a batch that a training step has memory for: the batch, its half, ….

    On a GPU the step is tried. On a processor, where the system would end the run without a word,
    what one image needs is counted and compared with what is free.

    Args:
        network, loss: of the run; neither weights nor statistics change.
        batch: images wanted at once, in this process.
        image_size: (height, width) of the largest images.
        device: of the network.
        autocast: makes the context that the network runs in.
        free: says how many bytes there are; None where nobody knows.

    Returns:
        The number of images, at least 1.
    """
    if device.type != "cuda":
        room = free()
        if room is None or batch == 1:
            return batch
        one = bytes_of_image(network, loss, image_size, device=device, autocast=autocast)
        own = OF_WEIGHTS * sum(weight.nbytes for weight in network.parameters())
        while batch > 1 and one * batch * TRANSIENT + own > room * HEADROOM:
            batch = -(-batch // 2)
        return batch
    # what the optimiser and the average will take, held while steps are tried
    ballast = [torch.empty_like(weight) for weight in network.parameters() for _ in range(2)]
    while True:
        try:
            bytes_of_step(network, loss, batch, image_size, device=device, autocast=autocast)
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
            batch = -(-batch // 2)
        else:
            ballast.clear()
            return batch
        finally:
            torch.cuda.empty_cache()


def bytes_of_image(
    network: nn.Module,
    loss: Loss,
    image_size: tuple[int, int],
    *,
    device: torch.device,
    autocast: Callable[[], torch.autocast],
) -> int:
    """What one image of a batch takes, rounded up."""

    def count(batch: int) -> int:
        return bytes_of_step(network, loss, batch, image_size, device=device, autocast=autocast)

    try:
        return count(1)
    except ValueError:  # batch norm of a map of a single cell takes no single image
        return -(-count(2) // 2)


def bytes_of_step(
    network: nn.Module,
    loss: Loss,
    batch: int,
    image_size: tuple[int, int],
    *,
    device: torch.device,
    autocast: Callable[[], torch.autocast],
) -> int:
    """Make one step and forget it; the bytes that were kept for its backward pass."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    past = read_past(network)
    weights = {parameter.data_ptr() for parameter in network.parameters()}
    images = torch.rand(batch, 3, *image_size, device=device)
    try:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            with autocast():
                raw = network(images)
            total = loss(raw, _some_targets(batch, image_size, device), image_size).total
        torch.autograd.backward(total)
    finally:
        network.zero_grad(set_to_none=True)
        for name, buffer in network.named_buffers():
            buffer.copy_(buffers[name])
        write_past(network, past)
    return sum(size for pointer, size in kept.items() if pointer not in weights)


def _some_targets(batch: int, image_size: tuple[int, int], device: torch.device) -> Targets:
    """A few objects in every image."""
    height, width = image_size
    corner = torch.rand(batch * OBJECTS, 2, device=device) * 0.5
    size = torch.rand(batch * OBJECTS, 2, device=device) * 0.4 + 0.05
    scale = torch.tensor([width, height, width, height], device=device)
    return Targets(
        boxes=torch.cat([corner, corner + size], dim=1) * scale,
        labels=torch.zeros(batch * OBJECTS, dtype=torch.int64, device=device),
        image_index=torch.arange(batch, device=device).repeat_interleave(OBJECTS),
    )
