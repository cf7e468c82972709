"""What is found in place of a cfg, weights, names or data file is named, in the same words."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from scantling.darknet import read_cfg, read_weights
from scantling.datasets.darknet_files import read_data, read_names
from scantling.errors import ScantlingError

READERS: dict[str, Callable[[Path], object]] = {
    "cfg": read_cfg,
    "weights": lambda path: read_weights(path, [torch.zeros(2), torch.zeros(2, 2, 2, 1)]),
    "names": read_names,
    "data": read_data,
}
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 245779\n"
FOREIGN = {
    "Git LFS pointer; run `git lfs pull`": POINTER,
    "a web page": b"\n<!DOCTYPE html><html><head><title>Google Drive - Virus scan</title>",
    "a web server": b"404: Not Found",
    "gzip; unpack it": gzip.compress(b"[net]\nwidth=416\n"),
    "a ZIP archive": b"PK\x03\x04" + bytes(60),
    "UTF-16 text; save it as UTF-8": "[net]\r\nwidth=416\r\n".encode("utf-16"),
}


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("told", FOREIGN)
def test_what_is_no_such_file_is_named(tmp_path: Path, suffix: str, told: str):
    path = tmp_path / f"yolov4.{suffix}"
    path.write_bytes(FOREIGN[told])
    with pytest.raises(ScantlingError) as error:
        READERS[suffix](path)
    assert told in str(error.value)
    assert f"yolov4.{suffix}" in str(error.value)


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_names_and_data_may_have_any_line_ends(tmp_path: Path, ends: str):
    names, data = tmp_path / "a.names", tmp_path / "a.data"
    names.write_bytes(f"cat{ends}dog{ends}".encode())
    assert read_names(names) == ("cat", "dog")
    data.write_bytes(f"classes=2{ends}names=a.names{ends}saveweights=500{ends}".encode())
    assert (read_data(data).classes, read_data(data).names) == (2, names)
