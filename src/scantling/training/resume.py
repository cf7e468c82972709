"""The whole state of a run on disk, so that it goes on as if it had never stopped."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..blocks import read_past, write_past
from ..errors import InvalidCheckpoint
from ..io import atomic_write
from .loop import State

HEADER = "scantling-run"
VERSION = 1


def save_state(state: State, path: Path, *, notes: dict[str, Any]) -> None:
    """Write everything that the next update depends on; whole or not at all.

    Args:
        state: of the run.
        path: of the file, which is replaced in one move.
        notes: plain values that come back with the state.
    """
    tensors = {f"network.{name}": tensor for name, tensor in _tensors(state.network).items()}
    if state.average is not None:
        averaged = _tensors(state.average.network)
        tensors |= {f"average.{name}": tensor for name, tensor in averaged.items()}
    for place, values in state.optimiser.state_dict()["state"].items():
        for name, value in values.items():
            if value is not None:
                tensors[f"optimiser.{place}.{name}"] = torch.as_tensor(value)
    tensors |= {f"past.{name}": tensor for name, tensor in read_past(state.network).items()}
    scaler = state.scaler.state_dict() if state.scaler is not None else {}
    header = {"version": VERSION, "done": state.done, "scaler": scaler, "notes": notes}
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # a copy each: safetensors refuses tensors that share memory
    copied = {name: tensor.clone() for name, tensor in contiguous.items()}
    with atomic_write(path) as part:
        save_file(copied, part, metadata={HEADER: json.dumps(header)})


def read_notes(path: Path) -> dict[str, Any]:
    """The plain values that were saved with a state; `done` is among them.

    Raises:
        InvalidCheckpoint: there is no such file, or it is no state of a run.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            header = json.loads((file.metadata() or {})[HEADER])
        if header["version"] != VERSION:
            raise InvalidCheckpoint(
                str(path), f"it is of version {header['version']!r}", f"Expected {VERSION}"
            )
        return {**header["notes"], "done": int(header["done"])}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InvalidCheckpoint(
            str(path), f"it is no state of a run ({error})", "Give the folder of a run"
        ) from error


@torch.no_grad()
def load_state(state: State, path: Path) -> None:
    """Take up a saved state, in place.

    Args:
        state: of a run that was set up as the saved one.
        path: of the file.

    Raises:
        InvalidCheckpoint: it cannot be read, or is of another network.
    """
    done = read_notes(path)["done"]
    with safe_open(str(path), framework="pt") as file:
        scaler = json.loads(file.metadata()[HEADER]).get("scaler")
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    own = {f"network.{name}": tensor for name, tensor in _tensors(state.network).items()}
    if state.average is not None:
        averaged = _tensors(state.average.network)
        own |= {f"average.{name}": tensor for name, tensor in averaged.items()}
    saved = {name for name in tensors if name.partition(".")[0] in ("network", "average")}
    shapes = {name: tensor.shape for name, tensor in own.items()}
    if shapes != {name: tensors[name].shape for name in saved}:
        raise InvalidCheckpoint(
            str(path),
            "its tensors are not those of this run",
            "Resume with the model and recipe that the run began with",
        )
    for name, tensor in own.items():
        tensor.copy_(tensors[name])
    whole = state.optimiser.state_dict()
    whole["state"] = _nested(tensors)
    state.optimiser.load_state_dict(whole)
    device = next(state.network.parameters()).device
    past = {name: tensor.to(device) for name, tensor in tensors.items() if name.startswith("past.")}
    write_past(state.network, {name.removeprefix("past."): row for name, row in past.items()})
    if state.scaler is not None and scaler:
        state.scaler.load_state_dict(scaler)
    state.done = done


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    """Weights and every buffer, also those that a model file leaves out."""
    return dict(network.named_parameters()) | dict(network.named_buffers())


def _nested(tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """The state of each parameter of the optimiser."""
    found: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        if part == "optimiser":
            place, _, what = rest.partition(".")
            found.setdefault(int(place), {})[what] = tensor
    return found
