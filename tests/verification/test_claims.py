"""What a file claims beside its usual input is tried: several images at once, and other sizes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from injections import _after_input, _gather, edit_metadata, edit_onnx, export_onnx

from scantling.checkpoints import Model
from scantling.engines.graphs import make_metadata
from scantling.postprocess import Selection
from scantling.specs.metadata import GraphForm
from scantling.structures import Image
from scantling.verification import Verification, verify
from scantling.verification.claims import MIXED, OTHER_SIZES, arrangements, compare_claims
from scantling.verification.comparator import Comparator, make_sample
from scantling.verification.metadata_diff import compare_metadata
from scantling.verification.reference import ModelReference
from scantling.verification.result import Fault, Figure
from scantling.verification.scenes import draw_scenes
from scantling.verification.tensors import nominal_tolerances

SIZE = 128
FOUR = GraphForm(batch=4)
ANY_NUMBER = GraphForm(batch=None)
ANY_SIZE = GraphForm(any_size=True)
ANYTHING = GraphForm(batch=None, any_size=True)
Change = Callable[[Image], Image]


class WrongEngine:
    """The model itself, which is shown other images than it is given."""

    description = "the model"
    precision = "fp32"

    def __init__(self, model: Model, change: Change) -> None:
        self._network, self._change = model.network, change
        self.shapes: list[tuple[int, int, int]] = []

    @torch.inference_mode()
    def run(self, images: Image) -> dict[str, np.ndarray]:
        self.shapes.append(images.shape[:3])
        shown = torch.from_numpy(self._change(images).copy())
        raw = self._network(shown.permute(0, 3, 1, 2).float() / 255)
        found = self._network.decode(raw, images.shape[1:3])
        return {"boxes": found.boxes.numpy(), "scores": found.scores.numpy()}


def compare(
    model: Model, form: GraphForm, change: Change, count: int = 3
) -> tuple[list[Figure], list[Fault], WrongEngine]:
    metadata = make_metadata(model, form=form)
    reference = ModelReference(
        model, image_size=metadata.image_size, source="small", device=torch.device("cpu")
    )
    engine = WrongEngine(model, change)
    comparator = Comparator(reference, engine, metadata, columns=np.arange(len(model.names)))
    spec = reference.metadata.input_spec
    samples = [make_sample(one, spec, metadata.image_size) for one in draw_scenes(count)]
    tolerances = nominal_tolerances("fp32", ["boxes", "scores"])
    return *compare_claims(comparator, samples, tolerances), engine


def darker(images: Image) -> Image:
    return (images * 0.8).astype(np.uint8)


def in_rows(rows: list[int]) -> Change:
    return lambda images: images[rows] if len(images) == len(rows) else images


MIX_UPS: dict[str, tuple[GraphForm, Change]] = {
    "the first for all": (FOUR, in_rows([0, 0, 0, 0])),
    "the last for all": (FOUR, in_rows([3, 3, 3, 3])),
    "reversed": (FOUR, in_rows([3, 2, 1, 0])),
    "two exchanged": (FOUR, in_rows([0, 1, 3, 2])),
    "first and last exchanged": (FOUR, in_rows([3, 1, 2, 0])),
    "one lost": (GraphForm(batch=9), in_rows([0, 1, 2, 3, 4, 5, 6, 7, 7])),
    "a share of the mean": (
        ANY_NUMBER,
        lambda images: np.rint(images * 0.95 + 0.05 * images.mean(0)).astype(np.uint8),
    ),
    "the first for all, of any number": (
        ANY_NUMBER,
        lambda images: images[:1].repeat(len(images), 0),
    ),
    "reversed, of any number": (ANYTHING, lambda images: images[::-1]),
    "four at most": (ANY_NUMBER, lambda images: images[np.minimum(np.arange(len(images)), 3)]),
}


@pytest.mark.parametrize("which", MIX_UPS)
def test_images_of_a_batch_that_are_mixed_up_are_named(small: Model, which: str):
    form, change = MIX_UPS[which]
    figures, faults, _ = compare(small, form, change)
    assert {fault.name for fault in faults} == {MIXED}
    assert "different images at once, number " in faults[0].evidence
    assert not all(figure.holds for figure in figures)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda images: images.shape[1] != SIZE,
        lambda images: images.shape[2] != SIZE,
        lambda images: images.shape[1] > SIZE,
        lambda images: len(images) > 1 and images.shape[1] != SIZE,
    ],
    ids=["another height", "another width", "higher", "two at once of another size"],
)
def test_a_file_that_is_wrong_at_other_sizes_is_named(small: Model, wrong: Callable):
    figures, faults, _ = compare(
        small, ANYTHING, lambda images: darker(images) if wrong(images) else images
    )
    assert {fault.name for fault in faults} == {OTHER_SIZES}
    assert all(fault.evidence.startswith("in images of ") for fault in faults)
    assert not all(figure.holds for figure in figures)


@pytest.mark.parametrize(
    ("form", "shapes"),
    [
        (GraphForm(), []),
        (FOUR, [(4, 128, 128)] * 2),
        (ANY_SIZE, [(1, 64, 128), (1, 136, 64)]),
        (ANYTHING, [(2, 128, 128), *[(5, 128, 128)] * 2, (2, 64, 128), (2, 136, 64)]),
    ],
)
def test_a_right_file_is_shown_what_it_claims_and_no_more(
    small: Model, form: GraphForm, shapes: list[tuple[int, int, int]]
):
    figures, faults, engine = compare(small, form, lambda images: images)
    assert not faults
    assert all(figure.holds for figure in figures)
    alone = [(form.batch or 1, 128, 128)] * 3 if form.batch != 1 else []
    assert sorted(engine.shapes) == sorted([*alone, *shapes])


def test_one_image_is_enough_to_see_a_mixed_batch(small: Model):
    assert not compare(small, FOUR, lambda images: images, count=1)[1]
    assert compare(small, FOUR, in_rows([1, 1, 1, 1]), count=1)[1]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 32])
@pytest.mark.parametrize("images", [2, 3])
def test_any_two_rows_differ_in_one_arrangement(count: int, images: int):
    seen = list(zip(*(rows.tolist() for rows in arrangements(count, images)), strict=True))
    assert len(set(seen)) == len(seen) == (count if count > 1 else 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("min_score", 1.0),
        ("min_score", 0.95),
        ("max_detections", 1),
        ("iou_threshold", 0.0),
        ("iou_threshold", 1.0),
    ],
)
def test_metadata_that_makes_a_right_graph_useless_is_named(small: Model, field: str, value: float):
    right = make_metadata(small)
    wrong = right.model_copy(update={field: value})
    (fault,), _ = compare_metadata(wrong, right)
    assert fault.name == "useless thresholds"
    assert f"its metadata has {field} {value:g} in place of " in fault.evidence
    assert compare_metadata(wrong, wrong) == ([], [])  # the model has it too


def test_a_class_whose_threshold_nothing_reaches_is_named(small: Model):
    right = make_metadata(small)
    wrong = right.model_copy(update={"class_scores": {0: 0.5, 2: 1.0}})
    (fault,), _ = compare_metadata(wrong, right)
    assert fault.name == "useless thresholds"
    assert fault.evidence.startswith("its metadata has class_scores 1 of thing2;")


def test_thresholds_that_somebody_may_want_are_told_and_no_fault(small: Model):
    right = make_metadata(small)
    own = right.model_copy(update={"min_score": 0.4, "max_detections": 20})
    faults, notes = compare_metadata(own, right)
    assert not faults
    assert [note.split(",")[0] for note in notes] == [
        "its metadata has min_score 0.4 in place of 0.25",
        "its metadata has max_detections 20 in place of 300",
    ]


def test_another_nms_or_step_of_sizes_in_metadata_is_named(small: Model):
    right = make_metadata(small, form=ANY_SIZE)
    spec = right.spec.replace(nms=right.spec.nms.replace(kind="diou"))
    (fault,), _ = compare_metadata(right.model_copy(update={"spec": spec}), right)
    assert fault.name == "another NMS"
    (fault,), _ = compare_metadata(right.model_copy(update={"size_divisor": 64}), right)
    assert (fault.name, fault.evidence) == (
        "other image sizes",
        "its metadata has size_divisor 64 in place of 8",
    )


def check(file: Path, model: Model, **settings: object) -> Verification:
    return verify(file, against=model, engine="onnxruntime", **settings)


def test_a_file_is_verified_at_all_that_it_claims(small: Model, tmp_path: Path):
    right = export_onnx(small, tmp_path / "right.onnx", form=ANYTHING)
    found = check(right, small)
    assert found.passed, found.describe_failure()
    assert found.notes == ()
    tried = {figure.name.split(", ")[1] for figure in found.stages[0].figures if figure.limit}
    wanted = {"drawn scenes", "2 images at once", "5 images at once"}
    assert tried == wanted | {"at 64×128 pixels", "at 136×64 pixels"}

    def fix(graph) -> None:
        sides = graph.graph.input[0].type.tensor_type.shape.dim
        for side, value in zip(sides, (4, SIZE, SIZE, 3), strict=True):
            side.dim_value = value
        edit_metadata(lambda record: record["form"].update(batch=4, any_size=False))(graph)

    four = edit_onnx(right, tmp_path / "four.onnx", fix)
    assert check(four, small).passed
    first = edit_onnx(
        four,
        tmp_path / "first.onnx",
        lambda graph: _after_input(
            graph, lambda name, new: _gather(graph, name, new, np.zeros(4), axis=0)
        ),
    )
    found = check(first, small)
    assert [fault.name for fault in found.faults] == [MIXED]
    assert not found.stages[0].passed
    useless = edit_onnx(
        four, tmp_path / "useless.onnx", edit_metadata(lambda record: record.update(min_score=1.0))
    )
    assert [fault.name for fault in check(useless, small).faults] == ["useless thresholds"]
    assert check(useless, small, thresholds=Selection(min_score=1.0)).passed
