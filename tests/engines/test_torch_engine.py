"""The torch engine answers as the network does, and refuses what the machine cannot do."""

import numpy as np
import pytest
import torch

from scantling.checkpoints import Model
from scantling.detector import build_detector
from scantling.engines import EngineSettings
from scantling.engines.torch_engine import TorchEngine, choose_device, choose_dtype
from scantling.errors import InvalidSpec, InvalidValue, UnknownName
from scantling.specs import CATALOG

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model() -> Model:
    """yolov4-tiny, freshly initialised, with statistics that a fusion has to take along."""
    torch.manual_seed(0)
    spec = CATALOG["yolov4-tiny"]
    network = build_detector(spec).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return Model(spec, network, tuple(f"class{label}" for label in range(80)))


def random_images(count: int, size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *size, 3), np.uint8)


def test_the_engine_answers_as_the_network_does(model: Model):
    images = random_images(2, (96, 128))
    scaled = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        expected = model.network.decode(model.network(scaled), (96, 128))

    got = TorchEngine(model, EngineSettings(device="cpu", image_size=(96, 128)))(images)

    torch.testing.assert_close(got.boxes, expected.boxes, rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(got.scores, expected.scores, rtol=1e-3, atol=1e-5)


def test_an_image_gets_the_same_answer_alone_and_in_a_batch(model: Model):
    engine = TorchEngine(model, EngineSettings(device="cpu", image_size=96))
    images = random_images(3, (96, 96))
    together = engine(images)
    for number in range(3):
        alone = engine(images[number : number + 1])
        torch.testing.assert_close(alone.scores[0], together.scores[number], rtol=1e-4, atol=1e-6)


def test_the_engine_leaves_the_model_as_it_is(model: Model):
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    model.network.train()

    TorchEngine(model, EngineSettings(device="cpu", precision="bf16", image_size=64))(
        random_images(1, (64, 64))
    )

    after = model.network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert model.network.training
    assert next(model.network.parameters()).requires_grad
    model.network.eval()


def test_an_answer_outlives_the_images_it_was_made_from(model: Model):
    engine = TorchEngine(model, EngineSettings(device="cpu", image_size=64))
    batch = engine.new_batch(2)
    assert batch.shape == (2, 64, 64, 3)
    batch[...] = random_images(2, (64, 64))
    first = engine(batch)
    kept = first.scores.clone()
    batch[...] = 0
    engine(batch)
    assert torch.equal(first.scores, kept)


def test_half_precision_is_near_but_not_equal(model: Model):
    images = random_images(1, (96, 96))
    exact = TorchEngine(model, EngineSettings(device="cpu", image_size=96))(images)
    try:
        near = TorchEngine(model, EngineSettings(device="cpu", image_size=96, precision="bf16"))(
            images
        )
    except InvalidValue:
        pytest.skip("this processor has no bf16")
    assert near.scores.dtype == torch.float32
    assert 0 < (near.scores - exact.scores).abs().max() < 0.05


def test_the_own_size_of_the_model_is_the_default(model: Model):
    assert TorchEngine(model, EngineSettings(device="cpu")).image_size == (416, 416)
    assert TorchEngine(model, EngineSettings(device="cpu", image_size=320)).image_size == (320, 320)


@pytest.mark.parametrize(("size", "fix"), [(400, "Use 384"), ((416, 300), "width 300.*Use 288")])
def test_a_size_that_the_stride_does_not_divide_is_refused(model: Model, size: object, fix: str):
    with pytest.raises(InvalidSpec, match=fix):
        TorchEngine(model, EngineSettings(image_size=size))


@pytest.mark.parametrize("size", [(64, 160), (128, 96)])
def test_images_of_another_size_are_answered_for_that_size(model: Model, size: tuple[int, int]):
    engine = TorchEngine(model, EngineSettings(device="cpu", image_size=96))
    assert engine.size_divisor == 32
    batch = engine.new_batch(2, size)
    assert batch.shape == (2, *size, 3)
    batch[...] = random_images(2, size)
    own = TorchEngine(model, EngineSettings(device="cpu", image_size=size))(batch)
    torch.testing.assert_close(engine(batch).boxes, own.boxes)
    torch.testing.assert_close(engine(batch).scores, own.scores)


def test_boxes_of_anchors_in_the_image_are_answered_for_the_size_too():
    torch.manual_seed(0)
    spec = CATALOG["efficientdet-d0"]
    made = Model(spec, build_detector(spec).eval(), tuple(map(str, range(spec.num_classes))))
    engine = TorchEngine(made, EngineSettings(device="cpu", image_size=256))
    images = random_images(1, (128, 384))
    own = TorchEngine(made, EngineSettings(device="cpu", image_size=(128, 384)))(images)
    torch.testing.assert_close(engine(images).boxes, own.boxes)


def test_images_of_a_size_that_cannot_be_are_refused(model: Model):
    engine = TorchEngine(model, EngineSettings(device="cpu", image_size=96))
    with pytest.raises(InvalidSpec, match=r"width 100.*Use 96"):
        engine(random_images(1, (96, 100)))
    with pytest.raises(InvalidSpec, match="height 50"):
        engine.new_batch(1, (50, 96))
    with pytest.raises(InvalidValue, match="image_size"):
        engine.new_batch(1, (0, 96))


@pytest.mark.parametrize("size", [0, -32, (32, 0)])
def test_a_size_without_pixels_is_refused(model: Model, size: object):
    with pytest.raises(InvalidValue, match="image_size"):
        TorchEngine(model, EngineSettings(image_size=size))


def test_a_device_that_is_not_there_is_refused():
    missing = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(InvalidValue, match="auto, cpu"):
        choose_device(missing)
    with pytest.raises(InvalidValue, match="device"):
        choose_device("gpu")
    assert choose_device("cpu") == CPU


def test_a_precision_is_refused_where_it_would_be_slower():
    assert choose_dtype("fp32", CPU) == torch.float32
    with pytest.raises(UnknownName, match="Did you mean 'fp16'"):
        choose_dtype("fp6", CPU)
    if torch.ops.mkldnn._is_mkldnn_fp16_supported():
        assert choose_dtype("auto", CPU) == torch.float16
    else:
        with pytest.raises(InvalidValue, match="fp32"):
            choose_dtype("fp16", CPU)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("fp32", 1e-4), ("fp16", 0.02), ("bf16", 0.1)]
)
def test_a_gpu_answers_as_the_processor_does(model: Model, precision: str, tolerance: float):
    images = random_images(2, (96, 128))
    expected = TorchEngine(model, EngineSettings(device="cpu", image_size=(96, 128)))(images)
    engine = TorchEngine(
        model, EngineSettings(device="cuda", precision=precision, image_size=(96, 128))
    )
    batch = engine.new_batch(2)
    batch[...] = images
    got = engine(batch)
    assert got.scores.is_cuda
    assert (got.scores.cpu() - expected.scores).abs().max() < tolerance
