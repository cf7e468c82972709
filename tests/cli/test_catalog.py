"""`scantling list` and `scantling info` of both families."""

import json

import pytest

from scantling import CATALOG
from scantling.cli import main
from scantling.specs import SIZES


def test_list_shows_what_every_model_is_and_costs(capsys: pytest.CaptureFixture[str]):
    assert main(["list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == list(CATALOG)
    for name, size in SIZES.items():
        assert (rows[name]["parameters"], rows[name]["macs"]) == (size.parameters, size.macs)
    assert rows["efficientdet-d7x"]["strides"] == [8, 16, 32, 64, 128, 256]
    assert rows["efficientdet-d0"]["official_weights"]
    assert not rows["yolov4-p7"]["official_weights"]


def test_list_is_a_table_for_people(capsys: pytest.CaptureFixture[str]):
    assert main(["list"]) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    assert title.split() == ["name", "input", "strides", "parameters", "GMACs", "weights"]
    (d3,) = (line for line in lines if line.startswith("efficientdet-d3 "))
    assert " ".join(d3.split()[1:]) == "896x896 8 16 32 64 128 12,032,296 24.57 official"
    assert len({line.rindex(",") for line in lines}) == 1


# Published: shared by the models of google/automl and of effdet, counted from the latter.
PARTS = {
    "efficientdet-d3": (10_103_336, 1_559_474, 247_050, 122_436),
    "efficientdet-d7x": (62_143_440, 13_112_064, 1_094_826, 796_836),
    "efficientdet-lite0": (2_958_848, 196_224, 69_354, 19_044),
}


@pytest.mark.parametrize("name", PARTS)
def test_info_shows_the_parts_of_an_efficientdet(name: str, capsys: pytest.CaptureFixture[str]):
    assert main(["info", name, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    names = ("backbone", "neck", "class net", "box net")
    assert facts["parts"] == dict(zip(names, PARTS[name], strict=True))
    assert sum(facts["parts"].values()) == facts["parameters"] == SIZES[name].parameters
    assert main(["info", name]) == 0
    out = capsys.readouterr().out
    assert all(f"{part:<10} {count:>12,}" in out for part, count in facts["parts"].items())
