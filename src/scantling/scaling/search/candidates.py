"""Candidate architectures: a fixed set, derived from the published models by their papers' laws."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

from ...errors import lookup
from ...specs import CATALOG, ModelSpec
from ...specs.efficientdet import as_pytorch
from ..laws import (
    add_level,
    as_large,
    compound,
    deepen,
    plain,
    remove_level,
    widen,
    with_neck,
    with_stage_kind,
)

CLASSES = 80  # of every candidate; a search changes it
SMALLEST_GRID = 4  # cells along each side of the coarsest level, of stride 64 at most
LONGEST_SIDE = 1536
# Around the published YOLOv4-CSP, its s form (half as wide) and its x form (1.25 of both).
WIDTHS = (0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0, 1.25, 1.5)
DEPTHS = (0.125, 0.33, 0.66, 1.0, 1.25, 1.5)
FEW_WIDTHS = (0.25, 0.5, 0.75, 1.0)
FEW_DEPTHS = (0.33, 1.0)
TINY_WIDTHS = (0.25, 0.375, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
LARGE_WIDTHS = (0.5, 0.75, 1.0, 1.25)
LARGE_DEPTHS = (0.5, 1.0)
LARGEST_PHI = 7
KINDS = ("tiny", "csp", "plain", "osa", "large", "mbconv", "mbconv-lite")


@dataclass(frozen=True)
class Architecture:
    """A candidate network, without an image size.

    Args:
        spec: at the size of the spec that it was derived from.
        family: `yolov4` or `efficientdet`.
        kind: `tiny`, `csp`, `plain`, `osa`, `large`, `mbconv` or `mbconv-lite`: models of one kind
            are made and trained alike.
        twin: the cross-stage partial form of a plain one. It is as good, and costs less, so both
            have its proxy. Source: Scaled-YOLOv4, table 8, where YOLOv4-CSP has 0.6 AP more than
            the plain network of the same widths and depths, at 32 % fewer operations.
    """

    spec: ModelSpec
    family: str
    kind: str
    twin: ModelSpec | None = None

    @property
    def name(self) -> str:
        """Name of its spec, which says what it was derived from."""
        return self.spec.name

    @property
    def stride(self) -> int:
        """Stride of the coarsest level, in input pixels per cell."""
        return self.spec.strides[-1]

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """Searched sides of the square input: multiples of the coarsest stride, to `LONGEST_SIDE`.

        All costs grow exactly with the area then. EfficientDet runs at other sizes too; what rounds
        up there is not searched.
        """
        smallest = max(2 * self.stride, SMALLEST_GRID * min(self.stride, 64))
        return tuple(range(smallest, LONGEST_SIDE + 1, self.stride))


def list_candidates(like: str = "both") -> tuple[Architecture, ...]:
    """List every candidate architecture of a family.

    Args:
        like: `yolov4`, `efficientdet` or `both`.

    Raises:
        UnknownName: there is no such family.
    """
    return lookup(FAMILIES, like, "family")()


@cache
def _yolov4() -> tuple[Architecture, ...]:
    made = [*_tiny(), *_csp(), *_other_kinds(), *_large()]
    partial = {name.removeprefix("csp-"): spec for spec, name, kind in made if kind == "csp"}
    twins = {
        name: partial[name.removeprefix("plain-").removeprefix("csp-pan-")]
        for _, name, _ in made
        if name.startswith(("plain-", "csp-pan-"))
    }
    return tuple(
        Architecture(
            _named(spec, name), "yolov4", kind, _named(twins[name], name) if name in twins else None
        )
        for spec, name, kind in made
    )


@cache
def _efficientdet() -> tuple[Architecture, ...]:
    made = [*_compound(), *_lite()]
    return tuple(
        Architecture(_named(spec, name), "efficientdet", kind) for spec, name, kind in made
    )


def _both() -> tuple[Architecture, ...]:
    return (*_yolov4(), *_efficientdet())


# Every family: its candidates.
FAMILIES: dict[str, Callable[[], tuple[Architecture, ...]]] = {
    "yolov4": _yolov4,
    "efficientdet": _efficientdet,
    "both": _both,
}

_Made = Iterator[tuple[ModelSpec, str, str]]


def _tiny() -> _Made:
    """CSPOSANet with two and three levels, in widths."""
    for base, short in (("yolov4-tiny", "tiny"), ("yolov4-tiny-3l", "tiny-3l")):
        for width in TINY_WIDTHS:
            yield widen(CATALOG[base], width), f"{short}-w{width:g}", "tiny"


def _csp() -> _Made:
    """CSPDarknet with a CSP-PAN, in widths and depths: from below s to above x."""
    for spec, label in _grid(CATALOG["yolov4-csp"], WIDTHS, DEPTHS):
        yield spec, f"csp-{label}", "csp"


def _other_kinds() -> _Made:
    """CSPDarknet with other blocks or another neck."""
    csp = CATALOG["yolov4-csp"]
    for spec, label in _grid(csp, FEW_WIDTHS, FEW_DEPTHS):
        yield plain(spec), f"plain-{label}", "plain"
        yield with_neck(spec, "pan"), f"csp-pan-{label}", "csp"
        middle = spec.neck.channels[1] // 16 * 8
        pyramid = with_neck(spec, "bifpn", width=max(32, middle), depth=2 + round(spec.neck.depth))
        yield pyramid, f"csp-bifpn-{label}", "csp"
    for width in FEW_WIDTHS:
        spec = with_stage_kind(widen(csp, width), "csp-osa", stages=(1, 2, 3, 4))
        yield spec, f"osa-w{width:g}", "osa"


def _large() -> _Made:
    """P5, P6 and P7, in widths and depths."""
    for levels in (3, 4, 5):
        base = as_large(CATALOG["yolov4-csp"], levels)
        own = 1.25 if levels == 5 else 1.0  # width that the published one has
        factors = [width / own for width in LARGE_WIDTHS]
        for spec, (width, depth) in zip(
            _scaled(base, factors, LARGE_DEPTHS), product(LARGE_WIDTHS, LARGE_DEPTHS), strict=True
        ):
            yield spec, f"p{levels + 2}-w{width:g}-d{depth:g}", "large"


def _compound() -> _Made:
    """EfficientDet by φ, the pyramid up to one step of φ from the backbone; and other levels."""
    base = as_pytorch(CATALOG["efficientdet-d0"])
    published = [compound(base, phi, published=True) for phi in range(LARGEST_PHI)]
    yield from _crossed(published, "d", "mbconv")
    yield as_pytorch(CATALOG["efficientdet-d7x"]), "d7x", "mbconv"
    for phi in (0, 1, 2):
        yield remove_level(published[phi]), f"d{phi}-4l", "mbconv"
    for phi in (2, 3, 4):
        yield add_level(published[phi]), f"d{phi}-6l", "mbconv"


def _lite() -> _Made:
    """The lite ones, whose backbones have no squeeze-and-excitation."""
    specs = [as_pytorch(CATALOG[f"efficientdet-lite{number}"]) for number in range(5)]
    yield from _crossed(specs, "lite", "mbconv-lite")
    for number in (0, 1, 2):
        yield remove_level(specs[number]), f"lite{number}-4l", "mbconv-lite"


def _crossed(specs: list[ModelSpec], short: str, kind: str) -> _Made:
    """Each backbone with the neck and head of its own row, and of the rows beside it."""
    for place, spec in enumerate(specs):
        for other in range(max(0, place - 1), min(len(specs), place + 2)):
            source = specs[other]
            head = spec.head.replace(depth=source.head.depth)
            made = spec.replace(neck=source.neck, head=head)
            suffix = "" if other == place else f"-neck{other}"
            yield made, f"{short}{place}{suffix}", kind


def _grid(
    spec: ModelSpec, widths: Iterable[float], depths: Iterable[float]
) -> Iterator[tuple[ModelSpec, str]]:
    labels = (f"w{width:g}-d{depth:g}" for width, depth in product(widths, depths))
    return zip(_scaled(spec, widths, depths), labels, strict=True)


def _scaled(
    spec: ModelSpec, widths: Iterable[float], depths: Iterable[float]
) -> Iterator[ModelSpec]:
    for width, depth in product(widths, depths):
        yield deepen(widen(spec, width), depth)


def _named(spec: ModelSpec, name: str) -> ModelSpec:
    return spec.replace(name=name, num_classes=CLASSES)
