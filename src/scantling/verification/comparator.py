"""The file and its model side by side: the same image, what each says, in the same terms."""

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
from .distance import Answer, Energies, Found, choose_rows, energies, found_energy, mean_energies
from .inputs import InputChange
from .reference import Reference, Told, run_file

Said = Answer | Found


@dataclass(frozen=True, eq=False)
class Probe:
    """What both are shown.

    Args:
        image: (H, W, 3) as it is.
        canvas: the same, fitted as the model has it.
        placement: takes boxes on the canvas back to the image.
    """

    image: Image
    canvas: Image
    placement: Placement


def make_probe(image: Image, spec: InputSpec, image_size: tuple[int, int]) -> Probe:
    """An image, and how the model sees it."""
    canvas, placement = resize_and_pad(
        image, image_size, resize_mode=spec.resize_mode, pad_value=spec.pad_value
    )
    return Probe(image, canvas, placement)


class Bench:
    """Asks both sides about probes, and remembers what they said.

    Args:
        reference: tells the truth.
        engine: runs the file.
        metadata: of the file.
        columns: (K,) which column of the file's scores is which of the model's classes.
    """

    def __init__(
        self, reference: Reference, engine: Engine, metadata: Metadata, *, columns: IntArray
    ) -> None:
        self.reference = reference
        self.engine = engine
        self.metadata = metadata
        self.columns = columns
        self._told: dict[Probe, Told] = {}
        self._said: dict[Probe, Said] = {}

    @property
    def form(self) -> str:
        """What the file gives: `raw`, `candidates` or `detections`."""
        return self.metadata.form.gives

    @cached_property
    def whole_images(self) -> bool:
        """The file takes images as they are."""
        return self.metadata.form.takes == "image"

    @cached_property
    def coarse(self) -> Reference | None:
        """The model, computed as badly as the file may be."""
        return self.reference.rounded(self.metadata.precision)

    def told(self, probe: Probe) -> Told:
        """What the model says, in pixels of the canvas."""
        if probe not in self._told:
            told = self.reference.tell(probe.canvas)
            if told is None:
                raise RuntimeError("a reference always answers an unchanged canvas")
            self._told[probe] = told
        return self._told[probe]

    def said(self, probe: Probe) -> Said:
        """What the file says."""
        if probe not in self._said:
            self._said[probe] = self._ask(probe)
        return self._said[probe]

    def changed(self, probe: Probe, change: InputChange) -> Told | None:
        """What the model says of a changed input, in pixels of the canvas."""
        return self.reference.tell(probe.canvas, change=change)

    def refitted(self, probe: Probe, spec: InputSpec) -> tuple[Told, Placement] | None:
        """What the model says of the image, fitted otherwise."""
        size = self.metadata.image_size
        canvas, _ = resize_and_pad(
            probe.image, size, resize_mode=spec.resize_mode, pad_value=spec.pad_value
        )
        told = self.reference.tell(canvas)
        height, width = probe.image.shape[:2]
        return (
            None
            if told is None
            else (told, find_placement((height, width), size, resize_mode=spec.resize_mode))
        )

    def expect(
        self,
        told: Told,
        probe: Probe,
        *,
        placement: Placement | None = None,
        selection: Selection | None = None,
    ) -> Said:
        """What the file would say if this is what its network says.

        Args:
            told: in pixels of the canvas.
            probe: of which it is said.
            placement: of the canvas, where it is not the probe's own.
            selection: of a graph that gives detections; its metadata's if None.
        """
        boxes = told.boxes
        if self.whole_images and self.form != "raw":
            boxes = (placement or probe.placement).undo(boxes, clip=False)
        if self.form == "detections":
            return self._select(boxes, told, probe, selection or self.selection())
        rows = choose_rows(self.told(probe).scores)
        raw = told.raw if self.form == "raw" else ()
        return Answer(boxes[rows], told.scores[rows], raw)

    def selection(self) -> Selection:
        """What a graph that gives detections does, as its metadata has it."""
        metadata = self.metadata
        return Selection(
            min_score=metadata.min_score,
            iou_threshold=metadata.iou_threshold,
            max_detections=metadata.max_detections,
        )

    def compare(self, probes: Sequence[Probe], others: Sequence[Said]) -> Energies:
        """How far other answers are from the model's own, over several probes."""
        own = [self.expect(self.told(probe), probe) for probe in probes]
        return mean_energies(list(map(measure, own, others)))

    def _ask(self, probe: Probe) -> Said:
        image = probe.image if self.whole_images else probe.canvas
        told = run_file(self.engine, self.metadata, image)
        if self.form == "detections":
            return self._found(told, probe)
        scores = told.scores[:, self.columns] if self._fits(told) else told.scores
        if len(told.boxes) != len(self.told(probe).boxes):
            return Answer(told.boxes, scores, told.raw)
        rows = choose_rows(self.told(probe).scores)
        return Answer(told.boxes[rows], scores[rows], told.raw)

    def _fits(self, told: Told) -> bool:
        return bool(told.scores.shape[1] > self.columns.max(initial=-1))

    def _found(self, told: Told, probe: Probe) -> Found:
        """Rows of detections, their labels in the model's order."""
        labels = told.scores.argmax(axis=1)
        scores = told.scores.max(axis=1)
        kept = scores > 0
        back = np.full(max(told.scores.shape[1], len(self.columns)), -1, np.int64)
        back[self.columns] = np.arange(len(self.columns))
        return Found(self._cut(told.boxes[kept], probe), scores[kept], back[labels[kept]])

    def _select(self, boxes: FloatArray, told: Told, probe: Probe, selection: Selection) -> Found:
        with np.errstate(over="ignore", invalid="ignore"):
            (selected,) = select(Candidates(boxes[None], told.scores[None]), settings=selection)
        return Found(self._cut(selected.boxes, probe), selected.scores, selected.labels)

    def _cut(self, boxes: FloatArray, probe: Probe) -> FloatArray:
        """Boxes cut off where the image ends: whether the graph does so or not is no difference."""
        image = probe.image if self.whole_images else probe.canvas
        return clip(np.nan_to_num(boxes), (image.shape[0], image.shape[1]))


def measure(reference: Said, other: Said, *, scale: Said | None = None) -> Energies:
    """How far one answer is from another.

    Args:
        reference, other: of the same form.
        scale: the answer that an error is measured by; `reference` if None.
    """
    if isinstance(reference, Found) and isinstance(other, Found):
        return {"detections": found_energy(reference, other)}
    if isinstance(reference, Answer) and isinstance(other, Answer):
        return energies(reference, other, scale=scale if isinstance(scale, Answer) else None)
    raise TypeError("answers of different forms")
