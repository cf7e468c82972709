"""A device profile survives the way through a file; what is none, or another's, is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from scantling.errors import CannotWrite, InvalidData, InvalidProfile
from scantling.scaling.costs import read_roofline
from scantling.scaling.device_profile import (
    MAX_BYTES,
    ChainSample,
    DeviceProfile,
    Peak,
    Residuals,
    check_profile,
    describe_profile,
    read_profile,
    write_profile,
)

ROW = (1, 4, 1, 64, 64, 52, 52, 52, 52, 3, 1, 1, 1)


def make_profile(**changes: Any) -> DeviceProfile:
    given: dict[str, Any] = {
        "machine": {"processor": "A processor", "cores": 2},
        "engine": "openvino",
        "engine_version": "2026.4.1",
        "device": "cpu",
        "precision": "fp32",
        "threads": 2,
        "peak": Peak(macs_per_second=1e11, bytes_per_second=2e10, precision="fp32"),
        "samples": (ChainSample(primitive="conv", operations=(ROW,), seconds=0.01, spread=0.02),),
        "whole": Residuals(low=-0.1, median=0.0, high=0.1, error=0.05),
        "created": "2026-11-22",
        "minutes": 2.0,
    }
    return DeviceProfile(**{**given, **changes})


def test_a_profile_is_the_same_after_writing_and_reading(tmp_path: Path):
    profile = make_profile()
    write_profile(profile, tmp_path / "box.json")
    assert read_profile(tmp_path / "box.json") == profile
    assert [path.name for path in tmp_path.iterdir()] == ["box.json"]


def test_the_peak_of_a_profile_is_the_roof_of_analyze(tmp_path: Path):
    write_profile(make_profile(), tmp_path / "box.json")
    roofline = read_roofline(tmp_path / "box.json", precision="fp32")
    assert (roofline.macs_per_second, roofline.bytes_per_second) == (1e11, 2e10)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "model"},
        {"engine": "abacus"},
        {"threads": 0},
        {"threads": 10**9},
        {"samples": []},
        {"minutes": "NaN"},
        {"created": "yesterday"},
        {"surplus": 1},
        {"engine_version": "9" * 1000},
        {"samples": [{"primitive": "", "operations": [[1] * 12], "seconds": 1, "spread": 0}]},
        {"samples": [{"primitive": "", "operations": [[1] * 14], "seconds": 1, "spread": 0}]},
        {"samples": [{"primitive": "", "operations": [[99] * 13], "seconds": 1, "spread": 0}]},
        {"samples": [{"primitive": "", "operations": [[0] * 13], "seconds": 1, "spread": 0}]},
        {"samples": [{"primitive": "", "operations": [[-1] * 13], "seconds": 1, "spread": 0}]},
        {"samples": [{"primitive": "", "operations": [list(ROW)], "seconds": 0, "spread": 0}]},
        {"samples": [{"primitive": "", "operations": [list(ROW)], "seconds": 1e99, "spread": 0}]},
    ],
)
def test_a_file_that_is_no_profile_is_refused(tmp_path: Path, change: dict[str, Any]):
    path = tmp_path / "box.json"
    path.write_text(json.dumps({**json.loads(make_profile().model_dump_json()), **change}))
    with pytest.raises(InvalidProfile, match=r"no device profile"):
        read_profile(path)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\x00", "null", '{"peak": NaN}'])
def test_damaged_text_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "box.json"
    path.write_text(text)
    with pytest.raises(InvalidProfile):
        read_profile(path)


def test_a_file_beyond_all_measure_is_not_read(tmp_path: Path):
    path = tmp_path / "box.json"
    with path.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    with pytest.raises(InvalidData, match="bytes"):
        read_profile(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path):
    with pytest.raises(InvalidData, match=r"box\.json"):
        read_profile(tmp_path / "box.json")


@pytest.mark.parametrize(
    "wanted", [{"engine": "torch"}, {"precision": "bf16"}, {"threads": 4}], ids=str
)
def test_a_profile_is_refused_when_it_is_of_another_setting(wanted: dict[str, Any]):
    with pytest.raises(InvalidProfile, match=str(next(iter(wanted.values())))):
        check_profile(make_profile(), **wanted)


def test_a_profile_is_flagged_when_version_or_processor_differ():
    profile = make_profile()
    same = {"engine": "openvino", "precision": "fp32", "threads": 2}
    assert check_profile(profile, **same, engine_version="2026.4.1") == []
    assert check_profile(profile, **same, processor="A processor") == []
    (version,) = check_profile(profile, **same, engine_version="2027.0")
    (processor,) = check_profile(profile, **same, processor="Another")
    assert "2027.0" in version
    assert "Another" in processor


def test_a_profile_is_described_without_its_samples():
    facts = describe_profile(make_profile())
    assert facts["samples"] == 1
    assert json.loads(json.dumps(facts))["machine"] == {"processor": "A processor", "cores": 2}


def test_writing_says_why_it_failed(tmp_path: Path):
    with pytest.raises(CannotWrite, match="cannot be written"):
        write_profile(make_profile(), tmp_path / "none" / "box.json")


def test_a_profile_that_is_far_off_says_so_wherever_it_is_read():
    profile = make_profile()
    assert profile.doubt == ""
    off = profile.replace(whole=profile.whole.replace(error=0.42))
    (warning,) = check_profile(off)
    assert "off by 42% in the median" in warning
    assert "device measure" in warning
    assert describe_profile(off)["doubt"] == warning
