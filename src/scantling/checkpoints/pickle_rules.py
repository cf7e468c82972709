"""Which names a checkpoint's pickle may mention, and what each of them becomes.

Torch's own tensor helpers become `StoredTensor`, containers become plain ones, classes of other
people become a `Record`. Whatever else a pickle asks to call is refused by name. No name is ever
imported.

`torch.load(weights_only=True)` allows the same calls, and a test holds the list against torch's.
It is not used because a pickle can keep it busy without end, and because it refuses whole networks
of packages that are not installed, as Scaled-YOLOv4's files are.
"""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

# The storage classes of torch, and the element type that each of them holds.
STORAGES = {
    "torch.BFloat16Storage": "bfloat16",
    "torch.BoolStorage": "bool",
    "torch.ByteStorage": "uint8",
    "torch.CharStorage": "int8",
    "torch.DoubleStorage": "float64",
    "torch.FloatStorage": "float32",
    "torch.HalfStorage": "float16",
    "torch.IntStorage": "int32",
    "torch.LongStorage": "int64",
    "torch.ShortStorage": "int16",
}
ITEM_SIZES = {
    "bfloat16": 2,
    "bool": 1,
    "float16": 2,
    "float32": 4,
    "float64": 8,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "int8": 1,
    "uint8": 1,
}
MAX_DIMENSIONS = 16
MAX_COST = 64 * 2**20  # of one pickle, in bytes that are copied
ITEM_COST = 64  # of one item of a container, or of one comparison of keys
MAX_ELEMENTS = 2**48  # far above any file, far below where arithmetic on sizes could surprise

# Harmless values of the standard library and of numpy that training scripts leave in checkpoints.
_INERT_CALLS = {
    "argparse.Namespace",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy.dtype",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "torch.device",
}
_INERT_NAMES = {"numpy.ndarray"} | {f"torch.{name}" for name in ITEM_SIZES}

# Modules whose classes are never those of a saved network.
_GUARDED = sys.stdlib_module_names | {
    "__builtin__",
    "__builtins__",
    "cPickle",
    "commands",
    "copy_reg",
    "cython",
    "numpy",
    "pip",
    "pkg_resources",
    "safetensors",
    "scantling",
    "setuptools",
    "torch",
    "urllib2",
}


@dataclass(frozen=True, slots=True)
class Global:
    """The name of a class or function that a pickle mentions. It is never imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, slots=True)
class Record:
    """An object of a class that was not imported: what it would have been made from."""

    kind: Global
    arguments: tuple[Any, ...]
    state: Any = field(default=None)


@dataclass(frozen=True, slots=True)
class TensorStorage:
    """A run of numbers elsewhere in the file.

    Args:
        key: its name in the file.
        dtype: name of the element type, as torch spells it: `float16`.
        length: number of elements.
    """

    key: str
    dtype: str
    length: int


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor that has not been read yet; `offset` and `stride` count elements."""

    storage: TensorStorage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


_KEYS = (str, int, float, bytes, type(None), Global)


class Refused(Exception):
    """A pickle asks for something that is not allowed."""


class Malformed(Exception):
    """A pickle that is not well formed, or past a limit."""


class Allowance:
    """What the value of one pickle may cost beyond its steps, each of which costs next to nothing.

    A copy costs its length; a key has to be compared with all others of the same hash, which
    whoever wrote the pickle may have chosen.
    """

    def __init__(self) -> None:
        self._left = MAX_COST
        self._first: dict[int, Any] = {}  # the first key of each hash
        self._others: Counter[int] = Counter()  # how many others have it

    def charge(self, value: object) -> None:
        """Pay for a copy of a value, as deep as `call` makes it.

        Raises:
            Malformed: the pickle costs more than any network does.
        """
        if isinstance(value, (str, bytes)):
            self._pay(len(value))
        elif isinstance(value, (tuple, list, dict, set, frozenset)):
            self._pay(ITEM_COST * len(value))

    def key(self, value: object) -> Any:
        """`value`, if it is one that can be a key in bounded time.

        Raises:
            Malformed: it is a container of containers, or something else that networks do not use;
                or the keys so far cost more than any network's.
        """
        parts = value if isinstance(value, tuple) else (value,)
        if len(parts) > 64 or not all(isinstance(part, _KEYS) for part in parts):
            raise Malformed(f"a dictionary has a key of type {type(value).__name__}")
        if not isinstance(value, (str, bytes)):  # whose hashes nobody can choose
            hashed = hash(value)
            if self._first.setdefault(hashed, value) != value:
                self._others[hashed] += 1
                self._pay(ITEM_COST * len(parts) * self._others[hashed])
        return value

    def _pay(self, cost: int) -> None:
        self._left -= cost
        if self._left < 0:
            raise Malformed("making its values takes more time or memory than any network does")


def is_allowed_name(name: Global) -> bool:
    """Whether a pickle may mention `name`; a name that may be mentioned need not be callable."""
    spelled = str(name)
    if spelled in _CALLS or spelled in _INERT_CALLS or spelled in _INERT_NAMES:
        return True
    if spelled in STORAGES or name.module.startswith("torch.nn."):
        return True
    return name.module.split(".")[0] not in _GUARDED


