"""The size and shape of a decoder: what the recipe says, and what is built from it. No torch."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from tilth.base.settings import Settings
from tilth.laws.model_size import Shape, parameters

Projections = Literal["zero", "scaled", "normal"]
Initialisation = Literal["gaussian", "t_fixup"]
Norm = Literal["rms", "none"]
Activation = Literal["silu", "gelu", "gelu_tanh", "relu", "relu2"]

_LATER = ("norm", "initialisation", "mup", "activation")


class MuP(Settings):
    """The base of muP: the width at which sizes and rates are as the recipe says (model/mup.py)."""

    hidden: int = Field(ge=2, description="width of the base")
    head_dim: int | None = Field(
        default=None, ge=2, description="width of its heads; default: as here, so that a wider model has more of them"
    )


class Llama3Scaling(Settings):
    """Llama 3.1's stretching of the rotary frequencies (published in its reference code and model cards)."""

    factor: float = Field(ge=1, description="of the wavelengths that are stretched wholly")
    low_frequency_factor: float = Field(gt=0, description="longer than original_positions over this: stretched wholly")
    high_frequency_factor: float = Field(gt=0, description="shorter than original_positions over this: as they were")
    original_positions: int = Field(ge=1, description="longest context that the model was trained for before")

    @model_validator(mode="after")
    def _in_order(self) -> Llama3Scaling:
        if self.low_frequency_factor >= self.high_frequency_factor:
            raise ValueError("low_frequency_factor must be below high_frequency_factor")
        return self


