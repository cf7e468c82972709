"""What is found in place of a model, data or settings is named, in the same words."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from scantling.checkpoints.native import load_native
from scantling.checkpoints.torch_files import read_torch_file
from scantling.datasets.findings import Problems
from scantling.datasets.readers.label_text import Grammar, read_labels
from scantling.datasets.safe_json import read_json
from scantling.datasets.safe_text import read_text, read_xml, read_yaml
from scantling.engines import read_metadata
from scantling.errors import ScantlingError
from scantling.specs import find_spec
from scantling.training.resolve import read_run_file

READERS: dict[str, Callable[[Path], object]] = {
    "safetensors": load_native,
    "pt": read_torch_file,
    "onnx": read_metadata,
    "xml": read_metadata,
    "engine": read_metadata,
    "annotation.xml": read_xml,
    "yaml": read_yaml,
    "data.json": read_json,
    "list.txt": lambda path: read_text(path, max_bytes=1 << 20),
    "spec.json": lambda path: find_spec(str(path)),
    "toml": read_run_file,
}
FOREIGN = {
    "Git LFS pointer; run `git lfs pull`": b"version https://git-lfs.github.com/spec/v1\noid s\n",
    "a web page; download the file itself": b"<!DOCTYPE html><html><title>Virus scan</title>",
    "a web server that has no such file": b"404: Not Found",
    "gzip; unpack it": gzip.compress(b"anything"),
    "UTF-16 text; save it as UTF-8": "names: [cat]\r\n".encode("utf-16"),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("told", FOREIGN)
def test_what_is_no_such_file_is_named(tmp_path: Path, name: str, told: str):
    path = tmp_path / (name if "." in name else f"model.{name}")
    path.write_bytes(FOREIGN[told])
    path.with_suffix(".bin").write_bytes(b"")
    with pytest.raises(ScantlingError) as error:
        READERS[name](path)
    assert told in str(error.value)
    assert path.name in str(error.value)


@pytest.mark.parametrize("told", FOREIGN)
def test_in_place_of_labels_too(tmp_path: Path, told: str):
    path, problems = tmp_path / "a.txt", Problems()
    path.write_bytes(FOREIGN[told])
    read_labels(path, Grammar(polygons=True, track=False), problems=problems, image=path)
    (finding,) = problems.result()
    assert told in finding.message


def test_classes_that_are_numbered_as_answers_of_servers_are_labels(tmp_path: Path):
    path, problems = tmp_path / "a.txt", Problems()
    path.write_text("404 0.5 0.5 0.1 0.1\n500 0.5 0.5 0.1 0.1\n")
    rows, _ = read_labels(path, Grammar(polygons=True, track=False), problems=problems, image=path)
    assert rows[:, 0].tolist() == [404, 500]
    assert not problems.result()
