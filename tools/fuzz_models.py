"""Readers of models and settings, for fuzz.py; see fuzz_readers.py."""

import io
import json
from collections.abc import Callable
from pathlib import Path

CFG = """[net]
width=64
height=64
channels=3

[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky

[maxpool]
size=2
stride=2

[convolutional]
filters=18
size=1
activation=linear

[route]
layers=-1,-2

[convolutional]
filters=18
size=1
activation=linear

[yolo]
mask=0,1,2
anchors=8,8, 16,16, 32,32
classes=1
num=3
scale_x_y=1.05
nms_kind=greedynms
"""
TOML = """recipe = "scaled-yolov4"
epochs = 3
image_size = [64, 96]
[optimizer]
kind = "sgd"
learning_rate = 0.01
[augment]
kind = "none"
[loader]
workers = 0
store_gigabytes = 0.5
"""


def make_cfg(_: Path) -> list[bytes]:
    """Two small networks."""
    from scantling.darknet.native import native_cfg
    from scantling.specs import CATALOG

    return [CFG.encode(), native_cfg(CATALOG["yolov4-tiny"]).encode()]


def read_cfg_file(path: Path) -> object:
    """What a cfg describes, and the network of it, without memory for its weights."""
    from scantling.checkpoints.model import build_empty
    from scantling.darknet import read_cfg

    return build_empty(read_cfg(path))


def make_weights(folder: Path) -> list[bytes]:
    """The weights of the small cfg, of both versions of the format."""
    from scantling.darknet import build_cfg_network, loaded_tensors, read_cfg, write_weights
    from scantling.darknet.weights import WeightsHeader

    (folder / "a.cfg").write_text(CFG)
    tensors = loaded_tensors(build_cfg_network(read_cfg(folder / "a.cfg")))
    found = []
    for header in (WeightsHeader(), WeightsHeader(0, 1, 0, 7)):
        write_weights(folder / "a.weights", tensors, header)
        found.append((folder / "a.weights").read_bytes())
    return found


def read_weights_file(path: Path) -> object:
    """Weights into the network of the small cfg."""
    from scantling.darknet import build_cfg_network, loaded_tensors, read_cfg, read_weights

    (path.parent / "a.cfg").write_text(CFG)
    network = build_cfg_network(read_cfg(path.parent / "a.cfg"))
    return read_weights(path, loaded_tensors(network))


def make_torch(folder: Path) -> list[bytes]:
    """A state dict and a whole network, in both containers of `torch.save`."""
    import torch

    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    values = (network.state_dict(), {"model": network, "epoch": 3, "names": {0: "a", 1: "b"}})
    found = []
    for value in values:
        for zipped in (True, False):
            torch.save(value, folder / "a.pt", _use_new_zipfile_serialization=zipped)
            found.append((folder / "a.pt").read_bytes())
    return found


def read_torch(path: Path) -> object:
    """The tensors of a checkpoint."""
    from scantling.checkpoints.pickles import read_pickled_model
    from scantling.checkpoints.torch_files import read_tensors

    found = read_pickled_model(path)
    return sum(tensor.numel() for _, tensor in read_tensors(found.file, found.tensors))


def make_pickle(folder: Path) -> list[bytes]:
    """The pickles alone, which a checksum of the container would keep from being read."""
    import zipfile

    found = []
    for data in make_torch(folder):
        if data[:2] == b"PK":
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                found.append(archive.read("a/data.pkl"))
    return found


def read_pickle(path: Path) -> object:
    """A pickle in a container that is whole."""
    import zipfile

    whole = path.with_suffix(".pt")
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("archive/data.pkl", path.read_bytes())
        for key in range(12):
            archive.writestr(f"archive/data/{key}", bytes(4_096))
    return read_torch(whole)


def make_native(folder: Path) -> list[bytes]:
    """A checkpoint of the small cfg, and one of a spec."""
    from scantling.checkpoints import Model, save_model
    from scantling.darknet import build_cfg_network, read_cfg

    (folder / "a.cfg").write_text(CFG)
    spec = read_cfg(folder / "a.cfg")
    save_model(Model(spec, build_cfg_network(spec).eval(), ("a",)), folder / "a.safetensors")
    return [(folder / "a.safetensors").read_bytes()]


def read_native(path: Path) -> object:
    """A checkpoint of ours."""
    from scantling.checkpoints import load_model

    return load_model(path)


def make_npz(_: Path) -> list[bytes]:
    """A few variables as google/automl calls them."""
    import numpy as np

    stored, packed = io.BytesIO(), io.BytesIO()
    arrays = {
        "efficientnet-b0/stem/conv2d/kernel": np.zeros((3, 3, 3, 32), np.float32),
        "class_net/class-predict/bias": np.zeros(9 * 4, np.float32),
        "global_step": np.int64(3),
    }
    np.savez(stored, **arrays)
    np.savez_compressed(packed, **arrays)
    return [stored.getvalue(), packed.getvalue()]


def read_npz(path: Path) -> object:
    """Variables of google/automl."""
    from scantling.checkpoints import load_model

    return load_model("efficientdet-d0", weights=path)


def make_spec(_: Path) -> list[bytes]:
    """Specs of both families."""
    from scantling.specs import CATALOG

    return [CATALOG[name].model_dump_json().encode() for name in ("yolov4-tiny", "efficientdet-d0")]


def read_spec_file(path: Path) -> object:
    """A spec, and the network of it without memory for its weights."""
    from scantling.checkpoints.model import build_empty
    from scantling.specs import find_spec

    return build_empty(find_spec(str(path)))


def read_recipe(path: Path) -> object:
    """A file of settings, checked as for a training run."""
    from scantling.training.resolve import read_layers, resolve_recipe

    return resolve_recipe(read_layers(path, {}))


def make_profile(_: Path) -> list[bytes]:
    """A profile of a device, with made-up measurements."""
    from scantling.scaling.device_profile import DeviceProfile

    schema = DeviceProfile.model_json_schema()
    return [json.dumps(_example(schema, schema)).encode()]


def read_profile_file(path: Path) -> object:
    """A profile of a device."""
    from scantling.scaling.device_profile import read_profile

    return read_profile(path)


def _example(schema: object, whole: dict[str, object]) -> object:
    """Some value that a JSON schema allows."""
    if not isinstance(schema, dict):
        return None
    if "$ref" in schema:
        return _example(whole["$defs"][schema["$ref"].rpartition("/")[2]], whole)  # type: ignore[index]
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return _example(schema["anyOf"][0], whole)
    if "pattern" in schema:  # of a day
        return "2026-01-01"
    kind = schema.get("type")
    if kind == "object":
        return {name: _example(one, whole) for name, one in schema.get("properties", {}).items()}
    if kind == "array":
        items = schema.get("prefixItems") or [schema.get("items", {})] * schema.get("minItems", 1)
        return [_example(one, whole) for one in items]
    return {"integer": 1, "number": 0.5, "boolean": True, "string": "x"}.get(str(kind))


Row = tuple[str, Callable[[Path], list[bytes]], Callable[[Path], object]]
MODELS: dict[str, Row] = {
    "automl": (".npz", make_npz, read_npz),
    "cfg": (".cfg", make_cfg, read_cfg_file),
    "pickle": (".pkl", make_pickle, read_pickle),
    "profile": (".json", make_profile, read_profile_file),
    "recipe": (".toml", lambda _: [TOML.encode()], read_recipe),
    "safetensors": (".safetensors", make_native, read_native),
    "spec": (".json", make_spec, read_spec_file),
    "torch": (".pt", make_torch, read_torch),
    "weights": (".weights", make_weights, read_weights_file),
}
