"""A model as it is handed around: its description, its network, its class names."""

from dataclasses import dataclass

from ..darknet import DarknetNetwork
from ..detector import Detector
from ..specs import CfgSpec, ModelSpec


@dataclass(frozen=True)
class Model:
    """A network that knows what it is and what its classes are called.

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
