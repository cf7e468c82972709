"""Imports point down. A lower layer never knows who uses it, and nothing loads torch unasked."""

import ast
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import scantling

ROOT = Path(scantling.__file__).parent
LAYERS = [
    {"errors", "lazy"},
    {"structures", "boxes", "io"},
    {"cache", "specs", "blocks", "reports", "images"},
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


# What a command has no need of, and so may not load: each is time for which somebody waits.
HEAVY = {
    "accelerate", "matplotlib", "onnx", "onnxruntime", "openvino", "pandas", "PIL", "scipy",
    "torchvision",
}  # fmt: skip
OTHERS = {"torch._dynamo", "torch.onnx", "scantling.training"}
PREDICT = "predict {image} --engine torch --out {out}/out --model"
COMMANDS = [
    ("--help", {"torch", "cv2"}),
    ("list", {"torch", "cv2"}),
    (f"{PREDICT} {{cfg}}", {*OTHERS, "scantling.evaluation"}),
    ("evaluate {cfg} --data {data} --engine torch --json", OTHERS),
    # mistakes
    ("predict nothing.jpg --model {cfg} --engine torch", {"torch"}),
    (f"{PREDICT} nothing.cfg", {"torch"}),
    (f"{PREDICT} nothing.pt", {"torch"}),
    (f"{PREDICT} yolov4-tinny", {"torch"}),
    (f"{PREDICT} {{cfg}} --weights nothing.weights", {"torch"}),
]


@pytest.fixture(scope="module")
def places(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """A small network, an image, and a data set of one image."""
    data = tmp_path_factory.mktemp("data")
    (data / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    cv2.imwrite(str(data / "a.png"), np.zeros((64, 64, 3), np.uint8))
    names = [f"class{label}" for label in range(80)]
    (data / "data.yaml").write_text(f"val: .\nnames: {names}\n")
    (data / "all.names").write_text("".join(f"{name}\n" for name in names))
    return {
        "cfg": assets / "weights" / "yolo-fastest-1.1-coco" / "yolo-fastest-1.1.cfg",
        "image": data / "a.png",
        "data": f"{data / 'data.yaml'} --names {data / 'all.names'}",
    }


@pytest.mark.parametrize(("command", "needless"), COMMANDS, ids=[one for one, _ in COMMANDS])
def test_a_command_loads_only_what_it_needs(
    command: str, needless: set[str], places: dict[str, object], tmp_path: Path
):
    words = command.format(**places, out=tmp_path).split()
    code = f"import sys\nfrom scantling.cli import main\nmain({words!r})\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & (HEAVY | needless), done.stderr
