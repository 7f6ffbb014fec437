"""The spec of an InferenceModel as types: parsed, hashed into a revision, and held against what works. Pure."""

from inference_operator.spec.parse import Spec, parse
from inference_operator.spec.revision import ask, mold, revision
from inference_operator.spec.support import unsupported

__all__ = ["Spec", "ask", "mold", "parse", "revision", "unsupported"]
