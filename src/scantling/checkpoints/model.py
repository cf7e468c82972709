"""A model (spec, network and class names), how its network is built, and changes of its spec."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor

from ..darknet import DarknetNetwork, build_cfg_network, edit
from ..detector import Detector, build_detector
from ..errors import InvalidSpec, ScantlingError
from ..specs import CfgSpec, ModelSpec
from ..specs.level import Anchor

Spec = ModelSpec | CfgSpec


MOST_PARAMETERS = 4 * 10**9  # of a network in somebody's file; P7, the largest named one, has 0.3
_BUILD_ERRORS = (ValueError, TypeError, RuntimeError, ArithmeticError)


@dataclass(frozen=True)
class Model:
    """A network with its spec and class names.

    Args:
        spec: what the network was built from.
        network: with its weights.
        names: of the classes, by label.
        seen: images it was trained on, as darknet counts them.
    """

    spec: ModelSpec | CfgSpec
    network: Detector | DarknetNetwork
    names: tuple[str, ...]
    seen: int = 0


def build_network(spec: ModelSpec | CfgSpec) -> Detector | DarknetNetwork:
    """Build the network of a spec, freshly initialised."""
    return build_detector(spec) if isinstance(spec, ModelSpec) else build_cfg_network(spec)


@overload
def build_empty(spec: ModelSpec) -> Detector: ...
@overload
def build_empty(spec: CfgSpec) -> DarknetNetwork: ...
def build_empty(spec: ModelSpec | CfgSpec) -> Detector | DarknetNetwork:
    """Build the network of a spec on the `meta` device, without memory for its tensors."""
    with torch.device("meta"):
        return build_network(spec)


def check_network(spec: ModelSpec, source: str) -> None:
    """Check that the spec of a file describes a network, before memory is allocated.

    Raises:
        InvalidSpec: it describes none, or one that is too large for any machine.
    """
    try:
        network = build_empty(spec).eval()
        sizes = [parameter.numel() for parameter in network.parameters()]
        if not all(sizes):
            raise ValueError("a convolution without channels")
        with torch.device("meta"), torch.inference_mode():
            network(torch.zeros(1, 3, *spec.image_size))
    except ScantlingError:
        raise
    except _BUILD_ERRORS as error:
        problem = str(error).partition("\n")[0][:200]
        raise InvalidSpec(
            source, f"it describes no network ({problem})", "Change its widths or kinds"
        ) from error
    count = sum(sizes)
    if count > MOST_PARAMETERS:
        raise InvalidSpec(
            source, f"its network has {count:,} parameters", f"Expected {MOST_PARAMETERS:,} at most"
        )


def build_from_state(
    spec: ModelSpec | CfgSpec, state: Mapping[str, Tensor]
) -> Detector | DarknetNetwork:
    """Build the network of a spec from a state dict, in evaluation mode.

    The tensors must fit exactly. They are not copied, unless layers share weights, which separate
    tensors could not, or have tensors that no state dict holds.
    """
    network = build_empty(spec)
    everything = len(list(network.named_parameters(remove_duplicate=False)))
    shared = everything > len(list(network.parameters()))
    computed = {name for name, _ in network.named_buffers()} - network.state_dict().keys()
    if not shared and not computed:
        network.load_state_dict(state, assign=True)
    else:
        network = build_network(spec)
        network.load_state_dict(state)
    return network.eval()


def spec_with_classes(spec: Spec, count: int) -> Spec:
    """Change the number of classes of a spec."""
    if isinstance(spec, CfgSpec):
        return edit.with_classes(spec, count)
    return spec.replace(num_classes=count)


def spec_with_anchors(spec: Spec, new: Mapping[Anchor, Anchor]) -> Spec:
    """Replace the anchors of a spec, by a mapping from old to new."""
    if isinstance(spec, CfgSpec):
        return edit.with_anchors(spec, new)
    moved = tuple(tuple(new[anchor] for anchor in group) for group in spec.head.anchors)
    return spec.replace(head=spec.head.replace(anchors=moved))


def spec_with_image_size(spec: Spec, image_size: tuple[int, int]) -> Spec:
    """Change the image size of a spec, (height, width); anchors stay, in pixels."""
    if isinstance(spec, CfgSpec):
        return edit.with_image_size(spec, image_size)
    return spec.replace(image_size=image_size)
