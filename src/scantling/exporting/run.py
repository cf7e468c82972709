"""Export a model: write it, verify it, and only then put it in its place."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..checkpoints import Model, load_model
from ..datasets.dataset import Dataset
from ..engines.formats import FORMATS, Format
from ..engines.formats.format import replace_files
from ..engines.graphs import make_metadata
from ..engines.graphs.quantizable import Progress
from ..engines.hardware import find_processor
from ..engines.runtimes import find_format
from ..errors import ExportDiffers, InvalidValue, MissingPackage, lookup
from ..postprocess import Selection
from ..specs.metadata import Calibration, GraphForm, Metadata, Precision, image_key
from ..verification import Verification, verify
from ..verification.ap import MAX_AP_DROP
from .calibration import Calibrated, choose_images
from .mixed_precision import Trials, choose_fp32_layers
from .speed import measure_speedup

if TYPE_CHECKING:
    from ..evaluation import ApLost

logger = logging.getLogger(__name__)

CHECKED = ("tensors", "boxes")  # stages of `verify` that need no data


@dataclass(frozen=True)
class Exported:
    """Result of an export.

    Args:
        path: of the file; of OpenVINO the `.xml`, which has its `.bin` beside it.
        metadata: what the file says of itself.
        verification: that it is the model; None where that was not asked for, or no engine here
            runs the format.
        ap_lost: what the precision costs in AP on the data; None where it had too few images.
        speedup: how many times faster it is here than the same graph in fp32; None without data.
    """

    path: Path
    metadata: Metadata
    verification: Verification | None
    ap_lost: "ApLost | None" = None
    speedup: float | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that belong to it."""
        found = find_format(self.path)
        return (self.path,) if found is None else found.files(self.path)