def call(function: object, arguments: object, allowance: Allowance) -> Any:
    """What `function(*arguments)` stands for.

    Raises:
        Refused: the function is not on the list.
        Malformed: the arguments do not fit, or all calls together cost too much.
    """
    if not isinstance(function, Global):
        raise Refused("calls a value that is not a named function")
    if not isinstance(arguments, tuple):
        raise Malformed(f"{function} is called without a tuple of arguments")
    if str(function) in _INERT_CALLS:
        return Record(function, arguments)
    if str(function) not in _CALLS:
        raise Refused(f"calls {function}")
    build, fewest, most = _CALLS[str(function)]
    if not fewest <= len(arguments) <= most:
        raise Malformed(f"{function} is called with {len(arguments)} arguments")
    for argument in arguments:
        allowance.charge(argument)
    if build in (_ordered_dict, _set):  # whose keys are chosen
        return build(*arguments, allowance=allowance)
    return build(*arguments)


def create(kind: object, arguments: object, allowance: Allowance) -> Any:
    """What an instance of the class `kind` stands for: an inert record, or a plain container.

    Raises:
        Refused: the class is one of Python's or torch's own that no network is made of.
    """
    if not isinstance(kind, Global):
        raise Refused("makes an instance of something that is not a class")
    if not isinstance(arguments, tuple):
        raise Malformed(f"{kind} is made without a tuple of arguments")
    if str(kind) in _CALLS:
        return call(kind, arguments, allowance)
    if str(kind) in STORAGES or str(kind) in _INERT_NAMES or not is_allowed_name(kind):
        raise Refused(f"makes an instance of {kind}")
    return Record(kind, arguments)


def storage(identifier: object) -> TensorStorage:
    """The storage that a persistent identifier names.

    Raises:
        Malformed: it does not name a run of numbers of a known type.
    """
    if not isinstance(identifier, tuple) or not 5 <= len(identifier) <= 6:
        raise Malformed("a persistent identifier is not that of a tensor storage")
    tag, kind, key, _location, length = identifier[:5]
    if tag != "storage" or not isinstance(kind, Global) or str(kind) not in STORAGES:
        spelled = str(kind) if isinstance(kind, Global) else type(kind).__name__
        raise Malformed(f"a persistent identifier asks for {spelled}, not a known storage type")
    if not isinstance(key, str) or not key.isascii() or not key.isdigit() or len(key) > 20:
        raise Malformed("a tensor storage has a key that is not a number")
    if not _is_count(length):
        raise Malformed(f"tensor storage {key} has an impossible length")
    if len(identifier) == 6 and identifier[5] is not None:
        raise Malformed(f"tensor storage {key} is a view of another, as before torch 0.4")
    return TensorStorage(key, STORAGES[str(kind)], length)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_ELEMENTS


def _tensor(source: object, offset: object, shape: object, stride: object, *_: object) -> Any:
    """A tensor on a storage, if every element that it could reach lies within it."""
    if not isinstance(source, TensorStorage):
        raise Malformed("a tensor is not made from a storage")
    if not isinstance(shape, tuple) or not isinstance(stride, tuple) or len(shape) != len(stride):
        raise Malformed("a tensor has a shape that does not go with its stride")
    if len(shape) > MAX_DIMENSIONS:
        raise Malformed(f"a tensor has {len(shape)} dimensions")
    if not all(map(_is_count, (offset, *shape, *stride))) or not isinstance(offset, int):
        raise Malformed("a tensor has an impossible offset, shape or stride")
    if prod(shape) > source.length:
        raise Malformed(
            f"a tensor of {prod(shape)} elements is made from a storage of {source.length}"
        )
    reach = sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if prod(shape) and offset + reach >= source.length:
        raise Malformed(f"a tensor reaches beyond its storage of {source.length} elements")
    return StoredTensor(source, offset, shape, stride)


def _parameter(data: object, *_: object) -> StoredTensor:
    if not isinstance(data, StoredTensor):
        raise Malformed("a parameter is not made from a tensor")
    return data


def _ordered_dict(*arguments: object, allowance: Allowance) -> dict[Any, Any]:
    """From nothing, a dict, or a list of pairs."""
    if not arguments:
        return {}
    given = arguments[0]
    pairs = list(given.items()) if isinstance(given, dict) else given
    if not isinstance(pairs, list):
        raise Malformed("an OrderedDict is not made from pairs")
    result = {}
    for pair in pairs:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise Malformed("an OrderedDict is not made from pairs")
        result[allowance.key(pair[0])] = pair[1]
    return result


def _set(*arguments: object, allowance: Allowance) -> frozenset[Any]:
    items = arguments[0] if arguments else ()
    if not isinstance(items, (list, tuple)):
        raise Malformed("a set is not made from a list")
    return frozenset(map(allowance.key, items))


def _size(*arguments: object) -> tuple[Any, ...]:
    items = arguments[0] if arguments else ()
    if not isinstance(items, (list, tuple)):
        raise Malformed("a torch.Size is not made from a tuple")
    return tuple(items)


def _latin_bytes(text: object, encoding: object) -> bytes:
    """How Python 3 writes bytes into a pickle that Python 2 can read."""
    if not isinstance(text, str) or encoding != "latin1":
        raise Refused("calls _codecs.encode for something other than bytes")
    try:
        return text.encode("latin1")
    except UnicodeEncodeError as error:
        raise Malformed("bytes hold a character that is not a byte") from error


# What may be called: name → what stands for the call, and the fewest and most arguments.
_CALLS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "__builtin__.set": (_set, 0, 1),
    "_codecs.encode": (_latin_bytes, 2, 2),
    "builtins.set": (_set, 0, 1),
    "collections.OrderedDict": (_ordered_dict, 0, 1),
    "torch.Size": (_size, 0, 1),
    "torch._utils._rebuild_parameter": (_parameter, 3, 3),
    "torch._utils._rebuild_parameter_with_state": (_parameter, 4, 4),
    "torch._utils._rebuild_tensor": (_tensor, 4, 4),
    "torch._utils._rebuild_tensor_v2": (_tensor, 6, 7),
}
