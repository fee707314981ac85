"""Hugging Face names and configurations of the Llama family, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from tilth.base.errors import UserError
from tilth.base.settings import validate
from tilth.model.config import Activation, DecoderConfig, Llama3Scaling

ARCHITECTURES = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "mistral",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}

_OTHERWISE_CALLED = {"gelu_tanh": "gelu_pytorch_tanh"}
_ACTIVATIONS: dict[str, Activation] = {_OTHERWISE_CALLED.get(ours, ours): ours for ours in get_args(Activation)}
"""Their names and ours: the same but for one."""

OTHERS = {
    "GPT2LMHeadModel": "it has LayerNorm, learned positions and a GELU feed-forward with biases",
    "GPTNeoForCausalLM": "it has LayerNorm, learned positions and windows of attention in every other layer",
    "GPTNeoXForCausalLM": "it has LayerNorm, and attention beside the feed-forward instead of before it",
    "GPTJForCausalLM": "it has LayerNorm, and attention beside the feed-forward instead of before it",
    "OPTForCausalLM": "it has LayerNorm, learned positions and a ReLU feed-forward with biases",
    "BloomForCausalLM": "it has LayerNorm, and ALiBi's distances instead of rotary positions",
    "FalconForCausalLM": "it has LayerNorm, and attention beside the feed-forward instead of before it",
    "PhiForCausalLM": "it has LayerNorm, and attention beside the feed-forward instead of before it",
    "Phi3ForCausalLM": "its query, key and value, and its gate and up projections, are fused",
    "GemmaForCausalLM": "its norms add 1 to their weight, its embedding is scaled, its gate is GELU",
    "Gemma2ForCausalLM": "it has four norms a layer, and caps scores and logits",
    "Gemma3ForCausalLM": "it has four norms a layer, and windows of attention",
    "MixtralForCausalLM": "its feed-forward is a mixture of experts",
    "Qwen2MoeForCausalLM": "its feed-forward is a mixture of experts",
    "Qwen3MoeForCausalLM": "its feed-forward is a mixture of experts",
    "DeepseekV2ForCausalLM": "it has latent attention and a mixture of experts",
    "DeepseekV3ForCausalLM": "it has latent attention and a mixture of experts",
}
"""Known architectures that cannot be computed exactly here, and why not."""

_TOP = {
    "embedding.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "head.weight": "lm_head.weight",
}
_LAYER = {
    "attention_norm": "input_layernorm",
    "attention.query": "self_attn.q_proj",
    "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj",
    "attention.output": "self_attn.o_proj",
    "attention.query_norm": "self_attn.q_norm",
    "attention.key_norm": "self_attn.k_norm",
    "feed_forward_norm": "post_attention_layernorm",
    "feed_forward.gate": "mlp.gate_proj",
    "feed_forward.up": "mlp.up_proj",
    "feed_forward.down": "mlp.down_proj",
}


def their_name(ours: str) -> str:
    """`blocks.3.attention.query.weight` -> `model.layers.3.self_attn.q_proj.weight`."""
    if ours in _TOP:
        return _TOP[ours]
    _, layer, rest = ours.split(".", 2)
    module, kind = rest.rsplit(".", 1)
    return f"model.layers.{layer}.{_LAYER[module]}.{kind}"


def our_config(theirs: Mapping[str, Any], where: str) -> DecoderConfig:
    """What a Hugging Face `config.json` describes; UserError, with the reason, where the decoder cannot."""
    architecture = (theirs.get("architectures") or ["none named"])[0]
    if architecture not in ARCHITECTURES:
        reason = f": {OTHERS[architecture]}" if architecture in OTHERS else ""
        raise UserError(
            f"the architecture {architecture!r} is not supported{reason}",
            where=where,
            hint=f"supported: {', '.join(ARCHITECTURES)}",
        )
    _refuse_unsupported(architecture, theirs, where)
    heads = _number(theirs, "num_attention_heads", where)
    hidden = _number(theirs, "hidden_size", where)
    rope = _rope(theirs)
    ours = {
        "vocabulary_size": _number(theirs, "vocab_size", where),
        "hidden": hidden,
        "layers": _number(theirs, "num_hidden_layers", where),
        "heads": heads,
        "kv_heads": theirs.get("num_key_value_heads") or heads,
        "head_dim": theirs.get("head_dim") or (128 if architecture == "Qwen3ForCausalLM" else hidden // heads),
        "intermediate": _number(theirs, "intermediate_size", where),
        "rope_theta": rope.get("rope_theta", 10_000.0),
        "rope_scaling": _scaling(rope, where),
        "norm_eps": theirs.get("rms_norm_eps", 1e-6),
        "tie_embeddings": bool(theirs.get("tie_word_embeddings", False)),
        "qk_norm": architecture == "Qwen3ForCausalLM",
        "qkv_bias": architecture == "Qwen2ForCausalLM",
        "max_positions": theirs.get("max_position_embeddings", 2048),
        "initial_std": theirs.get("initializer_range", 0.02),
        "output_projections": "normal",
        "activation": _ACTIVATIONS[theirs.get("hidden_act", "silu")],
    }
    return validate(DecoderConfig, ours, source=where)


def _number(theirs: Mapping[str, Any], key: str, where: str) -> Any:
    """A number above 0 that must be there."""
    value = theirs.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        found = "is missing" if key not in theirs else f"is {value!r}, not a number above 0"
        raise UserError(f"{key} {found}", where=where)
    return value


def _rope(theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Rotary settings: `rope_parameters` of transformers 5, or `rope_theta` and `rope_scaling` of those before."""
    found = dict(theirs.get("rope_parameters") or theirs.get("rope_scaling") or {})
    if "rope_theta" in theirs:
        found.setdefault("rope_theta", theirs["rope_theta"])
    found.setdefault("rope_type", found.get("type", "default"))
    return found


