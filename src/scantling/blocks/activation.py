"""Activation functions, by the names that the papers and darknet give them."""

from collections.abc import Callable

from torch import nn

# Every activation: Activation() → module.
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "elu": lambda: nn.ELU(inplace=True),
    "gelu": lambda: nn.GELU(approximate="tanh"),
    "hardtan": lambda: nn.Hardtanh(inplace=True),
    "leaky": lambda: nn.LeakyReLU(0.1, inplace=True),
    "linear": nn.Identity,
    "logistic": nn.Sigmoid,
    "mish": lambda: nn.Mish(inplace=True),
    "relie": lambda: nn.LeakyReLU(0.01, inplace=True),
    "relu": lambda: nn.ReLU(inplace=True),
    "relu6": lambda: nn.ReLU6(inplace=True),
    "selu": lambda: nn.SELU(inplace=True),
    "swish": lambda: nn.SiLU(inplace=True),
    "tanh": nn.Tanh,
}
