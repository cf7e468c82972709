"""Once-for-all sub-networks: cut a smaller model out of a trained one, without retraining.

Paper: Scaled-YOLOv4, https://arxiv.org/abs/2011.08036, section 5.5, where P7 without its level P7,
and without P7 and P6, is the better detector of smaller images.
"""

from ..checkpoints import Model
from ..checkpoints.model import build_empty, build_from_state
from ..errors import InvalidCheckpoint, InvalidSpec, InvalidValue
from ..specs import CfgSpec, ModelSpec
from .laws.levels import finest_levels


def extract_subnetwork(model: Model, levels: int = 1) -> Model:
    """Remove the coarsest levels of a trained model: their head and their branch of the neck.

    What the other levels rest on stays: the backbone, and the way from coarse to fine. Their
    predictions are exactly those of the whole model, and nothing has to be trained. In
    a path aggregation the way back from fine to coarse goes, in a pyramid the last nodes of its
    last cell. The coarsest stride left is what image sizes are multiples of from then on.

    Args:
        model: stays as it is; its network must not be fused. The weights are shared, not copied.
        levels: how many to drop; one at least has to stay.

    Returns:
        The smaller model, in evaluation mode, which is saved and loaded like any other.

    Raises:
        InvalidValue: too many or too few levels.
        InvalidSpec: the model is a network of a cfg.
        InvalidCheckpoint: the network is fused.
    """
    spec = subnetwork_spec(_named_spec(model), levels)
    state = model.network.state_dict()
    kept = build_empty(spec).state_dict()
    if not kept.keys() <= state.keys():
        raise InvalidCheckpoint(
            model.spec.name, "its norms were folded", "Drop levels before fuse_norms"
        )
    network = build_from_state(spec, {name: state[name] for name in kept})
    return Model(spec, network, model.names, model.seen)


def subnetwork_spec(spec: ModelSpec, levels: int = 1) -> ModelSpec:
    """Spec of the model that `extract_subnetwork` returns.

    Raises:
        InvalidValue: too many or too few levels.
    """
    left = spec.neck.levels - levels
    if levels < 1 or left < 1:
        raise InvalidValue(
            "levels to drop", levels, f"from 1 to {spec.neck.levels - 1}: it has {spec.neck.levels}"
        )
    dropped = spec.replace(
        neck=spec.neck.replace(outputs=left), head=finest_levels(spec.head, left)
    )
    base = spec.name.partition("-to-s")[0]
    return dropped.replace(name=f"{base}-to-s{dropped.strides[-1]}")


def _named_spec(model: Model) -> ModelSpec:
    spec = model.spec
    if isinstance(spec, CfgSpec):
        raise InvalidSpec(
            spec.name,
            "it is a network of a darknet cfg, whose levels cannot be dropped",
            "Name the variant and give its weights: "
            "scantling scale yolov4-p6 --drop-level --set weights=FILE --out NEW.safetensors",
        )
    return spec
