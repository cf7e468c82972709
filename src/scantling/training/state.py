"""The state of training and the file that a run resumes from, to the bit."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..blocks import read_past, write_past
from ..checkpoints.native import write_safetensors
from ..errors import InvalidCheckpoint, unreadable
from ..io import regular_size
from ..structures import LossTerms
from .ema import EMA
from .recipe import current_name

if TYPE_CHECKING:
    from accelerate import Accelerator

HEADER = "scantling-run"
VERSION = 1
_NOTES: dict[str, Any] = {
    "best": (int, float, type(None)),
    "sums": dict,
    "images": int,
    "model": str,
}


@dataclass
class TrainState:
    """Everything that training changes.

    Args:
        network: that learns; as it is, not wrapped for several processes.
        optimizer: of its parameters.
        ema: of its weights, if any.
        scaler: of the gradients in fp16, if any.
        done: updates so far.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    ema: EMA | None
    scaler: torch.amp.GradScaler | None = None
    done: int = 0


class LossMeter:
    """Averages of the loss terms over the images of an epoch; reading them waits for the device.

    Args:
        sums: of an interrupted epoch, to go on with.
        images: that it has seen.
    """

    def __init__(self, sums: Mapping[str, float] | None = None, images: int = 0) -> None:
        self._sums: dict[str, Any] = dict(sums or {})
        self.images = images

    def update(self, terms: LossTerms, images: int) -> None:
        """Add the mean terms of an update of so many images."""
        self.images += images
        for part in fields(terms):
            value = getattr(terms, part.name).double() * images
            self._sums[part.name] = value + self._sums.get(part.name, 0)

    def sums(self) -> dict[str, float]:
        """The sums as plain numbers, exactly."""
        return {name: float(value) for name, value in self._sums.items()}

    def averages(self, accelerator: "Accelerator") -> dict[str, float]:
        """The mean of each term over the images of all processes."""
        values = self.sums()
        own = torch.tensor(list(values.values()), dtype=torch.float64) / self.images
        joint = accelerator.reduce(own.to(accelerator.device), reduction="mean").tolist()
        return {name: round(value, 6) for name, value in zip(values, joint, strict=True)}


def save_state(state: TrainState, path: Path, *, notes: dict[str, Any]) -> None:
    """Save network, EMA, optimizer, scaler and the number of updates, whole or not at all.

    Args:
        state: of the run.
        path: of the file, which is replaced in one move.
        notes: plain values to keep beside it.
    """
    tensors = {f"network.{name}": tensor for name, tensor in _tensors(state.network).items()}
    if state.ema is not None:
        averaged = _tensors(state.ema.network)
        tensors |= {f"ema.{name}": tensor for name, tensor in averaged.items()}
    for place, values in state.optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if value is not None:
                tensors[f"optimizer.{place}.{name}"] = torch.as_tensor(value)
    tensors |= {f"past.{name}": tensor for name, tensor in read_past(state.network).items()}
    scaler = state.scaler.state_dict() if state.scaler is not None else {}
    header = {"version": VERSION, "done": state.done, "scaler": scaler, "notes": notes}
    write_safetensors(path, tensors, {HEADER: json.dumps(header)})


def read_notes(path: Path) -> dict[str, Any]:
    """The plain values saved beside a state, and `done`, the number of updates.

    Raises:
        InvalidCheckpoint: there is no such file, or it is no state of a run.
    """
    try:
        regular_size(path)
        with safe_open(str(path), framework="pt") as file:
            header = json.loads((file.metadata() or {})[HEADER])
        if header["version"] != VERSION:
            raise InvalidCheckpoint(
                str(path), f"it is of version {header['version']!r}", f"Expected {VERSION}"
            )
        notes = {**header["notes"], "done": int(header["done"])}
        # of other types they would break later
        for name, kinds in _NOTES.items():
            if name in notes and not isinstance(notes[name], kinds):
                raise TypeError(f"{name} is {notes[name]!r}"[:200])
        return notes
    except FileNotFoundError as error:
        raise InvalidCheckpoint(str(path), unreadable(error), "Give the folder of a run") from error
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InvalidCheckpoint(
            str(path), f"it is no state of a run ({error})", "Give the folder of a run"
        ) from error


@torch.no_grad()
def load_state(state: TrainState, path: Path) -> None:
    """Load a saved state into that of a new run, in place.

    Args:
        state: of a run that was set up as the saved one.
        path: of the file.

    Raises:
        InvalidCheckpoint: it cannot be read, or is of another network.
    """
    done = read_notes(path)["done"]
    with safe_open(str(path), framework="pt") as file:
        scaler = json.loads(file.metadata()[HEADER]).get("scaler")
        tensors = {current_name(name): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    own = {f"network.{name}": tensor for name, tensor in _tensors(state.network).items()}
    if state.ema is not None:
        averaged = _tensors(state.ema.network)
        own |= {f"ema.{name}": tensor for name, tensor in averaged.items()}
    saved = {name for name in tensors if name.partition(".")[0] in ("network", "ema")}
    shapes = {name: tensor.shape for name, tensor in own.items()}
    if shapes != {name: tensors[name].shape for name in saved}:
        raise InvalidCheckpoint(
            str(path),
            "its tensors are not those of this run",
            "Resume with the model and recipe that the run began with",
        )
    for name, tensor in own.items():
        tensor.copy_(tensors[name])
    whole = state.optimizer.state_dict()
    try:
        whole["state"] = _nested(tensors)
        state.optimizer.load_state_dict(whole)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        problem = f"its optimizer's state cannot be used ({error})"
        raise InvalidCheckpoint(str(path), problem, "Begin a new run") from error
    device = next(state.network.parameters()).device
    past = {name: tensor.to(device) for name, tensor in tensors.items() if name.startswith("past.")}
    write_past(state.network, {name.removeprefix("past."): row for name, row in past.items()})
    if state.scaler is not None and scaler:
        state.scaler.load_state_dict(scaler)
    state.done = done


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and all buffers, also those that a model file leaves out."""
    return dict(network.named_parameters()) | dict(network.named_buffers())


def _nested(tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """The state of each parameter of the optimizer."""
    found: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        if part == "optimizer":
            place, _, what = rest.partition(".")
            found.setdefault(int(place), {})[what] = tensor
    return found
