"""The corpus of corruptions: each fault is found under its own code, at its own place."""

from pathlib import Path

import pytest
from clean_sets import LAYOUTS, clean_content, write_files
from coco_corruptions import corrupt_coco
from shared_corruptions import Corruption, corrupt_shared
from text_corruptions import corrupt_darknet, corrupt_yolo
from voc_corruptions import corrupt_voc

from scantling.datasets.check import check_dataset
from scantling.datasets.findings import CODES

CORPUS: dict[str, dict[str, Corruption]] = {
    "coco": {**corrupt_shared("coco"), **corrupt_coco()},
    "yolo": {**corrupt_shared("yolo"), **corrupt_yolo()},
    "darknet": {**corrupt_shared("darknet"), **corrupt_darknet()},
    "voc": {**corrupt_shared("voc"), **corrupt_voc()},
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_clean_set_has_no_findings(tmp_path: Path, kind: str):
    folder = write_files(LAYOUTS[kind].files(clean_content()), tmp_path)
    result = check_dataset(folder)
    assert [str(finding) for finding in result.findings] == []
    assert result.format == kind
    assert [(one.split, len(one), len(one.objects)) for one in result.datasets] == [
        ("train", 4, 12),
        ("val", 2, 6),
    ]
    assert len(result.infos) == 6


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, table in CORPUS.items() for name in table]
)
def test_a_fault_is_found_under_its_code_at_its_place(tmp_path: Path, kind: str, name: str):
    fault = CORPUS[kind][name]
    folder = write_files(fault.files(), tmp_path)
    result = check_dataset(folder, format=kind, levels=fault.levels)
    told = "\n".join(map(str, result.findings))
    found = [finding for finding in result.findings if finding.code == fault.code]
    assert found, told
    assert {finding.code for finding in result.findings} <= {fault.code, *fault.also}, told
    if fault.at:
        place = folder / fault.at
        found = [one for one in found if place in (one.file, one.image)]
        assert found, told
    if fault.line is not None:
        assert [one for one in found if one.line == fault.line], told


@pytest.mark.parametrize("kind", CORPUS)
def test_the_corpus_has_at_least_forty_faults_of_every_format(kind: str):
    assert len(CORPUS[kind]) >= 40


def test_every_code_is_found_somewhere_in_the_corpus():
    assert {fault.code for table in CORPUS.values() for fault in table.values()} == set(CODES)
