"""A torch.export file made safe to load: what could run code is refused or left out.

PyTorch warns never to load such a file from an untrusted source: it unpickles what it finds, looks
operations up by any name in `torch`, and evaluates the text of shapes and guards as Python. Here
every part is read without torch first, and only numbers, the names of plain operations, and
expressions of a small grammar go through.
"""

import io
import json
import re
from collections.abc import Collection
from math import prod
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

from ..errors import InvalidExport
from .torch_export_file import AGAIN, list_members, read_member
from .torch_loops import LOOP, graphs_of_loop

MODEL = "models/model.json"
SAMPLES = "data/sample_inputs/model.pt"
WEIGHTS = ("data/weights/", "data/weights/model_weights_config.json")
CONSTANTS = ("data/constants/", "data/constants/model_constants_config.json")
# Parts that are handed to torch as they are; weights and constants beside them.
PLAIN = ("archive_format", "archive_version", "byteorder", ".data/version")
MAX_JSON = 64 << 20
MAX_DEPTH = 40
MAX_EXPRESSION = 2000
# Bytes of a number, by torch's own numbering of types.
ITEM_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 2, 7: 4, 8: 8, 12: 1, 13: 2}
NO_NUMBERS = ("Infinity", "-Infinity", "NaN")  # how such a constant is written
NAME = re.compile(r"[A-Za-z0-9_.]{0,300}")
# Operations on numbers and on tensors that have no other effect than their result.
OPERATIONS = re.compile(
    r"__and__|__or__|__xor__|chunk|tensor_split|movedim|adaptive_avg_pool2d|adaptive_max_pool2d|all|conv_transpose2d|"
    r"expand_as|group_norm|layer_norm|narrow|pixel_shuffle|round|sign|trunc|var|_assert_async|_assert_scalar|_assert_tensor_metadata|_to_copy|_unsafe_view|abs|add|alias|"
    r"amax|amin|any|arange|argmax|avg_pool2d|batch_norm|bitwise_and|bitwise_not|bmm|"
    r"broadcast_to|cat|ceil|clamp|clamp_max|clamp_min|clone|constant_pad_nd|contiguous|conv2d|"
    r"convolution|copy|cumsum|detach|div|dropout|elu|empty|eq|exp|expand|expm1|feature_dropout|"
    r"flatten|flip|floor|floor_divide|full|full_like|gather|ge|gelu|gt|hardsigmoid|hardswish|"
    r"hardtanh|index|index_select|interpolate|leaky_relu|lift_fresh_copy|linear|log|log1p|"
    r"logical_and|logical_not|logical_or|lt|le|masked_fill|max|max_pool2d|"
    r"max_pool2d_with_indices|maximum|mean|meshgrid|min|minimum|mish|mm|mul|ne|neg|new_full|"
    r"new_ones|new_tensor|new_zeros|nonzero|ones|ones_like|pad|permute|pow|prod|reciprocal|"
    r"relu|relu6|remainder|repeat|reshape|rsqrt|rsub|scalar_tensor|scatter|select|sigmoid|silu|"
    r"sin|slice|softmax|softplus|_softmax|sort|split|split_with_sizes|sqrt|square|squeeze|"
    r"stack|sub|sum|sym_constrain_range|sym_constrain_range_for_size|sym_numel|sym_size|t|tanh|"
    r"tile|to|topk|transpose|type_as|unbind|unfold|unsqueeze|upsample_bilinear2d|"
    r"upsample_nearest2d|view|view_as|where|zeros|zeros_like"
)
ARITHMETIC = re.compile(
    r"add|sub|mul|floordiv|truediv|mod|neg|pos|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem"
)
FUNCTIONS = re.compile(r"sym_int|sym_float|sym_max|sym_min|sym_not|sym_ite")
# What an expression of a shape is made of; `Symbol`'s own words included.
WORDS = re.compile(
    r"Symbol|Integer|Rational|Float|Add|Mul|Max|Min|Mod|PythonMod|FloorDiv|CleanDiv|CeilDiv|"
    r"ModularIndexing|Identity|Eq|Ne|Equality|Unequality|StrictLessThan|LessThan|"
    r"StrictGreaterThan|GreaterThan|Not|And|Or|true|false|positive|integer|nonnegative|True|"
    r"False|precision"
)
TOKEN = re.compile(r"\s*(?:'([su]\d{1,6})'|([A-Za-z_]\w*)|(-?\d{1,12}(?:\.\d{1,18})?)|([(),=]))")


