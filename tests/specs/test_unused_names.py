"""A class that is called as COCO's unused ids are is a class, unless all ten of them are there."""

from scantling.specs.classes import COCO_ID_NAMES, match_class_names, shown_names


def test_one_name_of_somebody_s_own_is_a_class():
    names = ("unused 12", "dog", "unused 3")
    assert shown_names(names) == list(names)
    matched = match_class_names(names, ("dog", "unused 12"), source="data")
    assert matched.pairs == (("dog", "dog"), ("unused 12", "unused 12"))


def test_the_unused_ids_of_coco_are_none():
    assert len(shown_names(COCO_ID_NAMES)) == 80
