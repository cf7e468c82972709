"""Networks of timm as backbones of both families."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from scantling import CATALOG, ModelSpec, create_model
from scantling.backbones import load_timm_weights, timm_backbone
from scantling.blocks import fuse_norms
from scantling.checkpoints import load_native, save_model
from scantling.detector import build_detector
from scantling.errors import InvalidSpec, InvalidValue, MissingPackage, UnknownName
from scantling.specs import BackboneSpec

NETWORKS = ("mobilenetv3_large_100", "cspresnext50")
PAIRS = [(network, model) for network in NETWORKS for model in ("efficientdet-d0", "yolov4-csp")]


def paired(network: str, model: str) -> ModelSpec:
    """The neck and head of a model, a quarter as wide, on a network of timm."""
    spec = CATALOG[model]
    head, neck = spec.head, spec.neck
    if head.channels is not None:
        head = head.replace(channels=tuple(width // 4 for width in head.channels))
    return spec.replace(
        backbone=timm_backbone(network),
        neck=neck.replace(channels=tuple(width // 4 for width in neck.channels)),
        head=head,
        num_classes=3,
    )


@pytest.mark.parametrize(("network", "model"), PAIRS)
def test_timm_networks_work_with_the_necks_and_heads_of_both_families(
    network: str, model: str, tmp_path: Path
):
    torch.manual_seed(0)
    created = create_model(paired(network, model))
    detector, spec = created.network, created.spec
    images = torch.rand(2, 3, 64, 96)

    raw = detector(images)
    sum(level.float().square().mean() for level in raw).backward()
    assert all(parameter.grad is not None for parameter in detector.parameters())
    found = detector.decode(raw, (64, 96))
    cells = sum(-(-64 // stride) * -(-96 // stride) for stride in spec.strides)
    assert found.boxes.shape == (2, cells * len(spec.head.anchors[0]), 4)
    assert found.scores.shape[2] == 3

    save_model(created, tmp_path / "model.safetensors")
    loaded = load_native(tmp_path / "model.safetensors")
    assert loaded.spec == spec
    detector.eval()
    with torch.inference_mode():
        expected = detector(images)
        for level, same in zip(loaded.network(images), expected, strict=True):
            assert torch.equal(level, same)
        fuse_norms(detector)
        for level, close in zip(detector(images), expected, strict=True):
            torch.testing.assert_close(level, close, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("network", [*NETWORKS, "mobilenetv4_conv_small"])
def test_features_are_those_of_timm(network: str):
    import timm

    spec = timm_backbone(network)
    assert (spec.name, spec.feature_strides) == (network, (8, 16, 32))
    torch.manual_seed(0)
    backbone = build_detector(paired(network, "efficientdet-d0")).backbone.eval()
    theirs = timm.create_model(network, features_only=True).eval()
    # a part of a network: what was left out belongs to coarser features or to the classifier
    theirs.load_state_dict(backbone.network.state_dict(), strict=False)
    last = {stride: index for index, stride in enumerate(theirs.feature_info.reduction())}
    images = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        ours, all_features = backbone(images), theirs(images)
    assert [tuple(x.shape[1:]) for x in ours] == [
        (channels, 64 // stride, 96 // stride)
        for channels, stride in zip(backbone.channels, (8, 16, 32), strict=True)
    ]
    for x, stride in zip(ours, (8, 16, 32), strict=True):
        torch.testing.assert_close(x, all_features[last[stride]])


def test_a_network_with_channels_last_and_computed_tensors_survives_a_checkpoint(tmp_path: Path):
    created = create_model(
        "efficientdet-d0", backbone=timm_backbone("swin_tiny_patch4_window7_224"), num_classes=2
    )
    save_model(created, tmp_path / "swin.safetensors")
    images = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        expected = created.network.eval()(images)
        found = load_native(tmp_path / "swin.safetensors").network(images)
    for level, same in zip(found, expected, strict=True):
        assert torch.equal(level, same)


def test_the_norms_of_timm_keep_their_own_eps():
    detector = build_detector(paired("mobilenetv3_large_100", "efficientdet-d0"))

    def eps(part: torch.nn.Module) -> set[float]:
        return {norm.eps for norm in part.modules() if isinstance(norm, torch.nn.BatchNorm2d)}

    assert (eps(detector.backbone), eps(detector.neck)) == ({1e-5}, {1e-3})


def test_a_misspelt_network_suggests_the_nearest_and_does_not_list_thousands():
    with pytest.raises(UnknownName, match="Did you mean 'mobilenetv3_large_100'") as error:
        timm_backbone("mobilenetv3_large_10O")
    assert len(str(error.value)) < 600


@pytest.mark.parametrize("name", ["hf-hub:someone/something", "local-dir:/tmp"])
def test_a_name_cannot_lead_to_the_network_or_the_disk(name: str):
    spec = BackboneSpec(kind="timm", name=name, feature_strides=(8, 16, 32))
    with pytest.raises(UnknownName, match="No timm network"):
        build_detector(CATALOG["efficientdet-d0"].replace(backbone=spec))


def test_a_network_without_such_strides_is_refused():
    with pytest.raises(InvalidSpec, match="it has them at 16"):
        timm_backbone("vit_tiny_patch16_224")
    spec = timm_backbone("resnet18").replace(feature_strides=(64, 128, 256))
    with pytest.raises(InvalidSpec, match="it has them at 2, 4, 8, 16, 32"):
        build_detector(CATALOG["efficientdet-d0"].replace(backbone=spec))


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "timm"},
        {"kind": "timm", "name": "resnet18"},
        {"kind": "timm", "name": "resnet18", "feature_strides": (8, 16, 64)},
        {"kind": "timm", "name": "resnet18", "feature_strides": (8, 16)},
        {"kind": "timm", "name": "resnet18", "feature_strides": (8,), "outputs": 10**12},
        {"kind": "timm", "name": "resnet18", "feature_strides": (8, 16, 32), "stem_channels": 8},
        {"kind": "staged"},
        {"kind": "staged", "stem_channels": 8},
        {"kind": "staged", "name": "resnet18", "feature_strides": (8, 16, 32)},
    ],
)
def test_a_backbone_is_either_named_or_made_of_stages(fields: dict[str, object]):
    with pytest.raises(InvalidSpec, match=r"stem"):
        BackboneSpec(**fields)


def test_strides_follow_from_the_spec_without_timm():
    spec = BackboneSpec(kind="timm", name="x", feature_strides=(4, 8), outputs=2)
    model = CATALOG["efficientdet-d0"].replace(backbone=spec)
    assert model.strides == (4, 8, 16, 32, 64)


def test_without_timm_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    spec = paired("resnet18", "efficientdet-d0")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingPackage, match="pip install timm"):
        build_detector(spec)


def test_only_timm_backbones_have_weights_of_their_own():
    detector = build_detector(CATALOG["efficientdet-d0"])
    with pytest.raises(InvalidValue, match="only a backbone of kind timm"):
        load_timm_weights(detector.backbone)
    with pytest.raises(InvalidValue, match="timm has none for efficientnet_b0_g8_gn"):
        create_model(paired("efficientnet_b0_g8_gn", "efficientdet-d0"), pretrained_backbone=True)


PRETRAINED = """
import sys
from pathlib import Path
import torch
from safetensors.torch import save_file
import timm
from scantling import create_model
from scantling.backbones import timm_backbone
from scantling.errors import DownloadFailed

def create():
    return create_model(
        "efficientdet-d0", backbone=timm_backbone("mobilenetv3_small_050"), pretrained_backbone=True
    )

try:
    create()
    sys.exit("weights from nowhere")
except DownloadFailed as error:
    assert "mobilenetv3_small_050" in str(error)

folder = Path(sys.argv[1]) / "hub" / "models--timm--mobilenetv3_small_050.lamb_in1k"
(folder / "refs").mkdir(parents=True)
(folder / "refs" / "main").write_text("0" * 40)
(folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
state = timm.create_model("mobilenetv3_small_050").state_dict()
save_file(state, folder / "snapshots" / ("0" * 40) / "model.safetensors")
found = create().network.backbone.network.state_dict()
assert found and all(torch.equal(tensor, state[name]) for name, tensor in found.items())
"""


def test_pretrained_backbones_get_the_weights_that_timm_has(tmp_path: Path):
    environment = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "TORCH_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", PRETRAINED, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