def safe_archive(path: Path) -> io.BytesIO:
    """The archive without anything that could run code, for `torch.export.load`.

    Raises:
        InvalidExport: it holds something that no exported model needs, or is damaged.
        OSError: it cannot be read.
    """
    source = str(path)
    out = io.BytesIO()
    try:
        with ZipFile(path) as archive, ZipFile(out, "w", ZIP_STORED) as safe:
            members = list_members(archive, source)
            program = _read_json(archive, members[MODEL], source)
            _check_program(program, source)
            safe.writestr("model/" + MODEL, json.dumps(program))
            safe.writestr("model/" + SAMPLES, b"")  # a pickle, and of no use
            for folder, config in (WEIGHTS, CONSTANTS):
                if config not in members:
                    raise InvalidExport(source, f"its part {config!r} is missing", AGAIN)
                listed = _read_json(archive, members[config], source)
                sizes = {
                    name[len(folder) :]: member.file_size
                    for name, member in members.items()
                    if name.startswith(folder)
                }
                used = check_payloads(listed, sizes, source)
                safe.writestr("model/" + config, json.dumps(listed))
                for name in used:
                    safe.writestr(f"model/{folder}{name}", archive.read(members[folder + name]))
            for name in PLAIN:
                if name in members:
                    data = read_member(archive, members[name], 64, source)
                    safe.writestr("model/" + name, data)
    except (BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise InvalidExport(source, f"it is no whole archive: {error}", AGAIN) from error
    out.seek(0)
    return out


def check_payloads(listed: Any, sizes: dict[str, int], source: str) -> set[str]:
    """Refuse weights that are pickles, lie elsewhere, or claim more than there is.

    Args:
        listed: the list of weights, as the file has it.
        sizes: bytes of each part that there is.
        source: what an error calls the file.

    Returns:
        The parts that are used.
    """
    config = listed.get("config") if isinstance(listed, dict) else None
    if not isinstance(config, dict):
        raise _odd(source, "a list of weights that is none")
    used = set()
    for payload in config.values():
        meta = payload.get("tensor_meta") if isinstance(payload, dict) else None
        name = payload.get("path_name") if isinstance(payload, dict) else None
        if not isinstance(meta, dict) or not isinstance(name, str):
            raise _odd(source, "a weight that is no tensor")
        if payload.get("use_pickle") is not False or not re.fullmatch(
            r"(weight|tensor)_\d{1,6}", name
        ):
            raise _odd(source, f"a weight {name[:40]!r} that is a pickle or an object")
        if name not in sizes:
            raise _odd(source, f"no part {name!r}, which is a weight")
        _check_words(payload, source, 0)
        lengths = [_plain_number(side, source) for side in meta.get("sizes", [None])]
        strides = [_plain_number(side, source) for side in meta.get("strides", [None])]
        offset = _plain_number(meta.get("storage_offset"), source)
        last = offset + sum((a - 1) * b for a, b in zip(lengths, strides, strict=False)) + 1
        item = ITEM_SIZES.get(_plain_number({"as_int": meta.get("dtype")}, source), 16)
        if max(prod(lengths), last) * item > sizes[name] or len(lengths) != len(strides):
            raise _odd(source, f"a weight of {lengths} in {sizes[name]} bytes")
        if 0 in lengths:
            raise _odd(source, "a weight without numbers")
        used.add(name)
    return used


def check_expression(text: str, source: str) -> None:
    """Refuse what is no plain expression of sizes: torch evaluates it as Python.

    Raises:
        InvalidExport: it is something else.
    """
    place, depth = 0, 0
    if len(text) > MAX_EXPRESSION:
        raise _odd(source, "an expression that is too long")
    while place < len(text):
        found = TOKEN.match(text, place)
        if found is None or (found[2] is not None and WORDS.fullmatch(found[2]) is None):
            raise _odd(source, f"an expression that is no size: {text[:60]!r}")
        depth += {"(": 1, ")": -1}.get(found[4] or "", 0)
        if not 0 <= depth <= MAX_DEPTH:
            raise _odd(source, f"an expression that is no size: {text[:60]!r}")
        place = found.end()


def _check_program(program: Any, source: str) -> None:
    """Refuse a program of anything but plain operations, and leave out what is not needed."""
    if not isinstance(program, dict) or not isinstance(program.get("graph_module"), dict):
        raise _odd(source, "a program that is none")
    program["guards_code"] = []  # Python, which torch would run
    program["verifiers"] = [
        name for name in program.get("verifiers", []) if name in ("TRAINING", "ATEN", "EDGE")
    ]
    program["torch_version"] = ""
    ranges = program.get("range_constraints", {})
    if not isinstance(ranges, dict):
        raise _odd(source, "a program that is none")
    # of sizes alone: what follows from them is found again
    program["range_constraints"] = {
        name: value for name, value in ranges.items() if re.fullmatch(r"[su]\d{1,6}", name)
    }
    graph = program["graph_module"].get("graph")
    loops: set[int] = set()
    _check_nodes(graph, source, loops)
    _check_words(program, source, 0, loops)


def _check_nodes(graph: Any, source: str, loops: set[int]) -> None:
    """Refuse all but plain operations, and remember the graphs of loops that were looked at."""
    nodes = graph.get("nodes") if isinstance(graph, dict) else None
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        raise _odd(source, "a program without a graph")
    for node in nodes:
        node["metadata"] = {}  # names of functions, which torch would look up
        if node.get("target") != LOOP:
            _check_target(node.get("target"), source)
            continue
        if loops:
            raise _odd(source, "a loop within a loop, or several")
        inner = graphs_of_loop(node, source)
        loops.update(map(id, inner))
        for one in inner:
            _check_nodes(one, source, loops)


def _check_target(target: object, source: str) -> None:
    """Refuse every operation but those that do nothing except give a result."""
    whole = target if isinstance(target, str) else ""
    for start, known in (
        ("_operator.", ARITHMETIC),
        ("math.", ARITHMETIC),
        ("torch.", FUNCTIONS),
    ):
        if whole.startswith(start) and known.fullmatch(whole.removeprefix(start)):
            return
    parts = whole.split(".")
    # a name that ends in _ writes into one of its own inputs, which is never a file
    if parts[:3] == ["torch", "ops", "aten"] and len(parts) == 5 and parts[4] != "out":
        names = (parts[3], parts[3].removesuffix("_"))
        if any(OPERATIONS.fullmatch(name) for name in names):
            return
    raise _odd(source, f"an operation that no exported model needs: {whole[:80]!r}")


def _check_words(value: Any, source: str, depth: int, loops: Collection[int] = ()) -> None:
    """Refuse text that is neither a name nor a checked expression, wherever it stands."""
    if depth > MAX_DEPTH:
        raise _odd(source, "a program that is nested too deeply")
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in FORBIDDEN or (
                key == "as_graph"
                and not (isinstance(inner, dict) and id(inner.get("graph")) in loops)
            ):
                raise _odd(source, f"a program with an object in it: {key}")
            if key == "expr_str" and isinstance(inner, str):
                check_expression(inner, source)
            elif key in TREES and isinstance(inner, str):
                _check_tree(inner, source)
            else:
                if NAME.fullmatch(key) is None:
                    raise _odd(source, f"a name that is none: {key[:60]!r}")
                if key == "device" or key == "as_device":
                    _check_device(inner, source)
                _check_words(inner, source, depth + 1, loops)
    elif isinstance(value, list):
        for inner in value:
            _check_words(inner, source, depth + 1, loops)
    elif isinstance(value, str) and value not in NO_NUMBERS and NAME.fullmatch(value) is None:
        raise _odd(source, f"a name that is none: {value[:60]!r}")


FORBIDDEN = frozenset(("as_custom_obj", "as_operator", "as_opaque", "custom_obj"))
TREES = frozenset(("in_spec", "out_spec"))
# What the values that go in and out are packed into: lists of lists, with no class of its own.
TREE = re.compile(
    r'(?:[\[\]{}:,\s]|\d{1,4}|null|"(?:type|context|children_spec|builtins\.(?:tuple|list|dict)'
    r'|\[\]|\[\\"images\\"\]|null)")*'
)


def _check_tree(text: str, source: str) -> None:
    if len(text) > 100_000 or TREE.fullmatch(text) is None:
        raise _odd(source, f"values in a container that is not plain: {text[:80]!r}")


def _check_device(value: Any, source: str) -> None:
    if isinstance(value, dict) and value.get("type") not in (None, "cpu"):
        raise _odd(source, "a device other than the processor")


def _plain_number(value: Any, source: str) -> int:
    number = value.get("as_int") if isinstance(value, dict) else None
    if type(number) is not int or not 0 <= number < 1 << 40:
        raise _odd(source, "a weight of no known size")
    return number


def _read_json(archive: ZipFile, member: Any, source: str) -> Any:
    try:
        return json.loads(read_member(archive, member, MAX_JSON, source))
    except (RecursionError, UnicodeDecodeError, ValueError) as error:
        raise InvalidExport(source, f"it is damaged: {error}", AGAIN) from error


def _odd(source: str, what: str) -> InvalidExport:
    return InvalidExport(source, f"it holds {what}", AGAIN)
