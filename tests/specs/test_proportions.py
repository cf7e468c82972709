"""No number of a spec is without a limit, in a file of its own or in a checkpoint."""

import json
import typing
from pathlib import Path

import pytest
from pydantic import BaseModel
from safetensors import safe_open
from safetensors.torch import save_file

from bounded import bounded
from scantling.checkpoints import create_model, load_model, save_model
from scantling.errors import InvalidCheckpoint, InvalidSpec
from scantling.specs import CATALOG, ModelSpec
from scantling.specs.catalog import LARGEST, read_spec

SPEC = CATALOG["efficientdet-d0"]


def numbers_of(kind: object) -> set[str]:
    """Names of all fields, of a kind of spec and of the kinds within it, that can be numbers."""
    found: set[str] = set()
    for name, field in kind.model_fields.items():
        pending = [field.annotation]
        while pending:
            one = pending.pop()
            if isinstance(one, type) and issubclass(one, BaseModel):
                found |= numbers_of(one)
            elif one in (int, float):
                found.add(name)
            pending += typing.get_args(one)
    return found


def test_every_number_that_a_spec_can_hold_has_a_limit():
    assert numbers_of(ModelSpec) == LARGEST.keys()


def changed(*path: str | int, value: object) -> dict[str, object]:
    fields = json.loads(SPEC.model_dump_json())
    place = fields
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return fields


CHANGES = {
    "depth of the head": (("head", "depth"), 4096, "blocks"),
    "depth of the neck": (("neck", "depth"), 4096, "blocks"),
    "depth and levels": (("head", "depth"), 500, "2514 blocks|blocks"),
    "width of a block": (("backbone", "stages", 1, "expand"), 1e300, "expand is 1e\\+300"),
    "groups": (("backbone", "stages", 1, "groups"), 10**15, "groups is 10"),
    "an anchor": (("head", "anchors", 0, 0), [1e300, 1.0], "anchors is 1e\\+300"),
    "a scale": (("input", "mean"), [1e300, 0.0, 0.0], "mean is 1e\\+300"),
    "no number": (("input", "mean"), [float("inf"), 0.0, 0.0], "mean|JSON"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_number_out_of_all_proportion_is_refused_in_a_file(case: str, tmp_path: Path):
    path, value, problem = CHANGES[case]
    (tmp_path / "a.json").write_text(json.dumps(changed(*path, value=value)))
    with bounded(), pytest.raises(InvalidSpec, match=problem):
        read_spec(tmp_path / "a.json")


@pytest.mark.parametrize("case", CHANGES)
def test_it_is_refused_in_a_checkpoint_too(case: str, tmp_path: Path):
    path, value, _ = CHANGES[case]
    file = tmp_path / "a.safetensors"
    save_model(create_model(SPEC.replace(num_classes=1)), file)
    with safe_open(str(file), framework="pt") as opened:
        header = json.loads(opened.metadata()["scantling"])
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    header["spec"] = {**changed(*path, value=value), "num_classes": 1}
    save_file(tensors, str(file), metadata={"scantling": json.dumps(header)})
    with bounded(), pytest.raises(InvalidCheckpoint, match=r"spec|header"):
        load_model(file)