class ModelSettings(Settings):
    """The recipe's `model:` section: a Llama-layout decoder; its vocabulary comes from the tokenizer."""

    later = (*_LATER, "rope_scaling")

    hidden: int = Field(default=256, ge=2, description="width of the residual stream, H")
    layers: int = Field(default=4, ge=1)
    heads: int = Field(default=4, ge=1, description="query heads")
    kv_heads: int | None = Field(
        default=None, ge=1, description="key and value heads (grouped-query attention); default heads"
    )
    head_dim: int | None = Field(default=None, ge=2, description="width of a head; default hidden / heads")
    intermediate: int | None = Field(
        default=None, ge=1, description="width of SwiGLU; default 8/3 hidden, rounded up to a multiple of 64"
    )
    activation: Activation = Field(default="silu", description="of the gate in the feed-forward")
    rope_theta: float = Field(default=10_000.0, gt=0)
    rope_scaling: Llama3Scaling | None = Field(default=None, description="Llama 3.1's stretching of rotary positions")
    norm_eps: float = Field(default=1e-6, gt=0)
    tie_embeddings: bool = Field(default=True, description="the output head is the embedding matrix")
    qk_norm: bool = Field(default=True, description="RMSNorm of every query and key head (Qwen3)")
    qkv_bias: bool = Field(default=False, description="a bias on query, key and value projections (Qwen2)")
    max_positions: int = Field(default=2048, ge=1, description="longest context that the model is meant for")
    initial_std: float = Field(default=0.02, gt=0, description="standard deviation of the Gaussian initial weights")
    output_projections: Projections = Field(
        default="zero",
        description="initial weights of the projections that write to the residual stream: zero, "
        "scaled by 1 / sqrt(2 layers) (GPT-2), or normal as all others",
    )
    initialisation: Initialisation = Field(
        default="gaussian",
        description="gaussian: initial_std and output_projections; t_fixup: sizes by depth that need neither norms nor "
        "warm-up (Huang et al. 2020)",
    )
    norm: Norm = Field(
        default="rms",
        description="of the residual stream; none: without, under t_fixup; no folder of others can hold it",
    )
    mup: MuP | None = Field(
        default=None,
        description="sizes and rates tuned on a base of this width hold for this model (Yang et al. 2022)",
    )

    @field_validator("norm", mode="before")
    @classmethod
    def _causal(cls, norm: Any) -> Any:
        if norm in ("batch", "batchnorm"):
            raise ValueError("batch normalisation mixes a token with those behind it and in other documents: set rms")
        return norm

    def config(self, vocabulary_size: int) -> DecoderConfig:
        """The decoder for a vocabulary of `vocabulary_size` tokens, every default resolved."""
        values = self.model_dump()
        values["kv_heads"] = self.kv_heads or self.heads
        values["head_dim"] = self.head_dim or self.hidden // self.heads
        values["intermediate"] = self.intermediate or -(-8 * self.hidden // 3 // 64) * 64
        return DecoderConfig(vocabulary_size=vocabulary_size, **values)

    @model_validator(mode="after")
    def _nothing_idle(self) -> ModelSettings:
        idle = self.changed("initial_std", "output_projections", "mup")
        if self.initialisation == "t_fixup" and idle:
            raise ValueError(f"{' and '.join(idle)} would do nothing under initialisation: t_fixup; remove it")
        return self

    @model_validator(mode="after")
    def _with_a_base(self) -> ModelSettings:
        """muP's base keeps the proportion of heads · D to hidden, so it must have whole heads (model/mup.py)."""
        if self.mup is None:
            return self
        head_dim = self.head_dim or self.hidden // self.heads
        base_dim = self.mup.head_dim or head_dim
        of_base, of_one = self.mup.hidden * self.heads * head_dim, self.hidden * base_dim
        if of_base % of_one:
            step = of_one // math.gcd(of_one, self.heads * head_dim)
            raise ValueError(
                f"mup: a base of hidden {self.mup.hidden} would have {of_base / of_one:.4g} heads of width {base_dim}; "
                f"set mup.hidden to a multiple of {step}"
            )
        return self

    @model_validator(mode="after")
    def _buildable(self) -> ModelSettings:
        if self.head_dim is None and self.hidden % self.heads:
            raise ValueError(f"hidden ({self.hidden}) is not a multiple of heads ({self.heads}); set head_dim")
        try:
            self.config(1)
        except ValidationError as error:
            (first, *_) = error.errors()
            name = "".join(f"{part}: " for part in first["loc"])
            raise ValueError(name + first["msg"].removeprefix("Value error, ")) from None
        return self


class DecoderConfig(Settings):
    """Everything that determines a decoder's parameters and function."""

    later = _LATER

    vocabulary_size: int = Field(ge=1)
    hidden: int = Field(ge=2)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    kv_heads: int = Field(ge=1)
    head_dim: int = Field(ge=2)
    intermediate: int = Field(ge=1)
    rope_theta: float = Field(default=10_000.0, gt=0)
    rope_scaling: Llama3Scaling | None = None
    norm_eps: float = Field(default=1e-6, gt=0)
    tie_embeddings: bool = True
    qk_norm: bool = False
    qkv_bias: bool = False
    max_positions: int = Field(default=2048, ge=1)
    initial_std: float = Field(default=0.02, gt=0)
    output_projections: Projections = "zero"
    initialisation: Initialisation = "gaussian"
    norm: Norm = "rms"
    mup: MuP | None = None
    activation: Activation = "silu"

    @model_validator(mode="after")
    def _consistent(self) -> DecoderConfig:
        if self.heads % self.kv_heads:
            raise ValueError(f"heads ({self.heads}) is not a multiple of kv_heads ({self.kv_heads})")
        if self.head_dim % 2:
            raise ValueError(f"head_dim ({self.head_dim}) is odd; rotary positions need an even width")
        if self.norm == "none" and self.initialisation != "t_fixup":
            raise ValueError("norm: none wants sizes that know the depth; set initialisation: t_fixup")
        return self

    @property
    def shape(self) -> Shape:
        """What the laws of size, memory and FLOPs need to know."""
        return Shape(
            vocabulary=self.vocabulary_size,
            hidden=self.hidden,
            layers=self.layers,
            heads=self.heads,
            kv_heads=self.kv_heads,
            head_dim=self.head_dim,
            intermediate=self.intermediate,
            tied=self.tie_embeddings,
            qk_norm=self.qk_norm,
            qkv_bias=self.qkv_bias,
            layer_norms=2 if self.norm == "rms" else 0,
            final_norm=self.norm == "rms",
        )

    @property
    def parameter_count(self) -> int:
        """Number of parameters; a tied head is counted once."""
        return parameters(self.shape)
