"""The tensors in a `.pt` or `.pth` file, by the names that `state_dict()` would give them.

Works on plain state dicts, on dictionaries that hold one, and on whole pickled networks, whose
classes need not exist and are never run.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InvalidCheckpoint
from .pickle_rules import Record, StoredTensor
from .torch_files import TorchFile, read_torch_file

MAX_TENSORS = 100_000
MAX_MEMBERS = 300_000  # of all modules together, as often as they are named
MAX_DEPTH = 64  # modules within modules
MAX_NAME = 512  # characters in the name of a tensor
# Where scripts put the network; of timm's two, the averaged one, which is what it evaluates.
_ENTRIES = ("model", "state_dict_ema", "state_dict", "model_state_dict", "ema")


@dataclass(frozen=True)
class PickledModel:
    """The network of a `.pt` file: its tensors, still on disk, and what its object said.

    Args:
        file: to read the tensors from, by `torch_files.read_tensors`.
        tensors: by their name in the state dict.
        kind: class of the pickled network; empty for a plain state dict.
        attributes: of the pickled network's object, those that are not modules or tensors.
        entry: where in the file's dictionary it was found; empty where the file is the network.
    """

    file: TorchFile
    tensors: dict[str, StoredTensor]
    kind: str
    attributes: dict[str, Any]
    entry: str = ""


def read_pickled_model(path: Path) -> PickledModel:
    """Find the network in a `.pt` or `.pth` file without running anything in it.

    Raises:
        UnsafeCheckpoint: the pickle asks for more than tensors, containers and inert classes.
        InvalidCheckpoint: it is damaged, or holds no network.
    """
    file = read_torch_file(path)
    entry, found = _find_network(file.value)
    if isinstance(found, Record):
        tensors = module_tensors(found, str(path))
        kind = str(found.kind)
        attributes = {name: value for name, value in found.state.items() if name[:1] != "_"}
    elif isinstance(found, dict):
        tensors, kind, attributes = dict(found), "", {}
    else:
        raise InvalidCheckpoint(
            str(path),
            f"it holds {_describe(file.value)}, not a network",
            "Give a file with a network, or with its state dict, alone or under 'model'",
        )
    if len(tensors) > MAX_TENSORS:
        raise InvalidCheckpoint(
            str(path), f"it has {len(tensors)} tensors", f"At most {MAX_TENSORS} are expected"
        )
    return PickledModel(file, _without_prefix(tensors), kind, attributes, entry)


def module_tensors(module: Record, source: str) -> dict[str, StoredTensor]:
    """The tensors of a pickled network under the names that its `state_dict()` would use.

    Raises:
        InvalidCheckpoint: the record is no network, or its modules nest without end.
    """
    tensors: dict[str, StoredTensor] = {}
    pending: list[tuple[str, Any, int]] = [("", module, 0)]
    seen = 0
    while pending:
        prefix, record, depth = pending.pop()
        seen += _count_members(record)
        if depth > MAX_DEPTH or seen > MAX_MEMBERS or len(prefix) > MAX_NAME:
            raise InvalidCheckpoint(
                source, "its modules nest without end", "No known network looks like this"
            )
        if not _is_module(record):
            raise InvalidCheckpoint(
                source,
                f"{prefix or 'the network'} is {_describe(record)}, not a network's module",
                "Save the network's state dict and give that",
            )
        tensors |= _own_tensors(prefix, record)
        children = [
            (f"{prefix}{name}.", child, depth + 1)
            for name, child in record.state["_modules"].items()
            if child is not None
        ]
        pending.extend(reversed(children))
    return tensors


def _count_members(record: Any) -> int:
    """How much there is to look at: a pickle may name one module, however large, many times."""
    state = record.state if isinstance(record, Record) else None
    parts = state.values() if isinstance(state, dict) else ()
    return 1 + len(parts) + sum(len(part) for part in parts if isinstance(part, (dict, set)))


def _own_tensors(prefix: str, module: Record) -> dict[str, StoredTensor]:
    """Parameters, then the buffers that a state dict would hold."""
    hidden = module.state.get("_non_persistent_buffers_set", ())
    own = module.state["_parameters"] | module.state["_buffers"]
    return {
        f"{prefix}{name}": value
        for name, value in own.items()
        if isinstance(value, StoredTensor)
        and not (isinstance(hidden, (set, frozenset)) and name in hidden)
    }


def _is_module(value: object) -> bool:
    if not isinstance(value, Record) or not isinstance(value.state, dict):
        return False
    parts = [value.state.get(name) for name in ("_modules", "_parameters", "_buffers")]
    return all(
        isinstance(part, dict) and all(isinstance(name, str) for name in part) for part in parts
    ) and all(isinstance(name, str) for name in value.state)


def _is_state_dict(value: object) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(name, str) and len(name) <= MAX_NAME for name in value)
        and all(isinstance(tensor, StoredTensor) for tensor in value.values())
    )


def _find_network(value: object) -> tuple[str, object]:
    """Where the pickled network or state dict is in what a script saved, and it; None without."""
    if _is_module(value) or _is_state_dict(value):
        return "", value
    if isinstance(value, dict):
        for entry in _ENTRIES:
            inner = value.get(entry)
            if _is_module(inner) or _is_state_dict(inner):
                return entry, inner
    return "", None


def _without_prefix(tensors: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Take away the `module.` that networks trained on several devices put in front."""
    if all(name.startswith("module.") for name in tensors):
        return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors


def _describe(value: object) -> str:
    if isinstance(value, Record):
        return f"an object of {value.kind}"
    if isinstance(value, dict):
        names = [name[:40] for name in value if isinstance(name, str)][:8]
        return f"a dictionary with {', '.join(map(repr, names)) or 'no named entries'}"
    return f"an object of type {type(value).__name__}"
