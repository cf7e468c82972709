"""A spec in a file: written, read, and hostile ones refused."""

import json
from pathlib import Path

import pytest

from scantling.errors import CannotWrite, InvalidSpec, InvalidValue
from scantling.specs import CATALOG, find_spec, read_spec, write_spec

TINY = CATALOG["yolov4-tiny"]


@pytest.mark.parametrize("name", ["yolov4-p7", "efficientdet-d0", "yolov4-csresnext50"])
def test_a_spec_comes_back_from_its_file(name: str, tmp_path: Path):
    path = tmp_path / "fit.json"
    write_spec(CATALOG[name], path, notes={"reasons": ["it fits"], "latency": 0.012})
    assert read_spec(path) == CATALOG[name]
    assert find_spec(str(path)) == CATALOG[name]
    assert json.loads(path.read_text("utf-8"))["reasons"] == ["it fits"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["fit.json"]


def test_the_fields_may_stand_at_the_top(tmp_path: Path):
    path = tmp_path / "bare.json"
    path.write_text(TINY.model_dump_json(), "utf-8")
    assert read_spec(path) == TINY


def changed(**parts: object) -> str:
    return json.dumps({"spec": {**TINY.model_dump(mode="json"), **parts}})


def stage(**fields: object) -> dict[str, object]:
    return {"kind": "conv", "channels": 64, "depth": 1, **fields}


def backbone(*stages: dict[str, object], **fields: object) -> dict[str, object]:
    return {"kind": "staged", "stem_channels": 32, "outputs": 2, "stages": stages, **fields}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it is not JSON"),
        ("[1, 2", "it is not JSON"),
        ("[" * 200_000, "it is not JSON"),
        ('{"a":' * 100_000, "it is not JSON"),
        ('{"name": NaN}', "NaN is no number"),
        ("9" * 100_000, "it is not JSON"),
        ("[1, 2]", "it holds no spec"),
        ('{"spec": 3}', "it holds no spec"),
        ("{}", "name: Field required"),
        (" " * 1_100_000, "larger than 1,000,000 bytes"),
        ('{"name": "\\u001b[2J"}', "Field required"),
        (changed(colour="red"), "colour: Extra inputs"),
        (changed(image_size=[416, 400]), "400 is not a multiple"),
        (
            changed(image_size=[32 << 20, 32]),
            "image_size.0: Input should be less than or equal to 16384",
        ),
        (changed(num_classes=10**9), "num_classes is 1000000000"),
        (changed(backbone=backbone(*[stage(depth=10**12)] * 5)), "depth is 1000000000000"),
        (changed(backbone=backbone(*[stage(channels=10**9)] * 5)), "channels is 1000000000"),
        (changed(backbone=backbone(*[stage(depth=1000)] * 5)), "5004 blocks"),
        (changed(backbone=backbone(*[stage(stride=1)] * 70)), "outputs, but the stages have"),
        (changed(backbone=backbone(stage(), stage(), *[stage(stride=1)] * 70)), "72 stages"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_hostile_file_is_refused(text: str, problem: str, tmp_path: Path):
    path = tmp_path / "fit.json"
    path.write_text(text, "utf-8")
    with pytest.raises(InvalidSpec, match=problem) as refusal:
        read_spec(path)
    assert str(refusal.value).isprintable()
    assert "fit.json" in str(refusal.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(InvalidSpec, match=r"none\.json.*there is no such file"):
        find_spec(str(tmp_path / "none.json"))


def test_a_spec_is_not_written_where_it_would_not_be_found(tmp_path: Path):
    with pytest.raises(InvalidValue, match=r"a \.json file"):
        write_spec(TINY, tmp_path / "fit.yaml")
    with pytest.raises(InvalidValue, match="other keys"):
        write_spec(TINY, tmp_path / "fit.json", notes={"spec": 1})
    with pytest.raises(CannotWrite, match="cannot be written"):
        write_spec(TINY, tmp_path / "nowhere" / "fit.json")
