"""Floor 2: the decoder. Front door, and light: torch is imported when one of its names is first used.

config      ModelSettings (the recipe's `model:`), DecoderConfig                     (no torch)
decoder     Decoder: packed tokens in, hidden states out; build
initial     what every parameter begins with: Gaussian, by depth, T-Fixup                (no torch)
mup         factors of sizes and rates by width                                          (no torch)
draws       drop, Dropout, embedding_noise: what chance takes or adds is a function of its place
float8      products of the layers in 8 bits, both passes
recompute   what a layer keeps for its backward pass, and what it computes again there
attention   attend, Boundaries: causal attention inside documents, several backends
loss        linear_cross_entropy: head and loss together, in chunks
sampling    Sampling, Continuation, choose: the next token from logits and a draw
inference   the decoder with fused weights, and its key and value cache
products    products with weights that are packed once, where PyTorch has them
engine      Engine, Request: continuous batching, a seed for each request
generation  generate: all prompts at once, on an engine
layouts     import_model, read_config, export_model: Hugging Face folders; check_exportable (no torch)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.base.lazy import lazy
from tilth.model.config import DecoderConfig, ModelSettings

if TYPE_CHECKING:
    from tilth.model.attention import Boundaries, attend
    from tilth.model.decoder import Decoder, build
    from tilth.model.engine import Engine, Request
    from tilth.model.generation import generate
    from tilth.model.layouts import check_exportable, export_model, import_model, read_config
    from tilth.model.loss import linear_cross_entropy
    from tilth.model.sampling import Continuation, Sampling

__getattr__ = lazy(
    __name__,
    {
        "attention": "Boundaries attend",
        "decoder": "Decoder build",
        "engine": "Engine Request",
        "generation": "generate",
        "layouts": "check_exportable export_model import_model read_config",
        "loss": "linear_cross_entropy",
        "sampling": "Continuation Sampling",
    },
)

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
