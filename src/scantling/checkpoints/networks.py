"""Networks of either kind of spec: with fresh weights, without memory, or around given tensors."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..darknet import DarknetNetwork, build_cfg_network
from ..detector import Detector, build_detector
from ..errors import InvalidSpec, ScantlingError
from ..specs import CfgSpec, ModelSpec

MOST_PARAMETERS = 4 * 10**9  # of a network in somebody's file; P7, the largest named one, has 0.3
_BUILD_ERRORS = (ValueError, TypeError, RuntimeError, ArithmeticError)


def build_network(spec: ModelSpec | CfgSpec) -> Detector | DarknetNetwork:
    """The network that a spec describes, with fresh weights."""
    return build_detector(spec) if isinstance(spec, ModelSpec) else build_cfg_network(spec)


def build_empty(spec: ModelSpec | CfgSpec) -> Detector | DarknetNetwork:
    """The same without memory for its tensors: they only have a shape and a type."""
    with torch.device("meta"):
        return build_network(spec)


def check_network(spec: ModelSpec, source: str) -> None:
    """Find out whether the spec of a file describes a network, before memory is spent on it.

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
