"""muP: initial sizes and rates that move with the width, so that what is best for a narrow model is for a wide one.

Yang et al. 2022, "Tensor Programs V" (arXiv:2203.03466), table 8. Of a model m times as wide as the base: hidden
matrices begin with 1 / √m of the standard deviation and learn with 1 / m of Adam's rate, logits are multiplied by
1 / m, attention is scaled by 1 / D instead of 1 / √D; embedding and head are as in the base.

A multiplier of a weight is the same as another initial value and rate of it (their lemma J.1: Adam does not see the
size of a gradient). So each multiplier stands in a weight here, that of the logits in the last norm's and that of
attention in the queries', and neither the forward pass nor an exported folder knows of muP.

The base is known by `hidden` and `head_dim` alone: m is the ratio of `hidden`, for every hidden matrix. So heads · D
and `intermediate` must grow in proportion to `hidden`; where not, output and down have other inputs than m says.

muP's condition on the update of hidden matrices is a spectral norm in proportion to √(outputs / inputs) (Yang, Simon
and Bernstein 2023, arXiv:2310.17813). Muon's (`scale: shape`) is √max(1, outputs / inputs), whatever the width: of
shapes that keep their proportions that is the same but for a constant, and its rate stays. No torch.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from tilth.model.config import DecoderConfig


class Factors(NamedTuple):
    """Of one parameter, against a model of its shape without muP."""

    initial: float = 1.0
    """Of its first value, or its standard deviation,"""
    adam: float = 1.0
    """of its rate under AdamW"""
    muon: float = 1.0
    """and under Muon."""


def factors(config: DecoderConfig, name: str) -> Factors:
    """Of the parameter called `name`; all 1 where the model is not in muP, or is the base itself."""
    mup = config.mup
    if mup is None or "lora_" in name:
        return Factors()
    width = config.hidden / mup.hidden  # the m of table 8
    # Scores are q·k / √D in every model: √(D₀ / D) times that is q·k / D, but for the √D₀ that the base has as well.
    attention = math.sqrt((mup.head_dim or config.head_dim) / config.head_dim)
    # The multiplier of attention stands in whatever scales the queries last: their norm, else projection and bias.
    scales_queries = ("query_norm.weight",) if config.qk_norm else ("query.weight", "query.bias")
    multiplier = 1.0
    if name == "norm.weight":
        multiplier = 1 / width
    elif name.endswith(scales_queries):
        multiplier = attention
    if name.startswith("blocks.") and name.endswith("weight") and "norm" not in name:  # the hidden matrices
        return Factors(multiplier / math.sqrt(width), multiplier / width, multiplier)
    return Factors(multiplier, multiplier, multiplier)
