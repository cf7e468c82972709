"""Every named variant can be exported to every format, and the file is the same model."""

from pathlib import Path

import pytest
import torch
from thin import alike, build, thin

from scantling.checkpoints import create_model
from scantling.engines.graphs import onnx_file, openvino_file
from scantling.engines.graphs.graph import ExportGraph, trace
from scantling.exporting import FORMATS, export
from scantling.specs import CATALOG
from scantling.specs.metadata import Metadata

pytestmark = pytest.mark.needs("openvino", "onnxruntime")
RUN_HERE = ("onnx", "openvino")
# Other numbers of levels than two that are tried, and the same parts: left to the slow test.
BETWEEN = ("yolov4-p6", "yolov4-p6-pt", "efficientdet-d7")


def one_of_each() -> list[tuple[str, tuple[str, ...]]]:
    """(variant, formats): every structure as ONNX; as OpenVINO the first of each kind of parts.

    Both are made from a program of the same network: what a variant has of its own is in it.
    """
    names = [group[0] for group in alike() if group[0] not in BETWEEN]
    kinds: dict[tuple[object, ...], str] = {}
    for name in names:
        spec = CATALOG[name]
        parts = (spec.backbone, spec.neck, spec.head)
        key = (
            *(part.activation for part in parts),
            spec.neck.kind,
            spec.head.kind,
            spec.neck.same_padding,
            spec.neck.fusion,
            spec.neck.joint_norm,
            spec.head.box_coding,
        )
        kinds.setdefault(key, name)
    both = set(kinds.values())
    return [(name, RUN_HERE if name in both else ("onnx",)) for name in names]


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.export.ExportedProgram]:
    """The programs of a test, each recorded once: both formats of a network are made from one."""
    programs: dict[str, torch.export.ExportedProgram] = {}

    def trace_once(graph: ExportGraph, metadata: Metadata) -> torch.export.ExportedProgram:
        key = f"{graph} {metadata.form}"
        if key not in programs:
            programs[key] = trace(graph, metadata)
        return programs[key]

    for module in (onnx_file, openvino_file):
        monkeypatch.setattr(module, "trace", trace_once)
    return programs


@pytest.mark.parametrize(("name", "formats"), one_of_each())
def test_every_variant_exports_and_verifies(
    name: str, formats: tuple[str, ...], tmp_path: Path, traced
):
    model = build(thin(name))
    for to in formats:
        exported = export(model, to, out=tmp_path / f"model{FORMATS[to].suffix}")
        assert exported.verification is not None
        assert exported.verification.passed
        assert exported.metadata.spec == model.spec
    written_out = "mish" in str(model.spec) and len(formats) > 1  # of another form for ONNX Runtime
    assert len(traced) == 1 + written_out


@pytest.mark.slow
@pytest.mark.parametrize("name", CATALOG)
@pytest.mark.parametrize("to", RUN_HERE)
def test_every_variant_exports_and_verifies_at_its_full_width(name: str, to: str, tmp_path: Path):
    stride = CATALOG[name].strides[-1]
    model = create_model(name, num_classes=3, image_size=max(stride, 128))
    exported = export(model, to, out=tmp_path / f"model{FORMATS[to].suffix}")
    assert exported.verification is not None
    assert exported.verification.passed
