"""`scantling scale` and `scantling family` on the command line."""

import json
from pathlib import Path

import pytest

from made_up_device import write_device
from scantling.cli import main
from scantling.specs import find_spec


def test_scale_prints_the_choice_its_neighbours_and_the_front(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out, figure = tmp_path / "fit.json", tmp_path / "front.png"
    words = ["--like", "yolov4", "--params", "5M", "--set", "flops=10G", "--num-classes", "3"]
    assert main(["scale", *words, "--out", str(out), "--set", f"figure={figure}"]) == 0
    text = capsys.readouterr().out
    spec = find_spec(str(out))
    assert text.startswith(f"{spec.name}: ")
    assert "the limit of MACs binds" in text
    assert "refused by" in text
    assert "Pareto front" in text
    assert f"Saved {out}" in text
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert main(["scale", *words, "--out", str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_scale_prints_json_and_nothing_else(capsys: pytest.CaptureFixture[str]):
    words = ["--macs", "5G", "--min-object", "20px"]
    words += ["--set", "camera_size=720x1280", "--set", "kind=csp,tiny"]
    assert main(["scale", *words, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["kind"] in ("csp", "tiny")
    assert record["camera_image"] == [720, 1280]
    assert record["object"] <= 20
    assert record["MACs"] <= 5e9
    assert record["binding"] in ("MACs", "object")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--latency", "12ms"], "--device-profile"),
        (["--params", "1k"], "the smallest that is reachable"),
        (["--params", "few"], "5M or 10G"),
        (["--macs", "1G", "--set", "flops=2G"], "not both"),
        ([], "expected one of --latency"),
        (["--min-object", "20px"], "expected one of --latency"),
        (["--macs", "1G", "--set", "verify=true"], "--device-profile"),
        (["--macs", "1G", "--set", "kind=cps"], "Did you mean 'csp'"),
        (["--macs", "1G", "--like", "efficientdet", "--set", "kind=csp"], "efficientdet"),
        (["--macs", "1G", "--out", "fit.yaml"], ".json"),
        (["--macs", "1G", "--data", "nowhere"], "nowhere"),
        (["--macs", "1G", "--device-profile", "nowhere.json"], "nowhere.json"),
        (["yolov4-tiny"], "--drop-level"),
        (["--drop-level"], "MODEL"),
    ],
)
def test_what_cannot_be_searched_exits_2_and_says_why(
    words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["scale", *words]) == 2
    captured = capsys.readouterr()
    assert problem in captured.err
    assert not captured.out


def test_verify_exits_3_when_the_model_is_slower_than_the_budget(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    box = write_device(tmp_path / "box.json", factor=1e-6)  # no machine is as fast
    words = [
        "--device-profile",
        str(box),
        "--latency",
        "1us",
        "--set",
        "kind=tiny",
        "--macs",
        "50M",
    ]
    assert main(["scale", *words, "--set", "verify=true"]) == 3
    captured = capsys.readouterr()
    assert "and is missed" in captured.out
    assert "made up" in captured.err


def test_family_writes_a_page_and_prints_the_members(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    told = ["--budget", "cloud=macs:20G", "--budget", "board=params:3M,macs:1G"]
    out = tmp_path / "family"
    assert main(["family", *told, "--like", "yolov4", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "cloud" in text
    assert f"Saved {out / 'family.html'}" in text
    assert sorted(path.name for path in out.iterdir()) == [
        *("board.json", "cloud.json", "family.html", "family.json")
    ]
    assert main(["family", *told, "--out", str(out)]) == 2


def test_family_without_a_budget_exits_2(capsys: pytest.CaptureFixture[str]):
    assert main(["family"]) == 2
    assert "board=device:box.json" in capsys.readouterr().err


def test_a_latency_that_cannot_be_had_says_how_sure_that_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    said = []
    for error in (0.1, 0.42):
        box = write_device(tmp_path / "box.json", factor=1e3, error=error)
        words = ["--device-profile", str(box), "--latency", "15ms", "--set", "kind=tiny"]
        assert main(["scale", *words]) == 2
        said.append(capsys.readouterr().err)
    good, bad = said
    assert "predicted by the profile 'box', which is off by 10% in the median" in good
    assert "WARNING" not in good
    assert bad.index("WARNING") < bad.index("cannot be had")
    assert "That is too much to say what can be had: measure the device again" in bad


def test_the_printed_front_ends_near_the_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    box = write_device(tmp_path / "box.json")
    words = ["scale", "--device-profile", str(box), "--latency", "20ms", "--set", "kind=tiny,csp"]
    assert main(words) == 0
    front = capsys.readouterr().out.split("Pareto front up to 4 times the limit")[1]
    times = [row.split()[1:3] for row in front.splitlines()[3:] if " ms" in row or " s " in row]
    assert times
    assert all(unit == "ms" and float(number) <= 80 for number, unit in times)
