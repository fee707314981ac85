"""What every parameter begins with: the standard deviation of a matrix, the value of a vector. No torch.

`gaussian` is Radford et al. 2019's (GPT-2), whose output projections are divided by √(2 layers), or zero as in Yang et
al. 2022. `t_fixup` is of Huang et al. 2020, "Improving Transformer Optimization Through Better Initialization" (ICML),
section 3.2: a model without norms whose first updates are bounded, so that it needs no warm-up. The embedding begins
with standard deviation H^(-1/2) · (9 L)^(-1/4), L layers, every other matrix with Xavier's √(2 / (inputs + outputs));
then in each block value, output and the feed-forward's two matrices are multiplied by a power of L. A block of a
decoder alone, without attention to an encoder, is the paper's encoder block under a causal mask: 0.67 · L^(-1/4) (its
decoder's (9 L)^(-1/4) counts a third sub-layer). Of a gated feed-forward the two are `up` and `down`; the gate stays.
As in the paper's algorithm nothing multiplies the embedding on its way in; its code has fairseq's √H there.
"""

from __future__ import annotations

import math

from tilth.model.config import DecoderConfig
from tilth.model.mup import factors

_T_FIXUP_BLOCK, _T_FIXUP_EMBEDDING = 0.67, 9**-0.25
"""Times L^(-1/4)."""


def initial_value(config: DecoderConfig, name: str) -> float:
    """Of all elements of a vector: norms 1, biases 0."""
    return 0.0 if name.endswith("bias") else factors(config, name).initial


def initial_std(config: DecoderConfig, name: str, rows: int, columns: int) -> float:
    """Of a matrix with so many rows (outputs) and columns (inputs)."""
    if config.initialisation == "t_fixup":
        return _t_fixup(config, name, rows, columns)
    std = config.initial_std * factors(config, name).initial
    if not name.endswith(("attention.output.weight", "feed_forward.down.weight")):
        return std
    return {"zero": 0.0, "scaled": std / math.sqrt(2 * config.layers), "normal": std}[config.output_projections]


def _t_fixup(config: DecoderConfig, name: str, rows: int, columns: int) -> float:
    depth = config.layers**-0.25
    if name == "embedding.weight":
        return _T_FIXUP_EMBEDDING * depth * config.hidden**-0.5
    scaled = name.endswith(tuple(f"{part}.weight" for part in ("value", "output", "up", "down")))
    return math.sqrt(2 / (rows + columns)) * (_T_FIXUP_BLOCK * depth if scaled else 1.0)
