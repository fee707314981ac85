"""The engine against the decoder without a cache, against transformers, and against itself in other company."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tilth.base.errors import UserError
from tilth.model import Boundaries, Decoder, DecoderConfig, Engine, Sampling, build, export_model, generate
from tilth.model.adapters import AdapterSettings
from tilth.model.adapters.low_rank import adapted, attach, merge

SIZES = {"vocabulary_size": 96, "hidden": 32, "layers": 3, "heads": 4, "kv_heads": 4, "head_dim": 8, "intermediate": 48}
MORE = {"initial_std": 0.3, "output_projections": "normal", "max_positions": 64}
SCALING = {"factor": 8.0, "low_frequency_factor": 1.0, "high_frequency_factor": 4.0, "original_positions": 32}
CASES: dict[str, dict[str, Any]] = {
    "llama": {"tie_embeddings": False},
    "grouped": {"kv_heads": 2},
    "one group, wide heads": {"kv_heads": 1, "head_dim": 16},
    "qk_norm": {"qk_norm": True, "kv_heads": 2, "norm_eps": 1e-3},
    "qkv_bias": {"qkv_bias": True, "kv_heads": 2, "tie_embeddings": False},
    "rope scaling": {"rope_theta": 100.0, "rope_scaling": SCALING},
}
WITHOUT_KERNEL: dict[str, dict[str, Any]] = {
    "another activation": {"activation": "gelu_tanh"},
    "no norms": {"norm": "none", "initialisation": "t_fixup", "qk_norm": True},
}
PROMPTS = [[1, 2, 3], [7], [5, 5, 9, 30, 2, 8, 11], [4, 4], list(range(40, 60))]


def decoder(options: dict[str, Any] | None = None, dtype: torch.dtype = torch.float32) -> Decoder:
    model = build(DecoderConfig.model_validate(SIZES | MORE | (options or {})), seed=5)
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.ndim == 1:  # norms and biases are constants at the beginning: move them
            torch.nn.init.normal_(parameter, float(parameter.detach()[0]), 0.3)
    return model.to(dtype)


def log_probabilities(model: Decoder, tokens: Sequence[int]) -> torch.Tensor:
    """fp64 [n, V] behind each of the tokens, computed without a cache."""
    boundaries = Boundaries(torch.tensor([0, len(tokens)], dtype=torch.int32), 1)
    with torch.no_grad():
        hidden = model(torch.tensor(tokens), torch.arange(len(tokens)), boundaries)
        return torch.log_softmax(model.logits(hidden).double(), -1)


def noting_lengths(forward: Callable[..., torch.Tensor], read: list[int]) -> Callable[..., torch.Tensor]:
    """`forward`, which notes how many tokens it is given."""

    def noting(tokens: torch.Tensor, *rest: Any) -> torch.Tensor:
        read.append(len(tokens))
        return forward(tokens, *rest)

    return noting


@pytest.mark.parametrize("case", [*CASES, *WITHOUT_KERNEL])
@pytest.mark.parametrize(
    ("dtype", "std", "tolerance"), [(torch.float32, 0.1, 1e-5), (torch.float64, 0.3, 1e-11)], ids=["fp32", "fp64"]
)
def test_greedy_tokens_and_log_probabilities_are_the_decoders(
    case: str, dtype: torch.dtype, std: float, tolerance: float
) -> None:
    """fp64 shows, on weights that magnify every difference, that fp32's is rounding."""
    model = decoder((CASES | WITHOUT_KERNEL)[case] | {"initial_std": std}, dtype)
    for prompt, result in zip(PROMPTS, generate(model, PROMPTS, max_new=20), strict=True):
        expected = log_probabilities(model, [*prompt, *result.tokens])[len(prompt) - 1 : -1]
        assert result.tokens == expected.argmax(-1).tolist()
        found = torch.tensor(result.log_probabilities, dtype=torch.float64)
        assert (found - expected.max(-1).values).abs().max() < tolerance


