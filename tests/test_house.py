"""The shape of the package: few rooms, short files, few parameters, no circles, names that are one.

What a function takes is counted but for the public faces, whose keywords people write by hand.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import scantling
from test_imports import FACES, LAYERS, ROOT, part_of

LONGEST_FILE, MEDIAN_FILE = 350, 200  # lines
ROOMS, MOST_LAYERS = 30, 13
PARAMETERS = 10
PUBLIC = {*scantling.__all__} | {
    "create_model", "load_model", "open_engine", "open_run", "prepare_model", "resume_run",
}  # fmt: skip
TREES = {path: ast.parse(path.read_text("utf-8")) for path in sorted(ROOT.rglob("*.py"))}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    """The module of a file, as it is imported."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Every function of a module and of its classes, with the name of its class before its own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef):
            owner = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
            for one in node.body:
                if isinstance(one, Function):
                    yield owner + one.name, one


def imported(path: Path) -> set[str]:
    """Modules of the package that a file imports while it is itself imported."""
    package = name_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    found: set[str] = set()
    for node in at_import(TREES[path]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        else:
            up = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*up, *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if inner in MODULES else base)
    return found & MODULES.keys() - {name_of(path)}


def at_import(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports that run with the module: not those of functions nor for type checkers alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        elif not isinstance(node, Function | ast.Lambda):
            yield from at_import(node)


MODULES = {name_of(path): path for path in TREES}


def circles(graph: dict[str, set[str]]) -> list[str]:
    """The circles of a graph that a walk from each node runs into, as text."""
    found: list[str] = []
    done: set[str] = set()

    def walk(node: str, trail: tuple[str, ...]) -> None:
        if node in trail:
            found.append(" → ".join((*trail[trail.index(node) :], node)))
        elif node not in done:
            for other in sorted(graph.get(node, ())):
                walk(other, (*trail, node))
            done.add(node)

    for node in sorted(graph):
        walk(node, ())
    return found


def test_there_are_few_rooms_and_layers():
    rooms = {part_of(path) for path in TREES} - FACES
    assert len(rooms) <= ROOMS
    assert len(LAYERS) <= MOST_LAYERS


def test_files_are_short():
    lines = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in TREES}
    assert not {name for name, count in lines.items() if count > LONGEST_FILE}
    assert median(lines.values()) <= MEDIAN_FILE


def test_functions_take_few_parameters():
    offenders = {}
    for path, tree in TREES.items():
        for name, node in functions(tree):
            taken = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            count = len([one for one in taken if one.arg not in ("self", "cls")])
            if count > PARAMETERS and name not in PUBLIC:
                offenders[f"{name_of(path)}.{name}"] = count
    assert not offenders


def test_no_rooms_import_each_other():
    graph = defaultdict(set)
    for path in TREES:
        if part_of(path) not in FACES:
            graph[part_of(path)] |= {part_of(MODULES[name]) for name in imported(path)} - FACES
            graph[part_of(path)].discard(part_of(path))
    assert not circles(graph)


def test_no_modules_import_each_other():
    """A package that a module lies in is not counted: it is there before the module is."""
    graph = {}
    for path in TREES:
        own = name_of(path)
        graph[own] = {other for other in imported(path) if not f"{own}.".startswith(f"{other}.")}
    assert not circles(graph)


def test_a_public_class_name_means_one_thing():
    places = defaultdict(list)
    for path, tree in TREES.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(name_of(path))
    assert not {name: where for name, where in places.items() if len(where) > 1}


def test_circles_are_found():
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": set()}
    assert circles(graph) == ["a → b → c → a"]
    assert not circles({"a": {"b", "d"}, "b": {"d"}})
