"""Published decoders: the shape of each kind of Hugging Face configuration, and well-known models by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tilth.laws.model_size import Shape

Config = Mapping[str, Any]


def shape_of(config: Config) -> Shape:
    """The shape that a `config.json` describes; ValueError for a kind that is not known, KeyError for a lost field."""
    kind = config.get("model_type")
    if not kind:
        raise KeyError("model_type")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"model_type is {kind!r}; known: {', '.join(sorted(KINDS))}")
    shape = KINDS[kind](config)
    if shape.heads % shape.kv_heads:
        raise ValueError(f"{shape.heads} heads cannot share {shape.kv_heads} key-value heads evenly")
    if shape.active_experts > shape.experts:
        raise ValueError(f"{shape.active_experts} of {shape.experts} experts cannot be active")
    return shape


def _head_dim(hidden: int, heads: int) -> int:
    """H / A, where no configuration says otherwise."""
    if hidden % heads:
        raise ValueError(f"a hidden size of {hidden} does not divide among {heads} heads, and no head_dim is given")
    return hidden // heads


def _frame(config: Config, **changes: Any) -> Shape:
    """What the Llama-like kinds share, under the usual names."""
    heads = config["num_attention_heads"]
    only_experts = "expert_intermediate" in changes and not changes.get("dense_layers")
    fields: dict[str, Any] = {
        "vocabulary": config["vocab_size"],
        "hidden": config["hidden_size"],
        "layers": config["num_hidden_layers"],
        "heads": heads,
        "kv_heads": config.get("num_key_value_heads") or heads,
        "head_dim": changes.get("head_dim") or config.get("head_dim") or _head_dim(config["hidden_size"], heads),
        "intermediate": config.get("intermediate_size", 0) if only_experts else config["intermediate_size"],
        "tied": config.get("tie_word_embeddings", False),
    }
    return Shape(**fields | changes)


def _classic(vocabulary: int, hidden: int, layers: int, heads: int, wide: int, **changes: Any) -> Shape:
    """LayerNorm, two feed-forward matrices, biases everywhere but in the head."""
    fields: dict[str, Any] = {
        "kv_heads": heads,
        "gated": False,
        "norm": "layer",
        "qkv_bias": True,
        "output_bias": True,
        "mlp_bias": True,
        "head_dim": _head_dim(hidden, heads),
    }
    return Shape(vocabulary, hidden, layers, heads, intermediate=wide, **fields | changes)


def _llama(config: Config) -> Shape:
    bias = config.get("attention_bias", False)
    return _frame(config, qkv_bias=bias, output_bias=bias, mlp_bias=config.get("mlp_bias", False))


def _qwen2(config: Config) -> Shape:
    return _frame(config, qkv_bias=True)


def _qwen3(config: Config) -> Shape:
    bias = config.get("attention_bias", False)
    return _frame(config, qk_norm=True, qkv_bias=bias, output_bias=bias, head_dim=config.get("head_dim") or 128)


def _gemma(config: Config, **changes: Any) -> Shape:
    tied, head_dim = config.get("tie_word_embeddings", True), config.get("head_dim") or 256
    return _frame(config, tied=tied, head_dim=head_dim, **changes)


def _gemma2(config: Config) -> Shape:
    return _gemma(config, layer_norms=4)


def _gemma3(config: Config) -> Shape:
    return _gemma(config, layer_norms=4, qk_norm=True)


def _olmo(config: Config) -> Shape:
    bias = config.get("attention_bias", False)
    return _frame(config, norm="plain", qkv_bias=bias, output_bias=bias)


def _olmo2(config: Config) -> Shape:
    return _frame(config, qk_norm="width")


def _starcoder2(config: Config) -> Shape:
    bias = config.get("use_bias", True)
    tied = config.get("tie_word_embeddings", True)
    return _frame(config, gated=False, norm="layer", qkv_bias=bias, output_bias=bias, mlp_bias=bias, tied=tied)


def _phi(config: Config) -> Shape:
    changes = {"qkv_bias": True, "output_bias": True, "mlp_bias": True, "head_bias": True}
    return _frame(config, gated=False, norm="layer", layer_norms=1, **changes)


def _gpt2(config: Config) -> Shape:
    hidden = config["n_embd"]
    wide = config.get("n_inner") or 4 * hidden
    tied, positions = config.get("tie_word_embeddings", True), config["n_positions"]
    kv_heads = 1 if config.get("multi_query") else config["n_head"]
    return _classic(config["vocab_size"], hidden, config["n_layer"], config["n_head"], wide,
                    positions=positions, tied=tied, kv_heads=kv_heads)  # fmt: skip


def _gpt_bigcode(config: Config) -> Shape:
    return _gpt2({**config, "multi_query": config.get("multi_query", True)})


def _gptj(config: Config) -> Shape:
    hidden = config["n_embd"]
    return _classic(config["vocab_size"], hidden, config["n_layer"], config["n_head"],
                    config.get("n_inner") or 4 * hidden, qkv_bias=False, output_bias=False, head_bias=True,
                    layer_norms=1)  # fmt: skip


def _gpt_neox(config: Config) -> Shape:
    bias = config.get("attention_bias", True)
    return _classic(config["vocab_size"], config["hidden_size"], config["num_hidden_layers"],
                    config["num_attention_heads"], config["intermediate_size"], qkv_bias=bias, output_bias=bias,
                    tied=config.get("tie_word_embeddings", False))  # fmt: skip


def _opt(config: Config) -> Shape:
    hidden, width = config["hidden_size"], config.get("word_embed_proj_dim")
    bias = config.get("enable_bias", True)
    before = config.get("do_layer_norm_before", True) and not config.get("_remove_final_layer_norm", False)
    return _classic(config["vocab_size"], hidden, config["num_hidden_layers"], config["num_attention_heads"],
                    config["ffn_dim"], positions=config["max_position_embeddings"] + 2, final_norm=before,
                    embedding_width=None if width in (None, hidden) else width, qkv_bias=bias, output_bias=bias,
                    mlp_bias=bias, tied=config.get("tie_word_embeddings", True))  # fmt: skip


def _bloom(config: Config) -> Shape:
    hidden = config.get("hidden_size") or config["n_embed"]
    heads = config.get("n_head") or config["num_attention_heads"]
    return _classic(config["vocab_size"], hidden, config.get("n_layer") or config["num_hidden_layers"], heads,
                    4 * hidden, embedding_norm=True, tied=config.get("tie_word_embeddings", True))  # fmt: skip


def _falcon(config: Config) -> Shape:
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    new, bias = config.get("new_decoder_architecture", False), config.get("bias", False)
    kv_heads = config.get("num_kv_heads") or heads if new else 1 if config.get("multi_query", True) else heads
    norms = 1 if config.get("parallel_attn", True) and (not new or config.get("num_ln_in_parallel_attn") == 1) else 2
    return _classic(config["vocab_size"], hidden, config["num_hidden_layers"], heads,
                    config.get("ffn_hidden_size") or 4 * hidden, kv_heads=kv_heads, layer_norms=norms,
                    qkv_bias=bias, output_bias=bias, mlp_bias=bias,
                    tied=config.get("tie_word_embeddings", True))  # fmt: skip


def _mpt(config: Config) -> Shape:
    hidden = config["d_model"]
    return _classic(config["vocab_size"], hidden, config["n_layers"], config["n_heads"],
                    hidden * config.get("expansion_ratio", 4), norm_bias=False, qkv_bias=False, output_bias=False,
                    mlp_bias=False, tied=config.get("tie_word_embeddings", True))  # fmt: skip


def _mixtral(config: Config) -> Shape:
    return _frame(config, experts=config["num_local_experts"], active_experts=config["num_experts_per_tok"],
                  expert_intermediate=config["intermediate_size"])  # fmt: skip


def _sparse_layers(config: Config) -> dict[str, Any]:
    """Experts of the Qwen kinds; layers beside the sparse ones are dense."""
    step, dense = config.get("decoder_sparse_step", 1), set(config.get("mlp_only_layers") or ())
    layers = config["num_hidden_layers"]
    sparse = sum(1 for i in range(layers) if i not in dense and (i + 1) % step == 0)
    return {
        "experts": config["num_experts"] if "num_experts" in config else config["num_local_experts"],
        "active_experts": config["num_experts_per_tok"],
        "expert_intermediate": config["moe_intermediate_size"],
        "dense_layers": layers - sparse,
    }


def _qwen2_moe(config: Config) -> Shape:
    shared = {"shared_intermediate": config["shared_expert_intermediate_size"], "shared_gate": True}
    return _frame(config, qkv_bias=True, **_sparse_layers(config), **shared)


def _qwen3_moe(config: Config) -> Shape:
    bias = config.get("attention_bias", False)
    return _frame(config, qk_norm=True, qkv_bias=bias, output_bias=bias, **_sparse_layers(config))


def _olmoe(config: Config) -> Shape:
    return _frame(config, qk_norm="width", experts=config["num_experts"], active_experts=config["num_experts_per_tok"],
                  expert_intermediate=config["intermediate_size"])  # fmt: skip


KINDS: dict[str, Callable[[Config], Shape]] = {
    "llama": _llama,
    "mistral": _llama,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
    "phi3": _frame,
    "gemma": _gemma,
    "gemma2": _gemma2,
    "gemma3_text": _gemma3,
    "olmo": _olmo,
    "olmo2": _olmo2,
    "starcoder2": _starcoder2,
    "phi": _phi,
    "gpt2": _gpt2,
    "gpt_bigcode": _gpt_bigcode,
    "gptj": _gptj,
    "gpt_neox": _gpt_neox,
    "opt": _opt,
    "bloom": _bloom,
    "falcon": _falcon,
    "mpt": _mpt,
    "mixtral": _mixtral,
    "qwen2_moe": _qwen2_moe,
    "qwen3_moe": _qwen3_moe,
    "olmoe": _olmoe,
}
"""By `model_type`. Multi-head latent attention (DeepSeek V2 and V3) is not among them."""


def _pythia(hidden: int, layers: int, heads: int, vocabulary: int = 50304) -> Shape:
    return _classic(vocabulary, hidden, layers, heads, 4 * hidden)


def _opt_named(hidden: int, layers: int, heads: int, **changes: Any) -> Shape:
    return _classic(50272, hidden, layers, heads, 4 * hidden, positions=2050, tied=True, **changes)


def _gpt2_named(hidden: int, layers: int, heads: int) -> Shape:
    return _classic(50257, hidden, layers, heads, 4 * hidden, positions=1024, tied=True)


def _bloom_named(hidden: int, layers: int, heads: int) -> Shape:
    return _classic(250880, hidden, layers, heads, 4 * hidden, embedding_norm=True, tied=True)


PUBLISHED: dict[str, Shape] = {
    "LLaMA-7B": Shape(32000, 4096, 32, 32, 32, 128, 11008),
    "LLaMA-13B": Shape(32000, 5120, 40, 40, 40, 128, 13824),
    "LLaMA-33B": Shape(32000, 6656, 60, 52, 52, 128, 17920),
    "LLaMA-65B": Shape(32000, 8192, 80, 64, 64, 128, 22016),
    "Llama-2-7b-hf": Shape(32000, 4096, 32, 32, 32, 128, 11008),
    "Llama-2-13b-hf": Shape(32000, 5120, 40, 40, 40, 128, 13824),
    "Llama-2-70b-hf": Shape(32000, 8192, 80, 64, 8, 128, 28672),
    "Llama-3-8B": Shape(128256, 4096, 32, 32, 8, 128, 14336),
    "Llama-3-70B": Shape(128256, 8192, 80, 64, 8, 128, 28672),
    "Llama-3.1-405B": Shape(128256, 16384, 126, 128, 8, 128, 53248),
    "Llama-3.2-1B": Shape(128256, 2048, 16, 32, 8, 64, 8192, tied=True),
    "Llama-3.2-3B": Shape(128256, 3072, 28, 24, 8, 128, 8192, tied=True),
    "TinyLlama-1.1B": Shape(32000, 2048, 22, 32, 4, 64, 5632),
    "Mistral-7B": Shape(32000, 4096, 32, 32, 8, 128, 14336),
    "Mixtral-8x7B": Shape(32000, 4096, 32, 32, 8, 128, 14336, experts=8, active_experts=2, expert_intermediate=14336),
    "Qwen2.5-0.5B": Shape(151936, 896, 24, 14, 2, 64, 4864, tied=True, qkv_bias=True),
    "Qwen2.5-1.5B": Shape(151936, 1536, 28, 12, 2, 128, 8960, tied=True, qkv_bias=True),
    "Qwen2.5-3B": Shape(151936, 2048, 36, 16, 2, 128, 11008, tied=True, qkv_bias=True),
    "Qwen2.5-7B": Shape(152064, 3584, 28, 28, 4, 128, 18944, qkv_bias=True),
    "Qwen2.5-14B": Shape(152064, 5120, 48, 40, 8, 128, 13824, qkv_bias=True),
    "Qwen2.5-32B": Shape(152064, 5120, 64, 40, 8, 128, 27648, qkv_bias=True),
    "Qwen2.5-72B": Shape(152064, 8192, 80, 64, 8, 128, 29568, qkv_bias=True),
    "Qwen3-0.6B": Shape(151936, 1024, 28, 16, 8, 128, 3072, tied=True, qk_norm=True),
    "Qwen3-1.7B": Shape(151936, 2048, 28, 16, 8, 128, 6144, tied=True, qk_norm=True),
    "Qwen3-4B": Shape(151936, 2560, 36, 32, 8, 128, 9728, tied=True, qk_norm=True),
    "Qwen3-8B": Shape(151936, 4096, 36, 32, 8, 128, 12288, qk_norm=True),
    "Qwen3-14B": Shape(151936, 5120, 40, 40, 8, 128, 17408, qk_norm=True),
    "Qwen3-32B": Shape(151936, 5120, 64, 64, 8, 128, 25600, qk_norm=True),
    "Qwen3-30B-A3B": Shape(
        151936, 2048, 48, 32, 4, 128, 6144, qk_norm=True, experts=128, active_experts=8, expert_intermediate=768
    ),
    "OLMoE-1B-7B": Shape(
        50304, 2048, 16, 16, 16, 128, 1024, qk_norm="width", experts=64, active_experts=8, expert_intermediate=1024
    ),
    "Gemma-7B": Shape(256000, 3072, 28, 16, 16, 256, 24576, tied=True),
    "Gemma-2-2B": Shape(256000, 2304, 26, 8, 4, 256, 9216, tied=True, layer_norms=4),
    "pythia-70m": _pythia(512, 6, 8),
    "pythia-160m": _pythia(768, 12, 12),
    "pythia-410m": _pythia(1024, 24, 16),
    "pythia-1b": _pythia(2048, 16, 8),
    "pythia-1.4b": _pythia(2048, 24, 16),
    "pythia-2.8b": _pythia(2560, 32, 32),
    "pythia-6.9b": _pythia(4096, 32, 32, 50432),
    "pythia-12b": _pythia(5120, 36, 40, 50688),
    "GPT-NeoX-20B": _classic(50432, 6144, 44, 64, 24576),
    "GPT-J-6B": _classic(
        50400, 4096, 28, 16, 16384, qkv_bias=False, output_bias=False, head_bias=True, layer_norms=1
    ),
    "gpt2": _gpt2_named(768, 12, 12),
    "gpt2-medium": _gpt2_named(1024, 24, 16),
    "gpt2-large": _gpt2_named(1280, 36, 20),
    "gpt2-xl": _gpt2_named(1600, 48, 25),
    "opt-125m": _opt_named(768, 12, 12),
    "opt-350m": _opt_named(1024, 24, 16, embedding_width=512, final_norm=False),
    "opt-1.3b": _opt_named(2048, 24, 32),
    "opt-6.7b": _opt_named(4096, 32, 32),
    "opt-66b": _opt_named(9216, 64, 72),
    "bloom-560m": _bloom_named(1024, 24, 16),
    "bloom-7b1": _bloom_named(4096, 30, 32),
    "bloom": _bloom_named(14336, 70, 112),
    "falcon-7b": _classic(
        65024, 4544, 32, 71, 18176, kv_heads=1, layer_norms=1, qkv_bias=False, output_bias=False, mlp_bias=False,
        tied=True,
    ),
    "falcon-40b": _classic(
        65024, 8192, 60, 128, 32768, kv_heads=8, qkv_bias=False, output_bias=False, mlp_bias=False, tied=True
    ),
    "mpt-7b": _classic(
        50432, 4096, 32, 32, 16384, norm_bias=False, qkv_bias=False, output_bias=False, mlp_bias=False, tied=True
    ),
    "phi-2": _classic(51200, 2560, 32, 32, 10240, head_bias=True, layer_norms=1),
}  # fmt: skip
"""By the names that they are published under (Hugging Face's, without the organisation)."""


def published(name: str) -> Shape | None:
    """A published shape, in any case, with its owner or without, with `-hf` or without; None where there is none."""
    plain = name.rpartition("/")[2].lower().removesuffix("-hf")
    return next((shape for known, shape in PUBLISHED.items() if known.lower().removesuffix("-hf") == plain), None)
