"""The spec of an InferenceModel as types: parsed, hashed into a revision. Pure."""

from inference_operator.spec.parse import Spec, parse
from inference_operator.spec.revision import ask, mold, revision

__all__ = ["Spec", "ask", "mold", "parse", "revision"]
