"""Floor 2: the decoder. Front door, and light: torch is imported when one of its names is first used.

config      ModelSettings (the recipe's `model:`), DecoderConfig                     (no torch)
decoder     Decoder: packed tokens in, hidden states out; build
attention   attend, Boundaries: causal attention inside documents, several backends
loss        linear_cross_entropy: head and loss together, in chunks
generation  generate, Sampling, Continuation: KV-cached, batched, a seed for each sequence
layouts     import_model, read_config, export_model: Hugging Face folders; check_exportable (no torch)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tilth.model.config import DecoderConfig, ModelSettings

if TYPE_CHECKING:
    from tilth.model.attention import Boundaries, attend
    from tilth.model.decoder import Decoder, build
    from tilth.model.generation import Continuation, Sampling, generate
    from tilth.model.layouts import check_exportable, export_model, import_model, read_config
    from tilth.model.loss import linear_cross_entropy

_HOME = {
    "Boundaries": "attention",
    "attend": "attention",
    "Decoder": "decoder",
    "build": "decoder",
    "linear_cross_entropy": "loss",
    "generate": "generation",
    "Sampling": "generation",
    "Continuation": "generation",
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
    "ModelSettings",
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
