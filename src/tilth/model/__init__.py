"""Floor 2: the decoder. Front door, and light: torch is imported when one of its names is first used.

config      ModelSettings (the recipe's `model:`), DecoderConfig                     (no torch)
decoder     Decoder: packed tokens in, hidden states out; build
attention   attend, Boundaries: causal attention inside documents, several backends
loss        linear_cross_entropy: head and loss together, in chunks
sampling    Sampling, Continuation, choose: the next token from logits and a draw
inference   the decoder with fused weights, and its key and value cache
engine      Engine, Request: continuous batching, a seed for each request
generation  generate: all prompts at once, on an engine
layouts     import_model, read_config, export_model: Hugging Face folders; check_exportable (no torch)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tilth.model.config import DecoderConfig, ModelSettings

if TYPE_CHECKING:
    from tilth.model.attention import Boundaries, attend
    from tilth.model.decoder import Decoder, build
    from tilth.model.engine import Engine, Request
    from tilth.model.generation import generate
    from tilth.model.layouts import check_exportable, export_model, import_model, read_config
    from tilth.model.loss import linear_cross_entropy
    from tilth.model.sampling import Continuation, Sampling

_HOME = {
    "Boundaries": "attention",
    "attend": "attention",
    "Decoder": "decoder",
    "build": "decoder",
    "linear_cross_entropy": "loss",
    "Sampling": "sampling",
    "Continuation": "sampling",
    "Engine": "engine",
    "Request": "engine",
    "generate": "generation",
    "check_exportable": "layouts",
    "import_model": "layouts",
    "read_config": "layouts",
    "export_model": "layouts",
}

__all__ = [
    "Boundaries",
    "Continuation",
    "Decoder",
    "DecoderConfig",
    "Engine",
    "ModelSettings",
    "Request",
    "Sampling",
    "attend",
    "build",
    "check_exportable",
    "export_model",
    "generate",
    "import_model",
    "linear_cross_entropy",
    "read_config",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
