"""A family: the best of one recipe for each budget, and a page that shows them side by side."""

import json
import re
from pathlib import Path

import pytest

from made_up_device import write_device
from scantling.errors import InfeasibleBudget, InvalidValue, UnknownName
from scantling.scaling.families import (
    Family,
    choose_family,
    parse_member,
    read_members,
    write_family,
)
from scantling.scaling.families.family import RECIPES
from scantling.specs import find_spec


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_device(tmp_path_factory.mktemp("device") / "box.json")


@pytest.fixture(scope="module")
def family(box: Path) -> Family:
    told = (
        "cloud=macs:80G",
        f"desk=device:{box},latency:400ms",
        f"board=device:{box},latency:60ms",
    )
    return choose_family([parse_member(one) for one in told], num_classes=4)


def test_every_member_is_within_its_budget_and_of_one_recipe(family: Family):
    assert [one.name for one in family.members] == ["cloud", "desk", "board"]
    for one in family.members:
        result = one.scaled.search
        assert result.kind in RECIPES[family.recipe]
        assert one.scaled.spec.num_classes == 4
        for name, limit in result.budget.limits.items():
            assert max(result.costs.values[name], result.costs.bars.get(name, (0, 0))[1]) <= limit
    capacities = [one.scaled.search.costs.accuracy_proxy for one in family.members]
    assert capacities == sorted(capacities, reverse=True)


def test_the_recipe_is_the_one_with_the_most_capacity(family: Family):
    assert set(family.passed_over) == set(RECIPES) - {family.recipe}
    assert all(mean is None or mean <= family.mean_proxy for mean in family.passed_over.values())


def test_the_page_shows_all_members_without_network_or_script(family: Family, tmp_path: Path):
    page = write_family(family, tmp_path / "out", data="my data.yaml")
    text = page.read_text("utf-8")
    assert not re.search(r"<script|https?://(?!arxiv)|src=\"(?!data:)", text)
    for one in family.members:
        assert one.scaled.spec.name in text
        assert f"scantling train {one.name}.json --data &#x27;my data.yaml&#x27;" in text
        assert find_spec(str(tmp_path / "out" / f"{one.name}.json")) == one.scaled.spec
    assert text.count("<img") == 3  # bars, the front over MACs, and that of the device
    record = json.loads((tmp_path / "out" / "family.json").read_text("utf-8"))
    assert [one["name"] for one in record["members"]] == ["cloud", "desk", "board"]


def test_a_folder_that_holds_a_member_already_is_left_alone(family: Family, tmp_path: Path):
    (tmp_path / "desk.json").write_text("mine", "utf-8")
    with pytest.raises(InvalidValue, match="without desk"):
        write_family(family, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["desk.json"]


def test_members_are_read_from_a_file_with_profiles_beside_it(box: Path):
    path = box.with_name("family.yaml")
    path.write_text(
        "cloud:\n  flops: 20G\nboard:\n  device: box.json\n  latency: 50ms\n  min-object: 20px\n",
        "utf-8",
    )
    cloud, board = read_members(path, image=(720, 1280))
    assert (cloud.name, cloud.budget.macs, cloud.device) == ("cloud", 1e10, None)
    assert (board.device, board.budget.latency) == (box, 0.05)
    assert (board.budget.min_object, board.budget.image) == (20, (720, 1280))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("board", "NAME=device"),
        ("board=", "NAME=device"),
        ("board=latency:10ms", "a device beside it"),
        ("board=latency", "NAME=device"),
        ("../x=macs:1G", "name of a member"),
        ("board=macs:fast", "5M or 10G"),
        ("board=min-object:20px", "is 'empty'"),
    ],
)
def test_a_member_that_is_written_wrongly_is_refused(text: str, problem: str):
    with pytest.raises(InvalidValue, match=re.escape(problem)):
        parse_member(text)


def test_an_unknown_setting_names_the_nearest():
    with pytest.raises(UnknownName, match="latency"):
        parse_member("board=latencey:10ms")


@pytest.mark.parametrize("content", ["[]", "board: fast", "{}", "board: {}"])
def test_a_file_that_holds_no_members_is_refused(content: str, tmp_path: Path):
    (tmp_path / "family.yaml").write_text(content, "utf-8")
    with pytest.raises(InvalidValue):
        read_members(tmp_path / "family.yaml")


def test_a_member_that_nothing_fits_is_named():
    told = ("cloud=macs:10G", "toy=params:1k")
    with pytest.raises(InfeasibleBudget, match="toy: parameters at most 1 k"):
        choose_family([parse_member(one) for one in told])


def test_two_members_of_one_name_are_refused():
    with pytest.raises(InvalidValue, match="a name of its own"):
        choose_family([parse_member("a=macs:1G"), parse_member("a=macs:2G")])
