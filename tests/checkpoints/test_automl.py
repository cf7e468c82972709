"""google/automl's TensorFlow variables, against what its own code says of them."""

import hashlib
import zlib

import numpy as np
import pytest
import torch

from scantling.checkpoints import convert_model, create_model, load_model
from scantling.checkpoints.automl import automl_variables
from scantling.checkpoints.model import build_empty
from scantling.errors import InvalidCheckpoint, InvalidValue
from scantling.specs import CATALOG

# From TensorFlow 2.21 running google/automl at 6a54c87: the number of variables of its networks,
# and the SHA-256 of their sorted lines `name [shape]`.
VARIABLES = {
    "efficientdet-d0": (
        "efficientnet-b0",
        709,
        "0a4d2499ecdc223cd25d1ed0ea892eab9886bee3ea4a8dfe5b09bf5f9b520b3a",
    ),
    "efficientdet-lite0": (
        "efficientnet-lite0",
        588,
        "7d371caeb9e6fabf8a73114283c2433bda0903db4f1d24667b205455e9d0c240",
    ),
    "efficientdet-d6": (
        "efficientnet-b6",
        1565,
        "ec9b7ad4c9995a1ee6f6f4132aeb67bc402e9c75d87565a71c19a29ef24a3b55",
    ),
}
# And of the outputs for three classes, with the weights and image of `arrays` and `image`: per
# level, classes then boxes: mean, deviation, last number, second number.
REFERENCE = {
    "efficientdet-d0": [
        (0.04363, 0.19078, 0.18886, -0.03746),
        (0.03872, 0.21519, 0.27921, -0.23107),
        (0.03477, 0.15054, 0.25032, -0.11481),
        (0.03915, 0.1679, 0.1439, -0.06793),
        (0.01152, 0.12387, 0.11563, -0.10825),
        (-0.02073, 0.12602, 0.00374, -0.3097),
        (0.0019, 0.12718, 0.11816, -0.1836),
        (-0.00373, 0.14594, 0.0624, -0.3917),
        (-0.01086, 0.12696, 0.06871, -0.2267),
        (-0.00923, 0.11241, 0.07906, -0.14663),
    ],
    "efficientdet-lite0": [
        (0.01532, 0.37, 0.37825, 0.06612),
        (0.10365, 0.47254, 0.28224, -0.51818),
        (0.08256, 0.51286, 0.60982, -0.06192),
        (0.06968, 0.24458, 0.06857, -0.14772),
        (0.0088, 0.13913, 0.12558, -0.14588),
        (-0.24963, 0.74218, -0.30564, -0.59469),
        (-0.01543, 0.42437, -0.14233, -0.22666),
        (-0.01657, 0.43844, -0.41761, -0.6775),
        (-0.04463, 0.19668, -0.19052, -0.20371),
        (-0.01147, 0.11614, 0.06005, -0.14431),
    ],
}


def shapes(name, classes):
    """Of the variables: the shapes of ours, in TensorFlow's order."""
    spec = CATALOG[name].replace(num_classes=classes)
    network = build_empty(spec)
    state, found = network.state_dict(), {}
    for ours, names in automl_variables(network, spec, VARIABLES[name][0]).items():
        shape = list(state[ours].shape)
        for variable in names:
            if variable.endswith("depthwise_kernel"):
                found[variable] = [*shape[2:], *shape[:2]]
            elif variable.endswith("kernel"):
                found[variable] = [*shape[2:], shape[1], shape[0]]
            else:
                found[variable] = [] if "/WSM" in variable else shape
    return found


def values(name, shape):
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith("moving_variance"):
        return random.uniform(0.5, 1.5, shape)
    if name.endswith("gamma"):
        return random.uniform(0.8, 1.2, shape)
    if "/WSM" in name:
        return random.uniform(-0.1, 1.5, shape)
    if name.endswith("kernel"):
        fan = shape[0] * shape[1] * (1 if "depthwise" in name else shape[2])
        return random.uniform(-1, 1, shape) * (3 / fan) ** 0.5
    return random.uniform(-0.2, 0.2, shape)


def arrays(name, classes=3):
    found = shapes(name, classes)
    return {key: np.asarray(values(key, shape), "float32") for key, shape in found.items()}


