"""An exported graph answers as the network it was made from, in every form, and tells no tales."""

import os
import resource
import signal
from collections import Counter
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from scantling.checkpoints import Model, create_model, load_model
from scantling.darknet import load_cfg_network
from scantling.engines import EngineSettings
from scantling.engines.graphs import (
    ExportGraph,
    fingerprint,
    make_metadata,
    to_onnx,
    to_openvino,
    write_onnx,
    write_openvino,
)
from scantling.engines.graphs.preprocess import ResizeAndPad
from scantling.engines.torch_engine import TorchEngine
from scantling.errors import CannotWrite, InvalidExport
from scantling.images.letterbox import find_placement, resize_and_pad
from scantling.postprocess import Selection, select
from scantling.scaling.subnetwork import extract_subnetwork
from scantling.specs import CATALOG, InputSpec, ModelSpec
from scantling.specs.metadata import KEY, GraphForm, Metadata
from scantling.structures import Candidates
from small_models import write_model

FORMATS = ("onnx", "openvino")
SPARE = ("Pad", "Softplus", "Tanh", "Range", "ReduceSum", "BatchNormInference", "Loop")


CONV = "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
DEEP = f"""[net]
width=64
height=64
{4 * CONV}[upsample]
stride=2
[route]
layers=-1,-3
[convolutional]
filters=18
activation=linear
[yolo]
mask=0,1,2
anchors=4,4, 8,8, 16,16
classes=1
"""
MISH = "yolov4-tiny with mish"  # each of its layers has the activation that is hard to export


def thin(name: str) -> ModelSpec:
    """A variant with all its kinds of layers, each 16 channels wide and a block deep."""
    spec = CATALOG[name.removesuffix(" with mish")]
    if name == MISH:
        parts = ("backbone", "neck", "head")
        spec = spec.replace(**{p: getattr(spec, p).replace(activation="mish") for p in parts})
    stages = tuple(
        stage.replace(channels=min(stage.channels, 16), depth=1) for stage in spec.backbone.stages
    )
    neck = spec.neck.replace(channels=(16,) * len(spec.neck.channels), depth=1)
    head = spec.head.replace(depth=min(spec.head.depth, 1))
    if head.channels is not None:
        head = head.replace(channels=(16,) * len(head.channels))
    backbone = spec.backbone.replace(stem_channels=8, stages=stages)
    return spec.replace(backbone=backbone, neck=neck, head=head)


@cache
def small_model(name: str) -> Model:
    """Freshly initialised, with statistics and fusion weights that a rewriting has to take in."""
    torch.manual_seed(0)
    model = create_model(thin(name), names=("cat", "dog", "hen"))
    for module in model.network.eval().modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    with torch.no_grad():
        for parameter_name, parameter in model.network.named_parameters():
            if "fusion" in parameter_name:
                parameter.uniform_(0.1, 1.0)
    return model


@pytest.fixture(scope="module")
def tiny(assets: Path) -> Model:
    weights = assets / "weights" / "yolov4-tiny-coco" / "yolov4-tiny.weights"
    return load_model(assets / "cfg" / "yolov4-tiny.cfg", weights=weights)


@pytest.fixture(scope="module")
def photograph(assets: Path) -> np.ndarray:
    (path, *_) = sorted((assets / "images").glob("*.jpg"))
    return np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


def noise(images: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (images, height, width, 3), np.uint8)


def answer(model: Model, images: np.ndarray) -> list[np.ndarray]:
    """What the network itself says: boxes and scores."""
    mean, std = (
        torch.tensor(v).view(3, 1, 1) for v in (model.spec.input.mean, model.spec.input.std)
    )
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        raw = model.network((pixels - mean) / std)
        found = model.network.decode(raw, images.shape[1:3])
    return [found.boxes.numpy(), found.scores.numpy()]


EXPORTERS = {"onnx": to_onnx, "openvino": to_openvino}
SIZE = (256, 384)  # of the usual graph


@cache
def usual(name: str, format_: str):
    """The graph of a small model at one size; nothing changes it."""
    model = small_model(name)
    return EXPORTERS[format_](model, make_metadata(model, image_size=SIZE))


def runner(model: Model, metadata: Metadata, format_: str):
    """A function that runs the model's graph in its own runtime."""
    return running(EXPORTERS[format_](model, metadata), format_)


def running(graph, format_: str):
    """A function that runs a graph in its own runtime."""
    if format_ == "onnx":
        import onnxruntime

        made = graph.SerializeToString()
        session = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])
        return lambda images: session.run(None, {"images": images})
    import openvino

    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(graph, "CPU", exact)
    return lambda images: list(compiled([images]).values())


