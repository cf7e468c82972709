"""Reads a pickle without running it: a small machine for its opcodes that knows only plain data.

The machine imports nothing and calls nothing of the pickle's choosing: what would be a call
becomes a value by the rules of `pickle_rules`, or is refused. Its time and memory are bounded by
`MAX_STEPS`, by the size of the pickle, and by what `pickle_rules.Allowance` charges for copies and
keys.
"""

import pickletools
from collections.abc import Callable
from typing import IO, Any

from . import pickle_rules as rules
from .pickle_rules import Allowance, Global, Malformed, Record, Refused, StoredTensor, TensorStorage

MAX_STEPS = 1_000_000  # opcodes; the largest published network takes about 150 thousand
MAX_PROTOCOL = 5
MAX_INTEGER = 2**127  # the magic number of torch's old format has 80 bits
MAX_NAME = 256  # characters in the name of a module or class


def run_pickle(stream: IO[bytes]) -> tuple[Any, dict[str, TensorStorage]]:
    """The value that a pickle describes, and the storages that its tensors lie in, by key.

    `stream` is left behind the end of the pickle.

    Raises:
        Refused: the pickle asks for something that is not allowed.
        Malformed: it is broken, or larger than a checkpoint can be.
    """
    machine = _Machine()
    try:
        for step, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if step >= MAX_STEPS:
                raise Malformed(f"the pickle has more than {MAX_STEPS} steps")
            if opcode.name == "STOP":
                return machine.result(), machine.storages
            if opcode.name not in _STEPS:
                raise Refused(f"uses the pickle opcode {opcode.name}")
            _STEPS[opcode.name](machine, argument)
    except (ValueError, OverflowError) as error:
        raise Malformed(f"the pickle is broken ({str(error)[:100]})") from error
    raise Malformed("the pickle ends too early")


class _Machine:
    """A stack, the marks on it, the memo, and the storages seen so far."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, TensorStorage] = {}
        self.allowance = Allowance()

    def result(self) -> Any:
        if len(self.stack) != 1 or self.marks:
            raise Malformed("the pickle does not end with one value")
        return self.stack[0]

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        floor = self.marks[-1] if self.marks else 0
        if len(self.stack) <= floor:
            raise Malformed("the pickle takes a value that is not there")
        return self.stack.pop()

    def top(self) -> Any:
        value = self.pop()
        self.stack.append(value)
        return value

    def pop_mark(self) -> list[Any]:
        """Everything above the latest mark."""
        if not self.marks:
            raise Malformed("the pickle closes a mark that it never opened")
        mark = self.marks.pop()
        values = self.stack[mark:]
        del self.stack[mark:]
        return values

    def remember(self, index: int) -> None:
        self.memo[index] = self.top()

    def recall(self, index: int) -> None:
        if index not in self.memo:
            raise Malformed("the pickle refers to a value that is not there")
        self.push(self.memo[index])


def _push_constant(value: Any) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.push(value)


def _push_argument(machine: _Machine, argument: Any) -> None:
    machine.push(argument)


def _push_integer(machine: _Machine, argument: Any) -> None:
    if not -MAX_INTEGER <= argument < MAX_INTEGER:
        raise Malformed("the pickle holds an integer of more than 128 bits")
    machine.push(argument)


def _take_global(machine: _Machine, module: object, name: object) -> None:
    if not isinstance(module, str) or not isinstance(name, str):
        raise Refused("builds the name of a function from something that is not text")
    if len(module) > MAX_NAME or len(name) > MAX_NAME:
        raise Malformed("the pickle names a class of more than 256 characters")
    found = Global(module, name)
    if not rules.is_allowed_name(found):
        raise Refused(f"mentions {found}")
    machine.push(found)


def _split_name(argument: str) -> tuple[str, str]:
    """pickletools joins module and name by one blank; neither can hold a newline."""
    module, _, name = argument.partition(" ")
    return module, name


def _stack_global(machine: _Machine, _: Any) -> None:
    name = machine.pop()
    _take_global(machine, machine.pop(), name)


def _reduce(machine: _Machine, _: Any) -> None:
    arguments = machine.pop()
    machine.push(rules.call(machine.pop(), arguments, machine.allowance))


def _new_object(machine: _Machine, _: Any) -> None:
    arguments = machine.pop()
    machine.push(rules.create(machine.pop(), arguments, machine.allowance))


def _new_object_with_keywords(machine: _Machine, _: Any) -> None:
    if machine.pop():
        raise Refused("makes an object with keyword arguments")
    _new_object(machine, None)


def _object(machine: _Machine, _: Any) -> None:
    kind, *arguments = machine.pop_mark() or [None]
    machine.push(rules.create(kind, tuple(arguments), machine.allowance))


def _instance(machine: _Machine, argument: str) -> None:
    arguments = tuple(machine.pop_mark())
    _take_global(machine, *_split_name(argument))
    machine.push(rules.create(machine.pop(), arguments, machine.allowance))


def _build(machine: _Machine, _: Any) -> None:
    """Keep the state of a record; that of an OrderedDict, torch's `_metadata`, is of no use."""
    state = machine.pop()
    target = machine.top()
    if isinstance(target, Record):
        target.state = state
    elif not isinstance(target, (dict, StoredTensor)):
        raise Refused(f"sets the state of {_describe(target)}")