def image():
    pixels = np.random.RandomState(1).uniform(-1, 1, (1, 128, 128, 3)).astype("float32")
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def lite0():
    return arrays("efficientdet-lite0")


def saved(given, folder):
    np.savez(folder / "arrays.npz", **given)
    return folder / "arrays.npz"


@torch.inference_mode()
def assert_outputs(model, name):
    for raw, expected in zip(model.network(image()), REFERENCE[name], strict=True):
        last, second = raw[0, -1, -1, -1], raw[0, 1, 0, 0]
        found = torch.stack([raw.mean(), raw.std(correction=0), last, second])
        torch.testing.assert_close(found, torch.tensor(expected), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", VARIABLES)
def test_variables_are_those_that_tensorflow_lists(name):
    lines = sorted(f"{key} {shape}" for key, shape in shapes(name, 90).items())
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    assert (len(lines), digest) == VARIABLES[name][1:]


@pytest.mark.parametrize("name", REFERENCE)
def test_outputs_are_those_of_tensorflow(name, tmp_path):
    model = load_model(name, weights=saved(arrays(name), tmp_path))
    assert model.spec.num_classes == 3
    assert_outputs(model, name)


def test_convert_and_create_take_the_file(lite0, tmp_path):
    path = saved(lite0, tmp_path)
    convert_model(path, tmp_path / "ours.safetensors", model="efficientdet-lite0")
    assert_outputs(load_model(tmp_path / "ours.safetensors"), "efficientdet-lite0")
    model = create_model("efficientdet-lite0", checkpoint=path, names=("a", "b", "c"))
    assert_outputs(model.__class__(model.spec, model.network.eval(), model.names), model.spec.name)
    with pytest.raises(InvalidValue, match="--model NAME"):
        load_model(path)


def test_moving_averages_count_and_the_optimizer_does_not(lite0, tmp_path):
    given = {key: np.zeros_like(value) for key, value in lite0.items()}
    given |= {f"{key}/ExponentialMovingAverage": value for key, value in lite0.items()}
    given |= {"class_net/class-predict/bias/Momentum": np.ones(27, "float32")}
    given |= {"global_step": np.array(7)}
    model = load_model("efficientdet-lite0", weights=saved(given, tmp_path))
    assert_outputs(model, "efficientdet-lite0")


BIAS, STEM = "box_net/box-predict/bias", "efficientnet-lite0/stem/conv2d/kernel"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({BIAS: None}, "lacks box_net/box-predict/bias"),
        ({STEM: None}, "not google/automl's variables"),
        ({BIAS: np.zeros(35, "float32")}, r"bias has the shape \(35,\), not \(36,\)"),
        ({BIAS: np.zeros(36, "complex64")}, "bias is not of floats"),
        ({BIAS: np.array([{}] * 36)}, "bias is no"),
        ({"dense/kernel": np.zeros(1)}, "dense/kernel is no variable of efficientdet-lite0"),
        ({"class_net/class-predict/bias": np.zeros(26)}, r"shape \(26,\)"),
    ],
)
def test_error_names_the_variable_when_it_does_not_fit(change, message, lite0, tmp_path):
    given = {key: value for key, value in (lite0 | change).items() if value is not None}
    with pytest.raises(InvalidCheckpoint, match=message):
        load_model("efficientdet-lite0", weights=saved(given, tmp_path))


def test_damage_and_bombs_are_refused(lite0, tmp_path):
    path = saved(lite0, tmp_path)
    for name in ("efficientdet-d0", "efficientdet-d0-pt", "yolov4"):
        with pytest.raises(InvalidCheckpoint):
            load_model(name, weights=path)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(InvalidCheckpoint, match="damaged"):
        load_model("efficientdet-lite0", weights=path)
    with pytest.raises(InvalidCheckpoint, match="there is no such file"):
        load_model("efficientdet-lite0", weights=tmp_path / "none.npz")
    bomb = lite0 | {BIAS: np.zeros((4000, 4000), "float32")}
    np.savez_compressed(path, **bomb)
    with pytest.raises(InvalidCheckpoint, match=r"\(4000, 4000\), not \(36,\)"):
        load_model("efficientdet-lite0", weights=path)
