"""Imports point down. A lower layer never knows who uses it, and nothing loads torch unasked."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import scantling

ROOT = Path(scantling.__file__).parent
LAYERS = [
    {"errors", "io", "lazy"},
    {"structures", "boxes", "cache"},
    {"specs", "blocks", "reports", "images"},
    {"backbones", "necks", "heads", "augment", "postprocess"},
    {"detector", "losses", "datasets"},
    {"darknet"},
    {"checkpoints"},
    {"engines"},
    {"inference", "scaling"},
    {"evaluation"},
    {"training", "verification", "benchmarking"},
    {"exporting", "demo"},
    {"cli"},
]
FACES = {"__init__", "__main__"}  # the package's own doors: they see everything
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}


def imports(path: Path) -> set[str]:
    """Parts of this package that `path` imports, however it spells them."""
    depth = len(path.relative_to(ROOT).parts)
    parts: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.ImportFrom):
            continue
        module = (node.module or "").split(".")
        if node.level == depth:  # relative to the package itself
            parts |= {module[0]} if node.module else {alias.name for alias in node.names}
        elif node.level == 0 and module[0] == ROOT.name and len(module) > 1:
            parts.add(module[1])
    return parts


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def test_every_module_imports_only_from_lower_layers():
    offenders = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in ROOT.rglob("*.py")
        if part_of(path) not in FACES
        for name in imports(path)
        if name in RANK and name != part_of(path) and RANK[name] >= RANK[part_of(path)]
    ]
    assert not offenders, "\n".join(offenders)


def test_every_module_has_a_layer():
    parts = {part_of(path) for path in ROOT.rglob("*.py")} - FACES
    assert parts <= set(RANK)


@pytest.mark.parametrize(
    "code",
    [
        "import scantling",
        "from scantling import CATALOG, Detections, ModelSpec",
        "import scantling.images, scantling.datasets.readers, scantling.augment",
        "import scantling.structures, scantling.boxes, scantling.specs, scantling.darknet.cfg",
        "from scantling.cli import main; main(['--help'])",
        "from scantling.cli import main; main(['list'])",
    ],
)
def test_torch_is_loaded_only_when_a_network_is_needed(code: str):
    check = f"import sys\n{code}\nassert 'torch' not in sys.modules, 'torch was loaded'"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
