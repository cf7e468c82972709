"""Candidate and reference side by side: their outputs for the same image, in the same form."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..boxes import clip
from ..engines import Engine
from ..images.letterbox import find_placement, resize_and_pad
from ..postprocess import Selection, select
from ..specs.metadata import Metadata
from ..specs.schema import InputSpec
from ..structures import Candidates, FloatArray, Image, IntArray, Placement
from .distance import AnyOutput, DetectionArrays, Output, choose_rows
from .reference import InputChange, Reference, run_batch, run_file


@dataclass(frozen=True, eq=False)
class SampleImage:
    """One test input.

    Args:
        image: (H, W, 3) as it is.
        canvas: the same, resized to the network's input as the reference does it.
        placement: takes boxes on the canvas back to the image.
    """

    image: Image
    canvas: Image
    placement: Placement


def make_sample(image: Image, spec: InputSpec, image_size: tuple[int, int]) -> SampleImage:
    """An image as a test input of the reference."""
    canvas, placement = resize_and_pad(
        image, image_size, resize_mode=spec.resize_mode, pad_value=spec.pad_value
    )
    return SampleImage(image, canvas, placement)


class Comparator:
    """Runs candidate and reference on samples, and caches their outputs.

    Args:
        reference: what is right.
        engine: runs the candidate.
        metadata: of the candidate.
        columns: (K,) the column of the candidate's scores that holds each class of the reference.
    """

    def __init__(
        self, reference: Reference, engine: Engine, metadata: Metadata, *, columns: IntArray
    ) -> None:
        self.reference = reference
        self.engine = engine
        self.metadata = metadata
        self.columns = columns
        self._reference_outputs: dict[SampleImage, Output] = {}
        self._candidate_outputs: dict[SampleImage, AnyOutput] = {}

    @property
    def form(self) -> str:
        """What the candidate gives: `raw`, `candidates` or `detections`."""
        return self.metadata.form.gives

    @cached_property
    def whole_images(self) -> bool:
        """Whether the candidate resizes images by itself."""
        return self.metadata.form.takes == "image"

    @cached_property
    def rounded_reference(self) -> Reference | None:
        """The reference in the candidate's precision; None where it cannot be rounded."""
        return self.reference.rounded(self.metadata.precision)

    def reference_output(self, sample: SampleImage) -> Output:
        """Everything that the reference gives, boxes in pixels of the canvas."""
        if sample not in self._reference_outputs:
            output = self.reference.run(sample.canvas)
            if output is None:
                raise RuntimeError("a reference always answers an unchanged canvas")
            self._reference_outputs[sample] = output
        return self._reference_outputs[sample]

    def candidate_output(self, sample: SampleImage) -> AnyOutput:
        """What the candidate gives, its classes in the order of the reference."""
        if sample not in self._candidate_outputs:
            self._candidate_outputs[sample] = self._run_candidate(sample)
        return self._candidate_outputs[sample]

    def run_batch(self, samples: Sequence[SampleImage]) -> list[AnyOutput]:
        """What the candidate gives for samples of one size that it is shown at once."""
        images = np.stack([self._input_of(sample) for sample in samples])
        outputs = run_batch(self.engine, self.metadata, images)
        return [self._in_order(*pair) for pair in zip(outputs, samples, strict=True)]

    def expected(self, sample: SampleImage) -> AnyOutput:
        """What the candidate has to give: the reference's output in the candidate's form."""
        return self.as_candidate(self.reference_output(sample), sample)

    def with_input_change(self, sample: SampleImage, change: InputChange) -> Output | None:
        """The reference's output for a changed input, in pixels of the canvas."""
        return self.reference.run(sample.canvas, change=change)

    def with_input_spec(
        self, sample: SampleImage, spec: InputSpec
    ) -> tuple[Output, Placement] | None:
        """The reference's output for the image resized and padded otherwise."""
        size = self.metadata.image_size
        canvas, _ = resize_and_pad(
            sample.image, size, resize_mode=spec.resize_mode, pad_value=spec.pad_value
        )
        output = self.reference.run(canvas)
        if output is None:
            return None
        height, width = sample.image.shape[:2]
        return output, find_placement((height, width), size, resize_mode=spec.resize_mode)

    def as_candidate(
        self,
        output: Output,
        sample: SampleImage,
        *,
        placement: Placement | None = None,
        selection: Selection | None = None,
    ) -> AnyOutput:
        """The output in the candidate's form: as it would be if its network gave this.

        Args:
            output: in pixels of the canvas.
            sample: of this sample.
            placement: of the canvas, where it is not the sample's own.
            selection: NMS of a graph that gives detections; its metadata's if None.
        """
        boxes = output.boxes
        if self.whole_images and self.form != "raw":
            boxes = (placement or sample.placement).undo(boxes, clip=False)
        if self.form == "detections":
            with np.errstate(over="ignore", invalid="ignore"):
                (found,) = select(
                    Candidates(boxes[None], output.scores[None]),
                    settings=selection or self.selection(),
                )
            return DetectionArrays(self._clip(found.boxes, sample), found.scores, found.labels)
        rows = choose_rows(self.reference_output(sample).scores)
        raw = output.raw if self.form == "raw" else ()
        return Output(boxes[rows], output.scores[rows], raw)

    def selection(self) -> Selection:
        """NMS inside a graph that gives detections, as its metadata has it.

        Labels are those of the reference.
        """
        metadata = self.metadata
        label_of = {column: label for label, column in enumerate(self.columns.tolist())}
        return Selection(
            min_score=metadata.min_score,
            iou_threshold=metadata.iou_threshold,
            max_detections=metadata.max_detections,
            classes=metadata.classes and tuple(label_of[one] for one in metadata.classes),
            class_scores={label_of[one]: own for one, own in metadata.class_scores.items()},
        )

    def _run_candidate(self, sample: SampleImage) -> AnyOutput:
        return self._in_order(run_file(self.engine, self.metadata, self._input_of(sample)), sample)

    def _input_of(self, sample: SampleImage) -> Image:
        return sample.image if self.whole_images else sample.canvas

    def _in_order(self, output: Output, sample: SampleImage) -> AnyOutput:
        """An output of the candidate, its classes in the order of the reference."""
        if self.form == "detections":
            return self._as_detections(output, sample)
        known = output.scores.shape[1] > self.columns.max(initial=-1)
        scores = output.scores[:, self.columns] if known else output.scores
        reference = self.reference_output(sample)
        if len(output.boxes) != len(reference.boxes):
            return Output(output.boxes, scores, output.raw)
        rows = choose_rows(reference.scores)
        return Output(output.boxes[rows], scores[rows], output.raw)

    def _as_detections(self, output: Output, sample: SampleImage) -> DetectionArrays:
        """Rows that hold a detection, their labels in the reference's order."""
        labels = output.scores.argmax(axis=1)
        scores = output.scores.max(axis=1)
        kept = scores > 0
        back = np.full(max(output.scores.shape[1], len(self.columns)), -1, np.int64)
        back[self.columns] = np.arange(len(self.columns))
        boxes = self._clip(output.boxes[kept], sample)
        return DetectionArrays(boxes, scores[kept], back[labels[kept]])

    def _clip(self, boxes: FloatArray, sample: SampleImage) -> FloatArray:
        """Boxes clipped to the image: whether the graph does so or not is no difference."""
        image = self._input_of(sample)
        return clip(np.nan_to_num(boxes), (image.shape[0], image.shape[1]))
