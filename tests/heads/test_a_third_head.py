"""A head that the package does not know, with its loss: one entry in HEADS, one in LOSSES.

Everything that is done with a model is done with it.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from scantling.checkpoints import Model, load_model
from scantling.checkpoints.classes import adapt_classes
from scantling.checkpoints.native import save_model
from scantling.cli import main
from scantling.detector import build_detector
from scantling.errors import InvalidSettings, InvalidSpec, InvalidValue, UnknownName
from scantling.heads import HEADS
from scantling.losses import LOSSES, build_loss
from scantling.specs import CATALOG, HeadSpec
from scantling.structures import Targets
from scantling.training.recipe import Recipe
from scantling.training.recipes import recipe_name

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "extend"))
from centre_head import CENTRE, decode_distances
from centre_loss import CENTRE_LOSS

NAMES = ("cat", "dog", "horse")
SIZE = (64, 96)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(HEADS, "centre", CENTRE)
    monkeypatch.setitem(LOSSES, "centre", CENTRE_LOSS)


@pytest.fixture
def spec():
    thin = CATALOG["yolov4-tiny"]
    stages = tuple(stage.replace(channels=stage.channels // 8) for stage in thin.backbone.stages)
    anchors = tuple(((stride, stride),) for stride in thin.strides)
    return thin.replace(
        name="thin-centre",
        image_size=SIZE,
        num_classes=len(NAMES),
        backbone=thin.backbone.replace(stem_channels=8, stages=stages),
        neck=thin.neck.replace(channels=(16, 16)),
        head=HeadSpec(kind="centre", anchors=anchors, box_coding="distances", activation="leaky"),
    )


@pytest.fixture
def model(spec) -> Model:
    torch.manual_seed(0)
    return Model(spec, build_detector(spec).eval(), NAMES)


def images(count=2):
    return torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(0))


def test_it_learns_by_a_recipe_and_gradients_reach_every_weight(model):
    targets = Targets(
        torch.tensor([[16.0, 16, 32, 34], [30, 20, 90, 60]]),
        torch.tensor([0, 2]),
        torch.tensor([0, 1]),
    )
    recipe = Recipe.model_validate({"loss": {"kind": "centre", "box_gain": 1.5}})
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    network = model.network.train()
    loss = build_loss(network.levels, len(NAMES), recipe.loss)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    totals = []
    for _ in range(12):
        terms = loss(network(images()), targets, SIZE)
        optimizer.zero_grad()
        terms.total.backward()
        dead = [n for n, weight in network.named_parameters() if not weight.grad.abs().sum()]
        assert not dead
        optimizer.step()
        totals.append(terms.total.item())
    assert totals[-1] < totals[0] / 1.5


def test_torch_and_numpy_decode_alike(model):
    raw = model.network(images())
    expected = model.network.decode(raw, SIZE)
    found = decode_distances([one.detach().numpy() for one in raw], model.network.levels, SIZE)
    assert expected.boxes.shape == (2, 2 * 3 + 4 * 6, 4)
    np.testing.assert_allclose(found.boxes, expected.boxes.detach().numpy(), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(found.scores, expected.scores.detach().numpy(), rtol=1e-5)


def test_it_is_saved_and_loaded(model, tmp_path):
    save_model(model, tmp_path / "m.safetensors")
    loaded = load_model(tmp_path / "m.safetensors")
    assert loaded.spec == model.spec
    for one, other in zip(model.network(images()), loaded.network(images()), strict=True):
        assert torch.equal(one, other)


def test_shared_classes_keep_their_rows(model):
    adapted, _ = adapt_classes(model, ("dog", "cow", "cat", "pig"))
    before, after = (one.network.decode(one.network(images()), SIZE) for one in (model, adapted))
    assert torch.equal(before.boxes, after.boxes)
    rows = zip(model.network.class_rows(), adapted.network.class_rows(), strict=True)
    for one, other in rows:
        assert torch.equal(one.convolution.weight[[1, 0]], other.convolution.weight[[0, 2]])
    # a convolution of another width may add up in another order
    torch.testing.assert_close(before.scores[..., [1, 0]], after.scores[..., [0, 2]])


@pytest.mark.parametrize("gives", ["candidates", "raw"])
def test_its_exported_file_is_the_same_model(model, tmp_path, gives):
    pytest.importorskip("onnxruntime")
    from scantling.exporting.run import export
    from scantling.specs.metadata import GraphForm
    from scantling.verification.run import verify

    for weights in model.network.head.boxes:  # boxes as an untrained network has none
        torch.nn.init.normal_(weights[-1].weight, std=0.05)
    file = tmp_path / "centre.onnx"
    export(model, "onnx", out=file, form=GraphForm(gives=gives), check=False)
    assert verify(file, against=model, stages=("tensors", "boxes")).passed


def test_info_counts_its_two_networks(model, tmp_path, capsys):
    save_model(model, tmp_path / "centre.safetensors")
    assert main(["info", str(tmp_path / "centre.safetensors"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert list(facts["parts"]) == ["backbone", "neck", "class net", "box net"]
    assert facts["parameters"] == sum(one.numel() for one in model.network.parameters())


def test_it_is_counted(spec):
    from scantling.scaling.costs import count_costs
    from scantling.scaling.latency.prediction import tabulate
    from scantling.scaling.search.architecture_costs import with_classes

    ten = spec.replace(num_classes=10)
    own, wanted = (count_costs(one, fused=True) for one in (spec, ten))
    found = with_classes(own, spec, 10)
    assert (found.parameters, found.weight_bytes) == (wanted.parameters, wanted.weight_bytes)
    assert [one.macs for one in found.layers] == [one.macs for one in wanted.layers]
    assert tabulate(spec) is not None


def test_what_it_cannot_serve_is_refused(spec):
    with pytest.raises(InvalidSpec, match="Use 'distances'"):
        build_detector(spec.replace(head=spec.head.replace(box_coding="offset")))
    with pytest.raises(InvalidValue, match="distances"):
        build_loss(spec.levels, len(NAMES), Recipe().loss)
    assert spec.replace(image_size=(63, 95)).sizes.divisor == 1  # no box is in a cell


def test_an_unknown_head_is_refused_by_name(spec):
    unknown = spec.replace(head=spec.head.replace(kind="center"))
    with pytest.raises(UnknownName, match="Did you mean 'centre'"):
        build_detector(unknown)
    with pytest.raises(InvalidSettings, match="no recipe belongs to the head 'centre'"):
        recipe_name(spec.name, head="centre")
