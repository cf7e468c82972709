"""`scantling analyze` on the command line."""

import csv
import json
from pathlib import Path

import pytest

from scantling.cli import main
from scantling.specs import SIZES, ModelSpec


@pytest.mark.parametrize("name", ["yolov4-tiny", "efficientdet-lite0"])
def test_analyze_prints_a_row_for_each_part_and_the_findings(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "250")  # else the table goes on below
    assert main(["analyze", name]) == 0
    out = capsys.readouterr().out
    assert f"{SIZES[name].parameters:,} parameters" in out
    assert f"{SIZES[name].macs / 1e9:.2f} GMACs" in out
    for part in ("backbone.stem", "backbone.stages.4", "neck", "total"):
        assert sum(line.strip().startswith(f"{part} ") for line in out.splitlines()) == 1
    assert "element-wise, " in out
    assert "least ms" not in out


def test_analyze_prints_every_layer_of_a_cfg_without_weights(
    assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    cfg = str(assets / "cfg" / "yolov4-tiny.cfg")
    table = tmp_path / "costs" / "layers.csv"
    assert (
        main(["analyze", cfg, "--set", "layers=true", "--fused", "--out", str(table.parent)]) == 0
    )
    out = capsys.readouterr().out
    with table.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert sum(int(row["macs"]) for row in rows) == SIZES["yolov4-tiny"].macs
    for row in rows:
        assert any(line.strip().startswith(f"{row['name']} ") for line in out.splitlines())
    assert "norm" not in {row["kind"] for row in rows}
    assert f"Saved {table.with_name('report.html')}" in out


def test_analyze_gives_json_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["analyze", "yolov4-tiny", "--image-size", "96x128", "--batch-size", "2", "--json"]
    words += ["--precision", "fp16", "--set", "peak_macs=1e12", "--set", "bandwidth=25e9"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["image_size"] == [96, 128]
    assert (facts["batch"], facts["precision"]) == (2, "fp16")
    assert facts["device"]["ridge"] == 40
    assert facts["report"] == str(tmp_path / "out" / "report.html")
    assert Path(facts["report"]).is_file()


def test_analyze_takes_a_profile_of_a_device_and_a_spec_from_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["info", "yolov4-tiny", "--json"]) == 0
    spec = json.loads(capsys.readouterr().out)["spec"]
    (tmp_path / "fit.json").write_text(ModelSpec.model_validate(spec).model_dump_json(), "utf-8")
    peak = {"macs_per_second": 1e12, "bytes_per_second": 25e9, "precision": "fp32"}
    (tmp_path / "box.json").write_text(json.dumps({"peak": peak}), "utf-8")
    words = ["analyze", str(tmp_path / "fit.json"), "--device-profile", str(tmp_path / "box.json")]
    assert main([*words, "--out", str(tmp_path / "costs")]) == 0
    out = capsys.readouterr().out
    assert "device box: 1e+12 MACs/s" in out
    assert "least ms" in out
    assert (tmp_path / "costs" / "roofline.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["yolov4-tinny"], "Did you mean 'yolov4-tiny'?"),
        (["yolov4-tiny", "--image-size", "100"], "Use 96"),
        (["yolov4-tiny", "--set", "peak_macs=1e12"], "both"),
        (["yolov4-tiny", "--set", "peak_macs=0", "--set", "bandwidth=1"], "above 0"),
        (["yolov4-tiny", "--device-profile", "absent.json"], "absent.json"),
        (["yolov4-tiny", "--device-profile", "a.json", "--set", "bandwidth=1"], "no peak_macs"),
        (["yolov4-tiny", "--precision", "fp8"], "int8"),
        (["absent.cfg"], "absent.cfg"),
    ],
)
def test_analyze_says_what_to_write_instead(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["analyze", *words]) == 2
    assert message in capsys.readouterr().err