def _scaling(rope: Mapping[str, Any], where: str) -> Llama3Scaling | None:
    if rope["rope_type"] != "llama3":
        return None
    keys = {
        "factor": "factor",
        "low_frequency_factor": "low_freq_factor",
        "high_frequency_factor": "high_freq_factor",
        "original_positions": "original_max_position_embeddings",
    }
    return validate(Llama3Scaling, {ours: _number(rope, key, where) for ours, key in keys.items()}, source=where)


def _refuse_unsupported(architecture: str, theirs: Mapping[str, Any], where: str) -> None:
    window = theirs.get("sliding_window")
    if architecture.startswith("Qwen") and not theirs.get("use_sliding_window", False):
        window = None
    reasons = {
        f"sliding_window is {window}: attention here sees the whole document": window is not None,
        f"hidden_act is {theirs.get('hidden_act')!r}, not one of {', '.join(_ACTIVATIONS)}": theirs.get(
            "hidden_act", "silu"
        )
        not in _ACTIVATIONS,
        "attention_bias is set: biases here are on query, key and value alone (Qwen2)": bool(
            theirs.get("attention_bias")
        ),
        "mlp_bias is set: the feed-forward here has no bias": bool(theirs.get("mlp_bias")),
        f"rope_type is {_rope(theirs)['rope_type']!r}, not default or llama3": _rope(theirs)["rope_type"]
        not in ("default", "llama3"),
        "the weights are quantised": "quantization_config" in theirs,
    }
    for reason, holds in reasons.items():
        if holds:
            raise UserError(f"this {architecture} cannot be computed exactly: {reason}", where=where)


def check_exportable(config: DecoderConfig) -> str:
    """The architecture of transformers that computes what `config` does; UserError where there is none."""
    if config.norm == "none":
        raise UserError(
            "model: no architecture of transformers is without norms",
            hint="set norm: rms, or export.models: none, and keep to what runs from Tilth's own folders",
        )
    if config.qk_norm and config.qkv_bias:
        raise UserError(
            "model: no architecture of transformers has qk_norm and qkv_bias", hint="set one of the two to false"
        )
    if config.qkv_bias and config.head_dim * config.heads != config.hidden:
        raise UserError(
            f"model: qkv_bias makes it a Qwen2, whose head_dim is hidden / heads, not {config.head_dim}",
            hint="leave head_dim out, or set qkv_bias: false",
        )
    return "Qwen3ForCausalLM" if config.qk_norm else "Qwen2ForCausalLM" if config.qkv_bias else "LlamaForCausalLM"


def their_config(config: DecoderConfig, dtype: str) -> dict[str, Any]:
    """`config.json` with which transformers computes the same: Llama, Qwen2 (biases) or Qwen3 (QK-norm)."""
    name = check_exportable(config)
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": config.rope_theta}
    if config.rope_scaling is not None:
        rope |= {
            "rope_type": "llama3",
            "factor": config.rope_scaling.factor,
            "low_freq_factor": config.rope_scaling.low_frequency_factor,
            "high_freq_factor": config.rope_scaling.high_frequency_factor,
            "original_max_position_embeddings": config.rope_scaling.original_positions,
        }
    result: dict[str, Any] = {
        "architectures": [name],
        "model_type": ARCHITECTURES[name],
        "vocab_size": config.vocabulary_size,
        "hidden_size": config.hidden,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "intermediate_size": config.intermediate,
        "hidden_act": next(theirs for theirs, ours in _ACTIVATIONS.items() if ours == config.activation),
        "rms_norm_eps": config.norm_eps,
        "tie_word_embeddings": config.tie_embeddings,
        "max_position_embeddings": config.max_positions,
        "initializer_range": config.initial_std,
        "rope_theta": config.rope_theta,
        "rope_parameters": rope,
        "torch_dtype": dtype,
        "dtype": dtype,
        "use_cache": True,
    }
    if config.rope_scaling is not None:
        result["rope_scaling"] = {key: value for key, value in rope.items() if key != "rope_theta"}
    if name == "Qwen2ForCausalLM":
        del result["head_dim"]
    else:
        result["attention_bias"] = False
    if name == "LlamaForCausalLM":
        result["mlp_bias"] = False
    else:
        result |= {"use_sliding_window": False, "sliding_window": None}
    return result
