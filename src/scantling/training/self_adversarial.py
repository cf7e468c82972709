"""Self-adversarial training: the network first changes the image so that it sees nothing there.

Paper: YOLOv4, https://arxiv.org/abs/2004.10934, section 3.3; darknet's rule for the strength.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from ..losses import Loss
from ..structures import Targets

WHITE = 255.0


def attack(
    network: nn.Module,
    loss: Loss,
    images: Tensor,
    *,
    strength: float,
    normalize: Callable[[Tensor], Tensor],
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Tensor:
    """Change images against the network: a step of gradient descent on "there is no object here".

    The network keeps its weights and the statistics of its normalisations, and collects no
    gradients.

    Args:
        network: in training mode or not; it is left as it was.
        loss: of the network.
        images: (N, 3, H, W) uint8.
        strength: greatest change of a pixel, as a share of its range.
        normalize: from pixels, 0 to 255, to what the network takes.
        autocast: makes the context that the network computes in.

    Returns:
        (N, 3, H, W) float32 pixels, 0 to 255, without gradient; `normalize` takes them as it takes
        images. Where the gradient is zero, nothing changes; an image whose gradient is not finite
        stays as it is.
    """
    empty = Targets(
        boxes=torch.zeros((0, 4), device=images.device),
        labels=torch.zeros(0, dtype=torch.int64, device=images.device),
        image_index=torch.zeros(0, dtype=torch.int64, device=images.device),
    )
    modes = {module: module.training for module in network.modules()}
    network.eval()  # rolling statistics, no dropping
    try:
        pixels = images.detach().to(torch.float32, copy=True).requires_grad_(True)
        with autocast():
            raw = network(normalize(pixels))
        total = loss(raw, empty, (images.shape[2], images.shape[3])).total
        (gradient,) = torch.autograd.grad(total, pixels)
    finally:
        for module, mode in modes.items():
            module.training = mode
    largest = gradient.abs().amax(dim=(1, 2, 3), keepdim=True)
    usable = largest.isfinite() & (largest > 0)
    step = torch.where(usable, gradient / largest, 0)
    return (pixels.detach() - WHITE * strength * step).clamp(0, WHITE)
