"""Every named variant can be exported to every format, and the file is the same model."""

from pathlib import Path

import pytest
from thin import alike, build, thin

from scantling.checkpoints import create_model
from scantling.exporting import FORMATS, export
from scantling.specs import CATALOG

pytestmark = pytest.mark.needs("openvino", "onnxruntime")
RUN_HERE = ("onnx", "openvino")
# Other numbers of levels than two that are tried, and the same parts: left to the slow test.
BETWEEN = ("yolov4-p6", "yolov4-p6-pt", "efficientdet-d7")


def one_of_each() -> list[tuple[str, str]]:
    """(format, variant): every structure as ONNX; as OpenVINO the first of each kind of parts.

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
    return [("onnx", name) for name in names] + [("openvino", name) for name in kinds.values()]


@pytest.mark.parametrize(("to", "name"), one_of_each())
def test_every_variant_exports_and_verifies(to: str, name: str, tmp_path: Path):
    model = build(thin(name))
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
