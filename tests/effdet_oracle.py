"""EfficientDets of the `effdet` package, with random weights that keep activations near 1."""

import torch
from torch import nn
from torch.nn import functional as F

from scantling.specs import CATALOG

BATCH = 4
NAMES = [name for name, spec in CATALOG.items() if spec.head.kind == "efficientdet"]


def key(name):
    """What effdet calls one of our variants."""
    words = name.removeprefix("efficientdet-").split("-")
    if words[-1] == "pt":
        return f"efficientdet_{words[0]}"
    return "_".join(["tf_efficientdet", *words])


def build(name, *, image_size=(128, 128), classes=90, seed=0, task="", **settings):
    """An effdet network, ready to predict.

    The statistics of its norms are those of random images, then changed a little; the weights of
    fusions are apart, one negative; logits are spread wide.
    """
    from effdet import create_model

    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        network = create_model(
            key(name),
            pretrained=False,
            pretrained_backbone=False,
            image_size=image_size,
            num_classes=classes,
            **settings,
        )
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0
            norm.weight.uniform_(0.8, 1.2)
            norm.bias.uniform_(-0.2, 0.2)
        for parameter, values in network.named_parameters():
            if parameter.endswith("edge_weights"):
                values.uniform_(0.2, 1.5)
            if parameter == "fpn.cell.0.fnode.4.combine.edge_weights":
                values[1] = -0.1  # which counts as none
        network.class_net.predict.conv_pw.weight.mul_(2)
        network.eval()
        for norm in norms:
            norm.train()
        network(images(BATCH, image_size))
        for norm in norms:
            norm.running_var.clamp_(min=0.01)  # the coarsest levels have hardly a cell to vary in
            shift = torch.empty_like(norm.running_mean).uniform_(-0.1, 0.1)
            norm.running_mean.add_(shift * norm.running_var.sqrt())
            norm.running_var.mul_(torch.empty_like(norm.running_var).uniform_(0.9, 1.2))
            norm.num_batches_tracked.random_(1, 1000)
    return network.eval()


def images(count, size):
    """(count, 3, H, W) from -1 to 1: coarse blots under fine noise, so that every level sees some.

    They are the first of those that the norms were made for.
    """
    rng = torch.Generator().manual_seed(1)
    blots = torch.rand(BATCH, 3, 4, 4, generator=rng) * 2 - 1
    noise = torch.rand(BATCH, 3, *size, generator=rng) * 2 - 1
    return (0.7 * F.interpolate(blots, size=size, mode="bilinear") + 0.3 * noise)[:count]