def export(
    model: str | Path | Model,
    to: str,
    *,
    out: str | Path | None = None,
    precision: Precision = "fp32",
    form: GraphForm | None = None,
    image_size: int | tuple[int, int] | None = None,
    weights: str | Path | None = None,
    names: str | Path | None = None,
    data: str | Path | Dataset | None = None,
    split: str | None = None,
    calibration_images: int = 300,
    max_ap_drop: float | None = None,
    min_score: float = 0.25,
    iou_threshold: float = 0.45,
    max_detections: int = 300,
    classes: Sequence[str | int] | None = None,
    class_scores: Mapping[str | int, float] | None = None,
    check: bool = True,
    cache: str | Path | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Exported:
    """Write a model as a file that another runtime runs, with all that is needed to use it inside.

    >>> export("yolov4-tiny.cfg", "openvino").path  # doctest: +SKIP

    The file appears whole, and only once it has been compared with the model.

    Args:
        model: as `load_model` takes it, with `weights`, `names` and `cache`; or what it returned.
        to: a key of `FORMATS`.
        out: the file; the model's name in the working directory if None.
        precision: what the graph is meant to be computed in.
        form: what the graph takes and gives; None for `GraphForm()`.
        image_size: (height, width) of the input, or the side of a square; None for the model's own.
        data: labelled images, to calibrate INT8 on, and to compare the AP of INT8 or OpenVINO's
            bf16 on; see `choose_images`.
        split: of the data.
        calibration_images: how many of them at most.
        max_ap_drop: what the precision may cost in AP by these images: layers stay as they are
            until it holds. None for that of `MAX_AP_DROP`.
        min_score, iou_threshold, max_detections: of a graph that gives detections, those inside it;
            else the ones that its user usually wants.
        classes: names or labels of the only classes that are found, and
        class_scores: for some classes another `min_score`: both as the thresholds.
        check: compare what was written with the model.
        progress: told the steps of calibrating that are done, and how many there are.

    Raises:
        ExportDiffers: what was written is not the same model, or its precision costs too much.
        MissingPackage: the format needs a package that is not installed.
        ScantlingError: the model, the data or a setting does not fit.
    """
    chosen = choose_format(to, precision)
    limit = _check_settings(chosen, precision, data, max_ap_drop)
    thresholds = Selection(
        min_score=min_score,
        iou_threshold=iou_threshold,
        max_detections=max_detections,
        classes=None if classes is None else tuple(classes),
        class_scores=class_scores,
    )
    loaded = (
        model
        if isinstance(model, Model)
        else load_model(model, weights=weights, names=names, cache=cache)
    )
    metadata = make_metadata(
        loaded,
        form=form,
        precision=precision,
        image_size=image_size,
        source=loaded.spec.name if isinstance(model, Model) else Path(model).name,
        min_score=thresholds.min_score,
        iou_threshold=thresholds.iou_threshold,
        max_detections=thresholds.max_detections,
    )
    labelled = thresholds.with_labels(metadata.names)
    metadata = metadata.replace(
        classes=labelled.classes, class_scores=dict(labelled.class_scores or {})
    )
    _tell_of_nms(metadata)
    target = _target(out, metadata, chosen)
    with replace_files(target, chosen) as draft:
        made, images = Exported(draft, metadata, None), None
        if data is not None:
            found = choose_images(data, metadata, split=split, count=calibration_images)
            made = _write_quantized(loaded, metadata, chosen, found, draft, limit, progress)
            images = found.compared
        else:
            chosen.write(loaded, metadata, draft)
        if check and not chosen.engines:
            logger.info(f"not verified: no engine here runs {chosen.suffix} files")
        elif check:
            engine = chosen.engines[0]
            verification = _verify(draft, target, loaded, engine, images, thresholds)
            made = replace(made, verification=verification)
    return replace(made, path=target)


def _tell_of_nms(metadata: Metadata) -> None:
    nms = metadata.spec.nms
    if metadata.form.gives == "detections" and nms.kind != "greedy":
        logger.warning(
            f"NMS inside a graph is by the IoU alone; {metadata.spec.name} is otherwise run with"
            f" {nms.kind}, beta {nms.beta:g}, which tells neighbours apart a little better"
        )


def choose_format(to: str, precision: str) -> Format:
    """Look up a format, and check that its packages are installed.

    Raises:
        InvalidValue: it cannot hold this precision.
        MissingPackage: a package is not installed.
        UnknownName: there is no such format.
    """
    chosen = lookup(FORMATS, to, "export format")
    if precision not in chosen.precisions:
        able = [name for name, one in FORMATS.items() if precision in one.precisions]
        expected = f"one that {to} can hold: {', '.join(chosen.precisions)}"
        if able:
            expected += f"; or --to {' or '.join(able)}"
        raise InvalidValue("precision", precision, expected)
    for package in chosen.packages:
        _require(package, f"An export to {to}", chosen.extra)
    for package in chosen.quantization_packages.get(precision, ()):
        _require(package, f"{precision.upper()} for {to}", chosen.extra)
    return chosen


def _require(package: str, feature: str, extra: str | None) -> None:
    if find_spec(package) is None:
        raise MissingPackage(package, feature, extra=extra)


def _check_settings(
    chosen: Format, precision: Precision, data: object, max_ap_drop: float | None
) -> float:
    """Refuse settings that contradict one another; return the limit of the AP drop."""
    if precision == "int8" and data is None:
        raise InvalidValue(
            "data",
            None,
            "images that INT8 is calibrated on, such as the model will see: --data DATA, a COCO "
            "folder or JSON, a YOLO data.yaml, a darknet .data or a VOC folder",
        )
    if data is not None and precision not in chosen.quantizable:
        able = " or ".join(chosen.quantizable)
        able = f"; or ask for precision {able}" if able else ""
        raise InvalidValue(
            "data",
            str(data),
            f"none: in {precision} nothing of this format depends on images{able}",
        )
    if data is not None and precision == "bf16" and not find_processor().has_bf16:
        raise InvalidValue(
            "data",
            str(data),
            "none on this processor: it has no arithmetic for bf16 and cannot tell what it costs. "
            "Export without data, or where there is AMX or AVX512-BF16",
        )
    if max_ap_drop is not None and not 0 <= max_ap_drop <= 1:
        raise InvalidValue("max_ap_drop", max_ap_drop, "a share of 0 to 1, such as 0.01")
    return MAX_AP_DROP[precision] if max_ap_drop is None else max_ap_drop


def _target(out: str | Path | None, metadata: Metadata, chosen: Format) -> Path:
    """Where the file goes."""
    if out is None:
        mark = "" if metadata.precision == "fp32" else f"-{metadata.precision}"
        return Path(f"{Path(metadata.source).stem}{mark}{chosen.suffix}")
    target = Path(out)
    if target.suffix != chosen.suffix:
        raise InvalidValue("out", str(out), f"a file that ends in {chosen.suffix}")
    return target


def _write_quantized(
    model: Model,
    metadata: Metadata,
    chosen: Format,
    found: Calibrated,
    path: Path,
    max_ap_drop: float,
    progress: Progress,
) -> Exported:
    """Calibrate, find the layers that have to stay in fp32, write, and time it."""
    graph = chosen.quantizable[metadata.precision](model, metadata, progress)
    engine = chosen.engines[0]
    trial = path.with_name(f"tried{chosen.suffix}")
    trials = Trials(graph, metadata, found, trial, engine)
    outcome = choose_fp32_layers(trials, max_ap_drop=max_ap_drop, progress=progress)
    calibration = Calibration(
        data=found.data,
        images=len(found.inputs),
        fp32_layers=outcome.fp32_layers,
        image_keys=tuple(map(image_key, found.inputs.paths))
        if metadata.precision == "int8"
        else (),
    )
    metadata = metadata.model_copy(update={"calibration": calibration})
    graph.write(frozenset(outcome.fp32_layers), found.inputs, metadata, path)
    plain = path.with_name(f"plain{chosen.suffix}")
    exact = metadata.model_copy(update={"precision": "fp32", "calibration": None})
    graph.write(frozenset(graph.layers), found.inputs, exact, plain)
    speedup = measure_speedup(path, plain, metadata.precision, engine)
    return Exported(path, metadata, None, outcome.ap_lost, speedup)


def _verify(
    draft: Path,
    target: Path,
    model: Model,
    engine: str,
    images: list[str] | None,
    thresholds: Selection,
) -> Verification:
    """Verify that what was written is the model.

    Args:
        draft: the file, where it was written.
        target: where it is to be.
        model: that it was made from.
        engine: that runs it.
        images: to compare on, which INT8 needs: it is near the model on such as it was calibrated
            for. Drawn scenes if None.
        thresholds: that were asked for.

    Raises:
        ExportDiffers: it is not.
    """
    found = verify(
        draft, against=model, engine=engine, images=images, stages=CHECKED, thresholds=thresholds
    )
    found = replace(found, file=str(target))
    if not found.passed:
        raise ExportDiffers(
            str(target),
            f"what was made of the model does not compute the same: {found.describe_failure()}",
            "Try another format or precision, or look at it with check=False (--set check=false)",
        )
    return found
