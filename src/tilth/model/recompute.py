"""Activation recomputation: what a layer's forward pass keeps for its backward pass, and what is computed again there.

Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost" (arXiv:1604.06174) for `full`; Korthikanti et al.
2022, "Reducing Activation Recomputation in Large Transformer Models" (arXiv:2205.05198) for the idea of `selective`:
keep what is dear to compute and small, compute the rest again. The same operations run again on the same values, so
losses and gradients keep their bits.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from tilth.laws.flops import Recompute

_KEPT = (
    torch.ops.aten.mm.default,
    torch.ops.aten.addmm.default,
    torch.ops.aten._scaled_mm.default,
    torch.ops.tilth.packed_attention.default,
    torch.ops.aten._scaled_dot_product_flash_attention.default,
    torch.ops.aten._scaled_dot_product_efficient_attention.default,
    torch.ops.aten._scaled_dot_product_cudnn_attention.default,
    torch.ops.aten._flash_attention_forward.default,
)
"""Products and attention; norms, rotations, activations and copies of weights in half precision are made again."""


_VARLEN = "torch_attn._varlen_attn.default"
"""The operation behind `varlen_attn`, which the policy sees instead of what it calls. By name: it is registered when it
is first used, and to have it registered here would take a second of every start."""


def _policy(_: Any, operation: Any, *__: Any, **___: Any) -> CheckpointPolicy:
    kept = operation in _KEPT or str(operation) == _VARLEN
    return CheckpointPolicy.MUST_SAVE if kept else CheckpointPolicy.PREFER_RECOMPUTE


def run_layer(layer: nn.Module, recompute: Recompute, *inputs: Any) -> Tensor:
    """The layer's output for `inputs`; under `full` only these are kept, under `selective` its products and attention.

    A compiled layer decides about its cheap operations itself (`torch.compile` partitions the graph to keep little):
    for it `selective` is the same as `none`.
    """
    compiled = getattr(layer, "_compiled_call_impl", None) is not None
    if not torch.is_grad_enabled() or recompute == "none" or (recompute == "selective" and compiled):
        output: Tensor = layer(*inputs)
    else:
        options: dict[str, Any] = {}
        if recompute == "selective":
            options["context_fn"] = partial(create_selective_checkpoint_contexts, _policy)
        output = checkpoint(layer, *inputs, use_reentrant=False, **options)
    return output