def same(got: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for one, other, tolerance in zip(got, expected, (2e-3, 1e-5), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=tolerance)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("name", [MISH, "efficientdet-d0"])
def test_a_graph_answers_as_the_network_does(name: str, format_: str):
    images = noise(1, *SIZE)
    same(running(usual(name, format_), format_)(images), answer(small_model(name), images))


@pytest.mark.parametrize(
    ("name", "format_"), [("yolov4-tiny", "onnx"), ("efficientdet-d0", "openvino")]
)
def test_a_graph_of_open_sizes_answers_for_each(name: str, format_: str):
    model = small_model(name)
    form = GraphForm(batch=None, any_size=True)
    run = runner(model, make_metadata(model, form=form, image_size=128), format_)
    stride = max(model.network.strides)
    for images in (noise(1, stride, stride), noise(3, stride, 3 * stride)):
        same(run(images), answer(model, images))


def test_a_cfg_that_goes_deeper_than_its_head_is_of_open_size_in_steps_of_that(tmp_path: Path):
    (tmp_path / "deep.cfg").write_text(DEEP)
    torch.manual_seed(0)
    spec, network, _ = load_cfg_network(tmp_path / "deep.cfg")
    model = Model(spec, network, ("class0",))
    metadata = make_metadata(model, form=GraphForm(batch=None, any_size=True))
    assert metadata.size_divisor == TorchEngine(model).size_divisor == 16
    run = runner(model, metadata, "openvino")
    for images in (noise(1, 16, 16), noise(2, 16, 48)):
        same(run(images), answer(model, images))


def test_open_sizes_move_in_steps_of_a_level_that_was_dropped():
    model = extract_subnetwork(small_model("efficientdet-d0"))
    metadata = make_metadata(model, form=GraphForm(any_size=True), image_size=256)
    assert metadata.size_divisor == TorchEngine(model).size_divisor == 128
    graph, images = ExportGraph(model, metadata), noise(1, 128, 384)
    with torch.no_grad():
        got = [one.numpy() for one in graph(torch.from_numpy(images))]
    same(got, answer(model, images))
    with pytest.raises(InvalidExport, match="takes multiples of 128"):
        make_metadata(model, form=GraphForm(any_size=True), image_size=(128, 192))


def test_boxes_of_cells_that_no_stride_divides_are_the_networks():
    model = small_model("efficientdet-d0")
    images = noise(1, 100, 72)
    with torch.no_grad():
        got = ExportGraph(model, make_metadata(model, image_size=(100, 72)))(
            torch.from_numpy(images)
        )
    same([one.numpy() for one in got], answer(model, images))


@pytest.mark.parametrize("name", ["yolov4-tiny", "efficientdet-d0"])
def test_floats_go_in_and_raw_predictions_come_out_when_asked_for(name: str):
    model = small_model(name)
    images = noise(1, 128, 128)
    floats = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    metadata = make_metadata(model, image_size=128, form=GraphForm(takes="float", gives="raw"))
    with torch.no_grad():
        raw = ExportGraph(model, metadata)(floats)
        found = model.network.decode(raw, (128, 128))
    same([found.boxes.numpy(), found.scores.numpy()], answer(model, images))


def test_every_kind_of_darknet_level_is_decoded_as_the_network_does(assets: Path):
    torch.manual_seed(0)
    for name in ("yolov2-tiny.cfg", "yolov4-csp-swish.cfg"):
        spec, network, _ = load_cfg_network(assets / "cfg" / name)
        model = Model(spec, network, tuple(map(str, range(spec.num_classes))))
        images = noise(1, 64, 96)
        with torch.no_grad():
            metadata = make_metadata(model, image_size=(64, 96))
            got = ExportGraph(model, metadata)(torch.from_numpy(images))
        same([one.numpy() for one in got], answer(model, images))


@pytest.mark.parametrize("format_", FORMATS)
def test_nms_in_a_graph_keeps_what_select_keeps(format_: str, tiny: Model, photograph: np.ndarray):
    images = np.stack([resize_and_pad(photograph, (256, 256))[0], noise(1, 256, 256)[0]])
    form = GraphForm(gives="detections", batch=2)
    metadata = make_metadata(tiny, form=form, image_size=256, min_score=0.02, max_detections=40)
    (got,) = runner(tiny, metadata, format_)(images)
    settings = Selection(min_score=0.02, iou_threshold=0.45, max_detections=40)
    expected = select(Candidates(*answer(tiny, images)), settings=settings)
    assert got.shape == (2, 40, 6)
    assert len(expected[0]) >= 5  # of our own drawings; the photograph has more
    for rows, selected in zip(got, expected, strict=True):
        found = rows[: len(selected)]
        np.testing.assert_allclose(found[:, :4], selected.boxes, atol=5e-3)
        np.testing.assert_allclose(found[:, 4], selected.scores, atol=1e-5)
        np.testing.assert_array_equal(found[:, 5], selected.labels)
        assert not rows[len(selected) :].any()


@pytest.mark.parametrize("fit", ["letterbox", "corner", "stretch"])
@pytest.mark.parametrize("size", [(90, 133), (7, 3), (1, 1), (600, 500)])
def test_an_image_is_placed_in_a_graph_as_outside(fit: str, size: tuple[int, int]):
    image = noise(1, *size)[0]
    smooth = cv2.GaussianBlur(image, (3, 3), 0)
    got = ResizeAndPad(InputSpec(resize_mode=fit, pad_value=(1, 2, 3)), (96, 128))(
        torch.from_numpy(smooth)[None]
    )
    expected, _ = resize_and_pad(smooth, (96, 128), resize_mode=fit, pad_value=(1, 2, 3))
    assert np.abs(got[0].numpy() - expected.astype(np.float32)).max() <= 1


@pytest.mark.parametrize("format_", FORMATS)
def test_a_graph_that_takes_images_answers_in_their_pixels(
    format_: str, tiny: Model, photograph: np.ndarray
):
    form = GraphForm(takes="image", gives="candidates")
    boxes, scores = runner(tiny, make_metadata(tiny, form=form, image_size=256), format_)(
        photograph[None]
    )
    fit = tiny.spec.input.resize_mode
    canvas, placement = resize_and_pad(
        photograph, (256, 256), resize_mode=fit, pad_value=tiny.spec.input.pad_value
    )
    engine = TorchEngine(tiny, EngineSettings(device="cpu", image_size=256))
    found = engine(canvas[None])
    assert placement == find_placement(photograph.shape[:2], (256, 256), resize_mode=fit)
    assert np.abs(scores - found.scores.numpy()).max() < 0.05  # of one grey level here and there
    sure = found.scores[0].amax(1).numpy() > 0.3
    assert sure.any()
    expected = placement.undo(found.boxes[0].numpy()[sure], clip=False)
    np.testing.assert_allclose(boxes[0][sure], expected, atol=3)


@pytest.mark.parametrize(
    ("name", "splits"),
    [(MISH, 3), ("efficientdet-d0", 0)],  # its stages go on with half of the channels
)
def test_no_operation_is_left_that_an_engine_cannot_fuse(name: str, splits: int):
    kinds = Counter(node.op_type for node in usual(name, "onnx").graph.node)
    assert kinds["Split"] == splits
    assert not kinds.keys() & {*SPARE, "Relu", "Softmax", "Shape", "BatchNormalization"}
    ops = Counter(node.get_type_name() for node in usual(name, "openvino").get_ops())
    assert not ops.keys() & {"SoftPlus", "Tanh", "Range", "ShapeOf", "ReduceSum", "Softmax", "Relu"}


def test_mish_is_one_operation_where_that_is_asked_for():
    import openvino

    model = small_model(MISH)
    count = sum(isinstance(module, torch.nn.Mish) for module in model.network.modules())
    graph = to_onnx(model, make_metadata(model, image_size=64), mish="op").graph
    one = Counter(node.op_type for node in graph.node)
    many = Counter(node.op_type for node in usual(MISH, "onnx").graph.node)
    assert one["Mish"] == count > 10
    assert not one["Softplus"] + one["Tanh"] + many["Mish"]
    made = usual(MISH, "openvino")
    compiled = openvino.Core().compile_model(made, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    operations = compiled.get_runtime_model().get_ops()
    runs = [operation.get_rt_info()["layerType"].astype(str) for operation in operations]
    # all inside convolutions, but those behind a concatenation
    assert runs.count("Convolution") > count // 2
    assert runs.count("Eltwise") + runs.count("Mish") < count // 2


def test_the_same_model_makes_the_same_files_which_name_no_other(tmp_path: Path):
    import onnx
    import openvino

    model = load_model(write_model(tmp_path / "model.safetensors"))
    metadata = make_metadata(model, image_size=64, form=GraphForm(gives="detections"))
    for turn in ("one", "two"):
        folder = tmp_path / turn
        folder.mkdir()
        write_onnx(to_onnx(model, metadata), folder / "a.onnx")
        write_openvino(to_openvino(model, metadata), folder / "a.xml")
    for path in sorted((tmp_path / "one").iterdir()):
        written = path.read_bytes()
        assert written == (tmp_path / "two" / path.name).read_bytes(), path.name
        here = [str(Path(__file__).parents[3]), str(tmp_path), torch.__path__[0], "site-packages"]
        assert not [place for place in (*here, '.py"', "/graphs/") if place.encode() in written]
    assert len(list((tmp_path / "one").iterdir())) == 3
    metadata_of = (
        openvino.Core().read_model(tmp_path / "one" / "a.xml").get_rt_info(KEY).astype(str)
    )
    assert Metadata.model_validate_json(metadata_of) == metadata
    (entry,) = onnx.load(tmp_path / "one" / "a.onnx").metadata_props
    assert (entry.key, Metadata.model_validate_json(entry.value)) == (KEY, metadata)


def test_half_precision_halves_the_weights(tmp_path: Path):
    model = small_model("yolov4-tiny")
    images = noise(1, 64, 64)
    metadata = make_metadata(model, image_size=64, precision="fp16")
    got = runner(model, metadata, "onnx")(images)
    assert np.abs(got[1] - answer(model, images)[1]).max() < 0.02
    assert got[0].dtype == np.float32
    full = 4 * sum(weights.numel() for weights in model.network.parameters())
    half = sum(len(one.raw_data) for one in to_onnx(model, metadata).graph.initializer)
    assert half < 0.6 * full
    write_openvino(to_openvino(model, metadata), tmp_path / "half.xml")
    assert (tmp_path / "half.bin").stat().st_size < 0.6 * full


def test_onnx_has_no_bf16():
    model = small_model("yolov4-tiny")
    with pytest.raises(InvalidExport, match="Use fp32, fp16 or int8"):
        to_onnx(model, make_metadata(model, image_size=64, precision="bf16"))


def test_nms_outside_a_runtime_keeps_what_select_keeps(tiny: Model, photograph: np.ndarray):
    images = resize_and_pad(photograph, (256, 256))[0][None]
    form = GraphForm(gives="detections")
    metadata = make_metadata(tiny, form=form, image_size=256, max_detections=40)
    with torch.no_grad():
        (got,) = ExportGraph(tiny, metadata)(torch.from_numpy(images))
    settings = Selection(min_score=0.25, iou_threshold=0.45, max_detections=40)
    (expected,) = select(Candidates(*answer(tiny, images)), settings=settings)
    found = got[0, : len(expected)].numpy()
    np.testing.assert_allclose(found[:, :4], expected.boxes, atol=5e-3)
    np.testing.assert_allclose(found[:, 4], expected.scores, atol=1e-5)
    np.testing.assert_array_equal(found[:, 5], expected.labels)
    assert len(expected)
    assert not got[0, len(expected) :].any()


def test_a_fingerprint_knows_description_and_weights():
    model = small_model("yolov4-tiny")
    other = create_model(model.spec, names=model.names)
    assert fingerprint(model) == fingerprint(model) != fingerprint(other)
    other.network.load_state_dict(model.network.state_dict())
    assert fingerprint(other) == fingerprint(model)


def test_what_cannot_be_exported_is_refused(tmp_path: Path):
    import onnx

    model = small_model("efficientdet-d0")
    with pytest.raises(InvalidExport, match="Use the image size 256×128"):
        make_metadata(model, form=GraphForm(any_size=True), image_size=(200, 160))
    with pytest.raises(InvalidExport, match="one pixel"):
        make_metadata(model, image_size=0)
    with pytest.raises(InvalidExport, match=r"Use \.onnx"):
        write_onnx(onnx.ModelProto(), tmp_path / "a.xml")
    with pytest.raises(CannotWrite, match="cannot be written"):
        write_onnx(onnx.ModelProto(), tmp_path / "nowhere" / "a.onnx")


@pytest.mark.needs("openvino")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits a process of its own")
def test_openvino_without_room_leaves_the_old_files(tmp_path: Path):
    """It says no more than "iostream error", in a RuntimeError."""
    import openvino as ov

    path = tmp_path / "a.xml"
    for suffix in (".xml", ".bin"):
        path.with_suffix(suffix).write_bytes(b"old")
    image = ov.opset13.parameter([1, 64], np.float32)
    weights = ov.opset13.constant(np.ones((64, 64), np.float32))
    graph = ov.Model([ov.opset13.matmul(image, weights, False, False)], [image], "a")
    graph.set_rt_info(make_metadata(small_model("yolov4-tiny")).model_dump_json(), KEY)
    child = os.fork()
    if not child:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            write_openvino(graph, path)
        except CannotWrite as error:
            os._exit(0 if f"{path} cannot be written" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == {
        "a.xml": b"old",
        "a.bin": b"old",
    }
