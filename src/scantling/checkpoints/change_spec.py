"""Change the classes, anchors or image size of a spec, of a variant or of a cfg."""

from collections.abc import Mapping

from ..darknet import edit
from ..specs import CfgSpec, ModelSpec
from ..specs.level import Anchor

Spec = ModelSpec | CfgSpec


def with_classes(spec: Spec, count: int) -> Spec:
    """Change the number of classes of a spec."""
    if isinstance(spec, CfgSpec):
        return edit.with_classes(spec, count)
    return spec.replace(num_classes=count)


def with_anchors(spec: Spec, new: Mapping[Anchor, Anchor]) -> Spec:
    """Replace the anchors of a spec, by a mapping from old to new."""
    if isinstance(spec, CfgSpec):
        return edit.with_anchors(spec, new)
    moved = tuple(tuple(new[anchor] for anchor in group) for group in spec.head.anchors)
    return spec.replace(head=spec.head.replace(anchors=moved))


def with_image_size(spec: Spec, image_size: tuple[int, int]) -> Spec:
    """Change the image size of a spec, (height, width); anchors stay, in pixels."""
    if isinstance(spec, CfgSpec):
        return edit.with_image_size(spec, image_size)
    return spec.replace(image_size=image_size)
