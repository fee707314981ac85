"""LoRA on a decoder: the projections keep their weight, frozen and not copied, and get two thin matrices beside it.

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", equation 3; initial values as in PEFT.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tilth.base.keyed import stable_hash
from tilth.model.adapters.settings import TARGETS, AdapterSettings
from tilth.model.attention import Boundaries
from tilth.model.decoder import Decoder, Linear
from tilth.model.draws import drop, site_keys

_FIRST_SITE = 3
"""Of a projection among the places in a layer where something is dropped; the layer's own two come before."""


class LowRankLinear(Linear):
    """W x + scale · B A x: A is r×in, B is out×r, both in W's dtype; the products run in the dtype of x."""

    def __init__(self, base: Linear, settings: AdapterSettings, seed: int, site: int) -> None:
        nn.Module.__init__(self)  # Linear's own would make a second weight
        self.in_features, self.out_features = base.in_features, base.out_features
        self.weight, self.bias = base.weight, base.bias
        self.scale, self.dropout, self.site, self.merged = settings.scale, settings.dropout, site, False
        bound = 1 / math.sqrt(base.in_features)  # Kaiming's uniform values at a = sqrt(5)
        uniform = torch.rand(settings.rank, base.in_features, generator=torch.Generator().manual_seed(seed))
        self.lora_A = nn.Parameter((bound * (2 * uniform - 1)).to(base.weight))
        self.lora_B = nn.Parameter(base.weight.new_zeros(base.out_features, settings.rank))

    def forward(self, input: Tensor, keys_N: Tensor | None = None) -> Tensor:
        """`keys_N` are the tokens' in this layer, in training."""
        out = super().forward(input)
        if self.merged:
            return out
        x = drop(input, site_keys(keys_N, self.site), self.dropout) if keys_N is not None and self.dropout else input
        return out + self.scale * F.linear(F.linear(x, self.lora_A.to(x.dtype)), self.lora_B.to(x.dtype))

    def add(self, sign: int) -> None:
        """Add scale · B A to the weight, or take it off; computed in fp32 at least."""
        exact = torch.promote_types(self.weight.dtype, torch.float32)
        change = (self.lora_B.to(exact) @ self.lora_A.to(exact)) * (sign * self.scale)
        self.weight.copy_(self.weight.to(exact) + change)


def adapted(model: Decoder) -> Iterator[tuple[str, LowRankLinear]]:
    """The adapted projections by name."""
    for name, module in model.named_modules():
        if isinstance(module, LowRankLinear):
            yield name, module


def attach(model: Decoder, settings: AdapterSettings, seed: int) -> None:
    """Adapt the projections that `settings` names, in place, without a change of the function; freeze all else.

    A is drawn by (seed, name), B is zero. Where asked, the embedding matrix and an untied head stay trainable.
    """
    model.requires_grad_(False)
    for name, module in list(model.blocks.named_modules()):
        parent, _, last = name.rpartition(".")
        if isinstance(module, Linear) and last in settings.targets:
            own_seed, site = stable_hash(seed, "adapter", f"blocks.{name}") >> 1, _FIRST_SITE + TARGETS.index(last)
            adapter = LowRankLinear(module, settings, own_seed, site)
            setattr(model.blocks.get_submodule(parent), last, adapter)
    model.dropout = model.dropout._replace(adapter=settings.dropout)
    if settings.embeddings:
        model.embedding.requires_grad_(True)
        model.head_weight.requires_grad_(True)


@torch.no_grad()
def merge(model: Decoder) -> None:
    """W ← W + scale · B A everywhere; the adapters rest until `unmerge`."""
    for _, module in adapted(model):
        if not module.merged:
            module.add(1)
            module.merged = True


@torch.no_grad()
def unmerge(model: Decoder) -> None:
    """Take the adapters out of the weights again: W is what it was but for rounding."""
    for _, module in adapted(model):
        if module.merged:
            module.add(-1)
            module.merged = False


def remove(model: Decoder) -> None:
    """Plain projections again: the base where nothing was merged, else the adapted model; everything is trainable."""
    for name, module in list(adapted(model)):
        parent, _, last = name.rpartition(".")
        plain = Linear(module.in_features, module.out_features, bias=False, device="meta")
        plain.weight, plain.bias = module.weight, module.bias
        setattr(model.get_submodule(parent), last, plain)
    model.dropout = model.dropout._replace(adapter=0.0)
    model.requires_grad_(True)


@torch.no_grad()
def merge_difference(model: Decoder, tokens_N: Tensor, positions_N: Tensor, boundaries: Boundaries) -> float:
    """Merge, and return the largest change of a logit on these tokens, computed in the dtype of the weights."""
    products, training = model.compute_dtype, model.training
    model.compute_dtype = None
    model.eval()
    apart_NH = model(tokens_N, positions_N, boundaries)
    merge(model)
    merged_NH = model(tokens_N, positions_N, boundaries)
    pairs = zip(apart_NH.split(256), merged_NH.split(256), strict=True)
    difference = max(float((model.logits(a) - model.logits(b)).abs().max()) for a, b in pairs)
    model.compute_dtype = products
    model.train(training)
    return difference
