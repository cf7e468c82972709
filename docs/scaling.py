"""Writes docs/scaling.md: the papers' tables of scaling, counted again from built networks."""

from functools import cache
from pathlib import Path

from scaling_layers import (
    csp_layers,
    dark_stages,
    dense_and_osa,
    difference,
    osa_splits,
    scaled_layers,
    table,
    tiny_stages,
)

from scantling.scaling.costs import add_up, count_costs
from scantling.scaling.laws import (
    add_level,
    as_large,
    as_small,
    as_x,
    compound,
    deepen,
    plain,
    resize,
    scale_size,
    widen,
)
from scantling.scaling.subnetwork import subnetwork_spec
from scantling.specs import CATALOG, SIZES, InputSpec, ModelSpec, find_spec

PAGE = Path(__file__).with_name("scaling.md")
TEXT = Path(__file__).with_name("scaling.txt")
CSP, D0 = find_spec("yolov4-csp"), find_spec("efficientdet-d0")


def bare(spec: ModelSpec) -> ModelSpec:
    """A spec without what changes no cost."""
    return spec.replace(name="", input=InputSpec())


KNOWN = {bare(CATALOG[name]): size for name, size in SIZES.items()}  # which the tests recount


@cache
def size(spec: ModelSpec) -> tuple[int, int]:
    """Parameters and MACs."""
    if known := KNOWN.get(bare(spec)):
        return known.parameters, known.macs
    cost = count_costs(spec)
    return cost.parameters, cost.totals.macs


def neck_macs(spec: ModelSpec) -> int:
    """MACs of the neck alone."""
    return add_up(layer for layer in count_costs(spec).layers if layer.name.startswith("neck")).macs


def receptive_fields() -> str:
    """What each factor does to what a cell sees, at the end of the backbone."""
    rows = []
    base = resize(widen(deepen(CSP, 0.5), 0.25), 256)
    for what, spec in {
        "as it is": base,
        "image size ×2": scale_size(base, 2),
        "width ×2": widen(base, 2),
        "depth ×2": deepen(base, 2),
        "one more stage": add_level(base),
    }.items():
        layers = count_costs(spec).layers
        seen = [layer.receptive_field for layer in layers if layer.name.startswith("backbone")]
        rows.append((what, max(field[0] for field in seen if field)))
    return table("model|pixels", rows)


# Parameters and FLOPs (2 · MAC) of the public configurations, counted from those.
PUBLIC = {
    "yolov4-p5-pt": (70_834_012, 326_643_351_552),
    "yolov4-p6-pt": (127_590_576, 717_019_545_600),
    "yolov4-p7": (287_575_580, 1_636_704_092_160),
    "yolov4-csp": (52_921_437, 120_239_718_400),
    "yolov4x-mish": (99_751_053, 221_884_620_800),
    "yolov4-csp-s-mish": (8_270_621, 20_890_009_600),
}


def large_models() -> str:
    """P5, P6, P7, x and s, derived and counted."""
    base = find_spec("yolov4-p5-pt")
    derived = {
        "yolov4-p5-pt": ("P5", as_large(base, 3)),
        "yolov4-p6-pt": ("P5 → P6", as_large(base, 4)),
        "yolov4-p7": ("P5 → P7", as_large(base, 5)),
        "yolov4-csp": ("CSP", CSP),
        "yolov4x-mish": ("CSP → x", as_x(CSP)),
        "yolov4-csp-s-mish": ("CSP → s", as_small(CSP)),
    }
    rows = []
    before = (0, 0)
    for name, (step, spec) in derived.items():
        parameters, macs = size(spec)
        public = PUBLIC[name]
        compared = step.count("→") and before[0]
        last = before if "P" in step else size(CSP)
        ratios = (f"{macs / last[1]:.3f}", f"{parameters / last[0]:.3f}") if compared else ("", "")
        rows.append(
            (
                step,
                "×".join(map(str, spec.image_size)),
                f"{parameters:,}",
                difference(parameters, public[0]),
                f"{2 * macs / 1e9:.2f}",
                difference(2 * macs, public[1]),
                *ratios,
            )
        )
        before = parameters, macs
    header = "step|image|parameters|difference|GFLOPs|difference|FLOPs ×|parameters ×"
    return table(header, rows)