def test_who_else_is_in_the_batch_changes_nothing() -> None:
    """Alone, together, joined while others run, with one row only: other settings in every row."""
    model = decoder(CASES["grouped"], torch.float64)
    settings = [Sampling(), Sampling(1.0), Sampling(0.7, top_k=5), Sampling(1.3, top_p=0.8), Sampling()]
    lengths = [9, 20, 3, 14, 1]

    def submit(engine: Engine, i: int) -> Any:
        return engine.submit(PROMPTS[i], max_new=lengths[i], sampling=settings[i], seed=i, stop=[13])

    alone = []
    for i in range(5):
        engine = Engine(model)
        alone += engine.run([submit(engine, i)])
    for batch, gap, prefill in ((16, 0, 4096), (16, 3, 4096), (2, 1, 4096), (1, 0, 4096), (16, 0, 1)):
        engine = Engine(model, batch=batch, prefill=prefill)
        requests = []
        for i in range(5):
            requests.append(submit(engine, i))
            for _ in range(gap):
                engine.step()
        together = engine.run(requests)
        assert [r.tokens for r in together] == [r.tokens for r in alone]
        for a, b in zip(together, alone, strict=True):
            assert a.log_probabilities == pytest.approx(b.log_probabilities, abs=1e-12)
        assert not engine.busy


