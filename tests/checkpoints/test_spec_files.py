"""A derived spec, as a file, is a model that the verbs take."""

import json
from pathlib import Path

import pytest
import torch

from labelled import write_picture
from scantling import create_model
from scantling.checkpoints import load_model, prepare_model, save_model
from scantling.cli import main
from scantling.errors import InvalidCheckpoint, InvalidSpec, InvalidValue
from scantling.scaling.laws import widen
from scantling.specs import ModelSpec, find_spec, write_spec

NAMES = ("cat", "dog")


@pytest.fixture
def spec() -> ModelSpec:
    return widen(find_spec("yolov4-tiny"), 0.25)


@pytest.fixture
def fit(spec: ModelSpec, tmp_path: Path) -> Path:
    path = tmp_path / "fit.json"
    write_spec(spec, path)
    return path


def test_a_model_is_created_from_a_file(fit: Path, spec: ModelSpec):
    model = create_model(str(fit), names=NAMES)
    assert model.spec == spec.replace(num_classes=2)
    assert model.network(torch.rand(1, 3, 64, 64))[0].shape == (1, 3 * 7, 4, 4)


def test_training_starts_fresh_from_a_file_and_goes_on_from_its_weights(
    fit: Path, tmp_path: Path, logged: list[str]
):
    fresh = prepare_model(fit, NAMES)
    assert logged == [f"{fit}: fresh weights"]
    weights = tmp_path / "trained.safetensors"
    save_model(fresh, weights)
    again = prepare_model(fit, NAMES, weights=weights)
    loaded = load_model(fit, weights=weights)
    for model in (again, loaded):
        assert model.names == NAMES
        assert all(
            torch.equal(one, other)
            for one, other in zip(
                model.network.state_dict().values(),
                fresh.network.state_dict().values(),
                strict=True,
            )
        )


def test_a_file_without_weights_cannot_predict(fit: Path):
    with pytest.raises(InvalidValue, match=r"only says what the model is\. Train it first"):
        load_model(fit)
    with pytest.raises(InvalidValue, match="only says what the model is"):
        prepare_model(fit, NAMES, weights="official")


def test_weights_of_another_model_are_refused(fit: Path, tmp_path: Path):
    other = tmp_path / "other.safetensors"
    save_model(create_model(widen(find_spec("yolov4-tiny"), 0.5)), other)
    with pytest.raises(InvalidCheckpoint, match=r"it holds yolov4-tiny-w0\.5, not"):
        prepare_model(fit, NAMES, weights=other)


def test_a_file_that_describes_no_network_is_refused(spec: ModelSpec, tmp_path: Path):
    path = tmp_path / "fit.json"
    for channels in (2, 7):  # nothing to halve twice; halves that do not add up
        wrong = spec.backbone.stages[1].replace(channels=channels)
        stages = (spec.backbone.stages[0], wrong, *spec.backbone.stages[2:])
        write_spec(spec.replace(backbone=spec.backbone.replace(stages=stages)), path)
        with pytest.raises(InvalidSpec, match="describes no network"):
            prepare_model(path, NAMES)
    huge = spec.backbone.stages[-1].replace(channels=1 << 15, depth=4)
    stages = (*spec.backbone.stages[:-1], huge)
    write_spec(spec.replace(backbone=spec.backbone.replace(stages=stages)), path)
    with pytest.raises(InvalidSpec, match=r"parameters\. Expected"):
        prepare_model(path, NAMES)


def test_info_shows_a_file(fit: Path, spec: ModelSpec, capsys: pytest.CaptureFixture[str]):
    assert main(["info", str(fit), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "yolov4-tiny-w0.25"
    write_picture(image := fit.with_name("x.jpg"))
    assert main(["predict", str(image), "--model", str(fit)]) == 2
    assert "Train it first" in capsys.readouterr().err
