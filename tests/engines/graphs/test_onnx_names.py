"""Open sides of an ONNX file have names that a reader understands, in every place."""

import pytest

from scantling.checkpoints import create_model
from scantling.engines.graphs import make_metadata, to_onnx
from scantling.specs.metadata import GraphForm

pytestmark = pytest.mark.needs("onnx")
SIDES = {"batch", "height", "width"}


@pytest.mark.parametrize(
    ("form", "shape"),
    [
        (GraphForm(takes="image", gives="detections"), [1, "height", "width", 3]),
        (GraphForm(any_size=True, batch=None), ["batch", "height", "width", 3]),
        (GraphForm(takes="float", any_size=True), [1, 3, "height", "width"]),
        (GraphForm(batch=None, gives="raw"), ["batch", 64, 64, 3]),
    ],
)
def test_open_sides_are_named(form: GraphForm, shape: list[object]):
    model = create_model("yolov4-tiny", num_classes=2, image_size=64)
    graph = to_onnx(model, make_metadata(model, form=form)).graph
    sides = graph.input[0].type.tensor_type.shape.dim
    assert [side.dim_param or side.dim_value for side in sides] == shape
    letters = set()
    for part in (*graph.value_info, *graph.output):
        for side in part.type.tensor_type.shape.dim:
            letters |= {word for word in side.dim_param.replace("*", " ").split() if word}
    bare = {word.strip("()").split("/")[0] for word in letters if not word.isdecimal()}
    assert bare <= SIDES