@pytest.mark.parametrize("case", ["grouped", "one group, wide heads", "rope scaling"])
def test_a_beginning_that_prompts_share_is_read_once(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = decoder(CASES[case], torch.float64)
    common = [(7 * place) % 90 for place in range(40)]
    prompts = [[*common, *prompt] for prompt in (*PROMPTS[:4], PROMPTS[0])] + [common[:34], common, PROMPTS[4]]
    alone = [generate(model, [prompt], max_new=4)[0] for prompt in prompts]
    for prefill in (4096, 60, 1):
        engine = Engine(model, prefill=prefill)
        read: list[int] = []
        monkeypatch.setattr(engine.decoder, "forward", noting_lengths(engine.decoder.forward, read))
        requests = [engine.submit(prompt, max_new=4) for prompt in prompts]
        first = engine.step()
        if prefill == 4096:
            assert len(first) == 7  # the last one shares nothing: it joins with the next step
            assert read == [33, (10 + 8 + 14 + 9) + 1 + 7]  # of each but the repeated one, what stands behind the 33
        together = engine.run(requests)
        assert [r.tokens for r in together] == [r.tokens for r in alone]
        for a, b in zip(together, alone, strict=True):
            assert a.log_probabilities == pytest.approx(b.log_probabilities, abs=1e-12)


@pytest.mark.parametrize("case", ["llama", "qk_norm", "qkv_bias", "rope scaling"])
def test_transformers_generates_the_same(case: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    model = decoder(CASES[case])
    export_model(model, tmp_path)
    referee = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    generator = torch.Generator().manual_seed(3)
    prompts = torch.randint(96, (16, 12), generator=generator)
    for count in (1, 16):
        given = prompts[:count]
        options = {"max_new_tokens": 24, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
        expected = referee.generate(given, attention_mask=torch.ones_like(given), **options)[:, 12:].tolist()
        assert [r.tokens for r in generate(model, given.tolist(), max_new=24)] == expected


def test_a_cancelled_request_leaves_and_the_others_do_not_notice() -> None:
    model = decoder(dtype=torch.float64)
    engine = Engine(model, batch=3)
    requests = [engine.submit(prompt, max_new=12) for prompt in PROMPTS]
    for _ in range(4):
        engine.step()
    engine.cancel(requests[0])
    engine.cancel(requests[3])  # it is still waiting
    results = engine.run(requests)
    assert not engine.running
    expected = generate(model, PROMPTS, max_new=12)
    assert results[0].tokens == expected[0].tokens[:4]
    assert results[3].tokens == []
    assert [results[i].tokens for i in (1, 2, 4)] == [expected[i].tokens for i in (1, 2, 4)]


def test_the_context_is_the_limit() -> None:
    engine = Engine(decoder(), context=10)
    for max_new in (None, 50):
        (result,) = engine.run([engine.submit([1, 2, 3], max_new=max_new)])
        assert len(result.tokens) == 7
        assert not result.stopped
    with pytest.raises(UserError, match="10 tokens; the model's context holds 10"):
        engine.submit([1] * 10)
    with pytest.raises(UserError, match="no tokens"):
        engine.submit([])
    with pytest.raises(UserError, match="vocabulary of 96"):
        engine.submit([96])


def test_an_engine_takes_over_new_weights() -> None:
    """As a rollout engine does after every update; until then the old weights are a copy of their own."""
    first = decoder()
    second = build(first.config, seed=9)
    expected = [generate(model, PROMPTS, max_new=8) for model in (first, second)]
    engine = Engine(first)
    with torch.no_grad():
        for mine, theirs in zip(first.parameters(), second.parameters(), strict=True):
            mine.copy_(theirs)
    assert generate(engine, PROMPTS, max_new=8) == expected[0]
    engine.decoder.load(first)
    assert generate(engine, PROMPTS, max_new=8) == expected[1]


def test_adapters_are_taken_along() -> None:
    model = decoder(dtype=torch.float64)
    attach(model, AdapterSettings(rank=2), seed=1)
    with torch.no_grad():
        for _, module in adapted(model):
            module.lora_B.normal_()
    apart = generate(model, PROMPTS, max_new=8)
    for prompt, result in zip(PROMPTS, apart, strict=True):
        expected = log_probabilities(model, [*prompt, *result.tokens])[len(prompt) - 1 : -1]
        assert result.tokens == expected.argmax(-1).tolist()
    merge(model)
    assert [r.tokens for r in generate(model, PROMPTS, max_new=8)] == [r.tokens for r in apart]


def test_half_precision_stays_close() -> None:
    model = decoder(CASES["qk_norm"])
    engine = Engine(model, dtype=torch.bfloat16)
    for prompt, result in zip(PROMPTS, generate(engine, PROMPTS, max_new=16), strict=True):
        expected = log_probabilities(model, [*prompt, *result.tokens])[len(prompt) - 1 : -1]
        exact = expected.gather(1, torch.tensor(result.tokens)[:, None])[:, 0]
        found = torch.tensor(result.log_probabilities, dtype=torch.float64)
        assert (found - exact).abs().mean() < 0.1


def test_samples_of_one_prompt_are_as_alone() -> None:
    """Its prompt is read once, and all the same every sample is what it is by itself."""
    model = decoder(CASES["qk_norm"], torch.float64)
    prompts = [PROMPTS[i] for i in (2, 0, 2, 4, 2, 0)]
    together = generate(model, prompts, max_new=9, sampling=Sampling(1.0), seeds=range(6))
    for prompt, seed, result in zip(prompts, range(6), together, strict=True):
        (alone,) = generate(model, [prompt], max_new=9, sampling=Sampling(1.0), seeds=[seed])
        assert result.tokens == alone.tokens
    assert len({tuple(together[i].tokens) for i in (0, 2, 4)}) == 3


def test_hundreds_of_prompts_in_small_batches() -> None:
    model = decoder()
    prompts = [[i % 96, (i * 7) % 96] for i in range(200)]
    small, large = generate(model, prompts, max_new=5, batch=16), generate(model, prompts, max_new=5)
    assert [r.tokens for r in small] == [r.tokens for r in large]


def test_what_a_crowd_needed_does_not_grow_with_one_long_answer() -> None:
    """The cache is never more than eight times what its rows use, whatever they may come to need."""
    engine = Engine(decoder(), context=100_000)
    crowd = [engine.submit([1 + i], max_new=8) for i in range(64)]
    last = engine.submit(PROMPTS[0], max_new=50_000)
    engine.run(crowd)
    for _ in range(300):
        engine.step()
        shape = engine.cache.store.shape
        assert shape[2] * shape[4] <= 8 * max(engine.cache.lengths[0], 64)
    engine.cancel(last)
    engine.step()
    assert engine.cache.store.numel() == 0


def test_memory_goes_with_what_needs_it() -> None:
    """Many long answers leave; one short one goes on in a cache of its size, undisturbed; then nothing is held."""
    model = decoder(dtype=torch.float64)
    engine = Engine(model)
    crowd = [engine.submit([1 + i] * 40, max_new=3) for i in range(16)]
    engine.step()
    last = engine.submit(PROMPTS[0], max_new=20)
    engine.run(crowd)
    most = engine.cache.store.numel()
    engine.step()
    assert 0 < engine.cache.store.numel() < most / 4
    assert engine.run([last])[0].tokens == generate(model, PROMPTS[:1], max_new=20)[0].tokens
    assert engine.cache.store.numel() == 0


def test_equal_and_unequal_lengths_give_the_same_in_single_precision() -> None:
    """Rows of equal length are written and read without a mask; a row of another length beside them changes nothing."""
    model = decoder(CASES["qk_norm"] | {"initial_std": 0.1})
    prompts = [[3 * i + 1, i, 7, 2 * i] for i in range(6)]
    equal = generate(model, prompts, max_new=20)
    for alone, together in zip(equal, generate(model, [*prompts, [5] * 9], max_new=20), strict=False):
        assert alone.tokens == together.tokens
        assert alone.log_probabilities == pytest.approx(together.log_probabilities, abs=1e-5)
    expected = log_probabilities(model, [*prompts[0], *equal[0].tokens])[3:-1]
    assert equal[0].tokens == expected.argmax(-1).tolist()