def _describe(value: object) -> str:
    return str(value) if isinstance(value, Global) else f"an object of type {type(value).__name__}"


def _pairs(machine: _Machine, items: list[Any]) -> list[tuple[Any, Any]]:
    if len(items) % 2:
        raise Malformed("a dictionary has a key without a value")
    keys = map(machine.allowance.key, items[::2])
    return list(zip(keys, items[1::2], strict=True))


def _set_items(machine: _Machine, items: list[Any]) -> None:
    target = machine.top()
    if not isinstance(target, dict):
        raise Refused(f"sets an item of {_describe(target)}")
    target.update(_pairs(machine, items))


def _set_item(machine: _Machine, _: Any) -> None:
    value = machine.pop()
    _set_items(machine, [machine.pop(), value])


def _extend(machine: _Machine, items: list[Any]) -> None:
    target = machine.top()
    if not isinstance(target, list):
        raise Refused(f"appends to {_describe(target)}")
    target.extend(items)


def _add_items(machine: _Machine, _: Any) -> None:
    items = machine.pop_mark()
    target = machine.top()
    if not isinstance(target, set):
        raise Refused(f"adds an item to {_describe(target)}")
    target.update(map(machine.allowance.key, items))


def _push_tuple(length: int) -> Callable[[_Machine, Any], None]:
    def step(machine: _Machine, _: Any) -> None:
        machine.push(tuple([machine.pop() for _ in range(length)][::-1]))

    return step


def _pop(machine: _Machine, _: Any) -> None:
    """As in Python's own reader, a mark on top counts as a value."""
    if machine.marks and machine.marks[-1] == len(machine.stack):
        machine.marks.pop()
    else:
        machine.pop()


def _frozen_set(machine: _Machine, _: Any) -> None:
    machine.push(frozenset(map(machine.allowance.key, machine.pop_mark())))


def _persistent(machine: _Machine, _: Any) -> None:
    """A storage, or, in torch's old format, a class together with its source text."""
    identifier = machine.pop()
    if isinstance(identifier, tuple) and len(identifier) == 4 and identifier[0] == "module":
        machine.push(identifier[1])
        return
    found = rules.storage(identifier)
    if machine.storages.setdefault(found.key, found) != found:
        raise Malformed(f"tensor storage {found.key} is given two types or lengths")
    machine.push(found)


def _discard(_values: list[Any]) -> None:
    """POP_MARK throws the values away."""


def _ignore(_machine: _Machine, _argument: Any) -> None:
    """FRAME only helps a reader to read ahead."""


def _protocol(_machine: _Machine, version: int) -> None:
    if version > MAX_PROTOCOL:
        raise Malformed(f"the pickle has protocol {version}")


# Every opcode that may occur: step(machine, argument).
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _protocol,
    "FRAME": _ignore,
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "POP": _pop,
    "POP_MARK": lambda machine, _: _discard(machine.pop_mark()),
    "DUP": lambda machine, _: machine.push(machine.top()),
    "NONE": _push_constant(None),
    "NEWTRUE": _push_constant(True),
    "NEWFALSE": _push_constant(False),
    "EMPTY_TUPLE": _push_constant(()),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_SET": lambda machine, _: machine.push(set()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_mark())),
    "TUPLE1": _push_tuple(1),
    "TUPLE2": _push_tuple(2),
    "TUPLE3": _push_tuple(3),
    "LIST": lambda machine, _: machine.push(machine.pop_mark()),
    "DICT": lambda machine, _: machine.push(dict(_pairs(machine, machine.pop_mark()))),
    "FROZENSET": _frozen_set,
    "APPEND": lambda machine, _: _extend(machine, [machine.pop()]),
    "APPENDS": lambda machine, _: _extend(machine, machine.pop_mark()),
    "SETITEM": _set_item,
    "SETITEMS": lambda machine, _: _set_items(machine, machine.pop_mark()),
    "ADDITEMS": _add_items,
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memo)),
    "GLOBAL": lambda machine, argument: _take_global(machine, *_split_name(argument)),
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "BUILD": _build,
    "INST": _instance,
    "OBJ": _object,
    "NEWOBJ": _new_object,
    "NEWOBJ_EX": _new_object_with_keywords,
    "BINPERSID": _persistent,
    **dict.fromkeys(("FLOAT", "BINFLOAT"), _push_argument),
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), _push_argument),
    **dict.fromkeys(("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), _push_argument),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"), _push_argument),
    **dict.fromkeys(
        ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), _push_integer
    ),
    **dict.fromkeys(
        ("PUT", "BINPUT", "LONG_BINPUT"), lambda machine, index: machine.remember(index)
    ),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, index: machine.recall(index)),
}
