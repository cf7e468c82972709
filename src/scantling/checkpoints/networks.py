"""Networks of either kind of spec: with fresh weights, without memory, or around given tensors."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..darknet import DarknetNetwork, build_cfg_network
from ..detector import Detector, build_detector
from ..specs import CfgSpec, ModelSpec


def build_network(spec: ModelSpec | CfgSpec) -> Detector | DarknetNetwork:
    """The network that a spec describes, with fresh weights."""
    return build_detector(spec) if isinstance(spec, ModelSpec) else build_cfg_network(spec)


def build_empty(spec: ModelSpec | CfgSpec) -> Detector | DarknetNetwork:
    """The same without memory for its tensors: they only have a shape and a type."""
    with torch.device("meta"):
        return build_network(spec)


def build_with(spec: ModelSpec | CfgSpec, state: Mapping[str, Tensor]) -> Detector | DarknetNetwork:
    """The same, in evaluation mode, around the tensors of a state dict, which must fit exactly.

    They are not copied, unless layers share weights, which separate tensors could not, or have
    tensors that no state dict holds.
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
