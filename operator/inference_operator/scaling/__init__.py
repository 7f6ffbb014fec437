"""How many pods the active fleet has: what load asks for, and which pods leave without cutting a stream. Pure."""

from inference_operator.scaling.retire import retiring
from inference_operator.scaling.scale import Scaling, recheck, scale

__all__ = ["Scaling", "recheck", "retiring", "scale"]
