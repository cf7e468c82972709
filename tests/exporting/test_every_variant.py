"""Every named variant can be exported to every format, and the file is the same model."""

from pathlib import Path

import pytest
from thin import alike, build, thin

from scantling.checkpoints import create_model
from scantling.exporting import FORMATS, export
from scantling.specs import CATALOG

pytestmark = pytest.mark.needs("openvino", "onnxruntime")
RUN_HERE = ("onnx", "openvino")


@pytest.mark.parametrize("names", alike(), ids=" ".join)
@pytest.mark.parametrize("to", RUN_HERE)
def test_every_variant_exports_and_verifies(names: tuple[str, ...], to: str, tmp_path: Path):
    model = build(thin(names[0]))
    exported = export(model, to, out=tmp_path / f"model{FORMATS[to].suffix}")
    assert exported.verification is not None
    assert exported.verification.passed
    assert exported.metadata.spec == model.spec


@pytest.mark.slow
@pytest.mark.parametrize("name", CATALOG)
@pytest.mark.parametrize("to", RUN_HERE)
def test_every_variant_exports_and_verifies_at_its_full_width(name: str, to: str, tmp_path: Path):
    stride = CATALOG[name].strides[-1]
    model = create_model(name, num_classes=3, image_size=max(stride, 128))
    exported = export(model, to, out=tmp_path / f"model{FORMATS[to].suffix}")
    assert exported.verification is not None
    assert exported.verification.passed