def once_for_all() -> str:
    """What P7 costs without its coarsest levels."""
    whole = find_spec("yolov4-p7")
    rows = []
    for name, levels in (("P7", 0), ("P7\\P7", 1), ("P7\\P7\\P6", 2)):
        spec = subnetwork_spec(whole, levels) if levels else whole
        parameters, macs = size(spec)
        strides = ", ".join(map(str, spec.strides))
        saved = f"{1 - parameters / size(whole)[0]:.1%}", f"{1 - macs / size(whole)[1]:.1%}"
        rows.append((name, strides, f"{parameters:,}", saved[0], f"{2 * macs / 1e9:.2f}", saved[1]))
    return table("model|strides|parameters|saved|GFLOPs at 1536|saved", rows)


def compound_rows() -> str:
    """What the formulas give for φ, against what was published."""
    rows = []
    for phi in range(8):
        law, published = compound(D0, phi), find_spec(f"efficientdet-d{phi}")
        cells = []
        for one, other in zip(compound_settings(law), compound_settings(published), strict=True):
            cells.append(str(one) if one == other else f"{one} (**{other}**)")
        rows.append((f"D{phi}", *cells))
    return table("φ|image|width|cells|head|fusion|backbone", rows)


def compound_settings(spec: ModelSpec) -> tuple[object, ...]:
    """What compound scaling sets."""
    names = {compound(D0, phi).backbone: f"B{phi}" for phi in range(8)}
    return (
        spec.image_size[0],
        spec.neck.channels[0],
        spec.neck.depth,
        spec.head.depth,
        spec.neck.fusion,
        names[spec.backbone],
    )


# Parameters in millions and multiply-adds in billions that the paper prints.
PAPER_D = {
    "d0": (3.9, 2.54),
    "d1": (6.6, 6.10),
    "d2": (8.1, 11.0),
    "d3": (12.0, 24.9),
    "d4": (20.7, 55.2),
    "d5": (33.7, 135),
    "d6": (51.9, 226),
    "d7": (51.9, 325),
    "d7x": (77.0, 410),
}


def compound_costs() -> str:
    """Costs by the formulas, of the published networks, and in the paper."""
    rows = []
    for name, (millions, billions) in PAPER_D.items():
        published = SIZES[f"efficientdet-{name}"]
        law: tuple[str, str] = ("", "")
        if name != "d7x":
            parameters, macs = size(compound(D0, int(name[1])))
            law = f"{parameters / 1e6:.2f}", f"{macs / 1e9:.2f}"
        rows.append(
            (
                name.upper(),
                millions,
                f"{published.parameters / 1e6:.2f}",
                law[0],
                billions,
                f"{published.macs / 1e9:.2f}",
                law[1],
                difference(published.macs / 1e9, billions),
            )
        )
    header = "model|M, paper|published|formulas|G MACs, paper|published|formulas|published − paper"
    return table(header, rows)


def ablation() -> str:
    """Table 8, the rows that can be built, and what a CSP-PAN saves."""
    pan = find_spec("yolov4").neck
    dark = plain(find_spec("yolov4"), neck=False).replace(neck=pan)
    rows = []
    for name, spec, millions, billions in (
        ("D53-PANSPP", dark, 78, 160),
        ("CD53s-CPANSPP", CSP, 53, 109),
    ):
        parameters, macs = size(spec.replace(image_size=608))
        flops = 2 * macs / 1e9
        rows.append(
            (
                name,
                millions,
                f"{parameters / 1e6:.2f}",
                difference(parameters / 1e6, millions),
                billions,
                f"{flops:.2f}",
                difference(flops, billions),
            )
        )
    return table("network|M, paper|counted|difference|GFLOPs, paper|counted|difference", rows)


def values() -> dict[str, object]:
    """Everything that the text leaves open."""
    small = CSP.replace(image_size=320)
    csp_neck, pan_neck = neck_macs(small), neck_macs(plain(small))
    twice = size(scale_size(CSP, 2))[1] / size(CSP)[1]
    tiny = SIZES["yolov4-tiny"].macs
    return {
        "scaled_layers": scaled_layers(),
        "csp_layers": csp_layers(),
        "dark_stages": dark_stages(),
        "neck_saved": f"{1 - csp_neck / pan_neck:.1%}",
        "dense_and_osa": dense_and_osa(),
        "osa_splits": osa_splits(),
        "tiny_stages": tiny_stages(),
        "receptive_fields": receptive_fields(),
        "large_models": large_models(),
        "once_for_all": once_for_all(),
        "twice": f"{twice:.4f}",
        "compound_rows": compound_rows(),
        "compound_costs": compound_costs(),
        "ablation": ablation(),
        "tiny": f"{2 * tiny / 1e9:.3f}",
    }


def page() -> str:
    """The whole page."""
    return TEXT.read_text("utf-8").format(**values())


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
