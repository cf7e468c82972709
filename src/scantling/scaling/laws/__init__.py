"""The scaling laws of the papers, as functions from a spec to a spec. Nothing here loads torch.

Papers: Scaled-YOLOv4, https://arxiv.org/abs/2011.08036; CSPNet, https://arxiv.org/abs/1911.11929;
EfficientNet, https://arxiv.org/abs/1905.11946; EfficientDet, https://arxiv.org/abs/1911.09070.
"""

from .compound import compound
from .depth import deepen, with_depths
from .kinds import csp_ise, plain, with_neck, with_stage_kind
from .levels import add_level, remove_level
from .resolution import resize, scale_size
from .variants import as_large, as_small, as_x
from .width import widen

__all__ = [
    "add_level",
    "as_large",
    "as_small",
    "as_x",
    "compound",
    "csp_ise",
    "deepen",
    "plain",
    "remove_level",
    "resize",
    "scale_size",
    "widen",
    "with_depths",
    "with_neck",
    "with_stage_kind",
]
