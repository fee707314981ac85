"""DPO's loss and gradients against TRL's, by hand, packed and alone; the pack of pairs; the reference."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.posttrain.dpo_data import MODEL, PairReader, gradients, log_probabilities, near_duplicates
from tests.reference import post_training as inputs
from tilth.base.errors import UserError
from tilth.model import build
from tilth.posttrain import dpo
from tilth.posttrain.dpo import DPO, open_dpo, preference_loss, reference_log_probabilities
from tilth.posttrain.pairs import build_pair_pack
from tilth.posttrain.settings import DPOSettings
from tilth.tokens.store import TokenStore
from tilth.training import NextToken, make_batch

RECORDED = json.loads(inputs.RECORDED.read_text())


def agree(found: tuple[float, dict[str, Any]], name: str, scale: float = 1.0) -> None:
    """Loss and gradients equal the recorded ones within 1e-6; `scale` times theirs is ours."""
    loss, ours = found
    theirs = RECORDED[name]
    assert loss / scale == pytest.approx(theirs["loss"], abs=1e-6, rel=1e-6)
    norm = float(torch.linalg.vector_norm(torch.cat([gradient.flatten() for gradient in ours.values()])))
    assert norm / scale == pytest.approx(theirs["gradient_norm"], abs=1e-6, rel=1e-6)
    last = (ours["norm.weight"] / scale).tolist()
    assert last == pytest.approx(theirs["gradient of the last norm"], abs=1e-6, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sigmoid", {"nll": 0.0}),
        ("sigmoid, beta 0.5", {"nll": 0.0, "beta": 0.5}),
        ("sigmoid + 0.2 sft", {}),
        ("ipo", {"nll": 0.0, "loss_type": "ipo"}),
        ("label smoothing 0.1", {"nll": 0.0, "label_smoothing": 0.1}),
    ],
)
def test_equals_trl(name: str, options: dict[str, Any]) -> None:
    pairs, scale = {"ipo": inputs.EVEN, "label smoothing 0.1": inputs.PAIRS[:1]}.get(name, inputs.PAIRS), 1.0
    if name == "ipo":  # theirs divides the margin by the three tokens of every answer
        options, scale = options | {"beta": 0.1 / 3}, 9.0
    objective = DPO(log_probabilities(inputs.model(2), pairs), **options)
    reader = PairReader(pairs, 60)
    agree(gradients(objective, inputs.model(1), [reader.sequence(list(range(2 * len(pairs))))]), name, scale)


def test_supervised_loss_equals_trl() -> None:
    reader = PairReader(inputs.PAIRS, 60, sides="chosen")
    agree(gradients(NextToken(), inputs.model(1), [reader.sequence([0, 2, 4])]), "sft")


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("objective", [NextToken(), DPO(np.linspace(-20, -30, 16), beta=0.3)])
def test_packed_equals_alone(objective: Any, dtype: torch.dtype, limit: float) -> None:
    """Many pairs in one sequence, a sequence each, in another order: loss, gradients and metrics."""
    model, reader = build(MODEL, seed=3).to(dtype), PairReader(near_duplicates(8), 256)
    packed = [reader.sequence(list(range(16)))]
    alone = [reader.sequence([2 * pair, 2 * pair + 1]) for pair in (3, 1, 0, 2, 7, 6, 5, 4)]
    (a, x), (b, y) = (gradients(objective, model, sequences) for sequences in (packed, alone))
    assert a == pytest.approx(b, abs=limit)
    assert max(float((x[name] - y[name]).abs().max()) for name in x) <= limit
    found = []
    for sequences in (packed, alone):
        batch = make_batch(sequences)
        losses = objective.loss(model, batch, objective.counts(batch))
        found.append([float(value) for value, _ in losses.metrics.values()] + [float(losses.sums.sum())])
    assert found[0] == pytest.approx(found[1], abs=100 * limit)


def test_the_definition() -> None:
    change_P2 = torch.tensor([[-1.0, -3.0], [2.0, 2.5], [0.0, 0.0]], dtype=torch.float64)

    def log_sigmoid(x: float) -> float:
        return -math.log1p(math.exp(-x))

    margins = [2.0, -0.5, 0.0]
    expected = {
        (): [-log_sigmoid(0.3 * m) for m in margins],
        ("label_smoothing",): [-0.9 * log_sigmoid(0.3 * m) - 0.1 * log_sigmoid(-0.3 * m) for m in margins],
        ("positive",): [-log_sigmoid(0.3 * m) for m in (2.0 - 5.0, -0.5, 0.0)],
        ("loss_type",): [(m - 1 / 0.6) ** 2 for m in margins],
    }
    values = {"label_smoothing": 0.1, "positive": 5.0, "loss_type": "ipo"}
    for names, losses in expected.items():
        options: dict[str, Any] = {name: values[name] for name in names}
        assert preference_loss(change_P2, 0.3, **options).tolist() == pytest.approx(losses, abs=1e-12)


def test_metrics_counts_and_the_reported_loss() -> None:
    """Against a reference with another value for every document; replayed text stands beside the pairs."""
    pairs, model = near_duplicates(6), build(MODEL, seed=3).double()
    found = log_probabilities(model, pairs)
    reference = found[:8] + np.array([-1, 1, 2, -2, 3, -3, -4, 4.0])
    objective, reader = DPO(reference, beta=0.5, nll=0.3, replay=0.7), PairReader(pairs, 64)
    batch = make_batch([reader.sequence([0, 1, 6, 7]), reader.sequence([8, 9, 2, 3]), reader.sequence([4, 5])], rows=4)
    counts = objective.counts(batch)
    assert counts == {"dpo": 4, "nll": 36, "replay": 18}
    losses = objective.loss(model, batch, counts)
    change = (found[:8] - reference).reshape(4, 2)
    chosen = found[:8:2]
    metrics = {name: float(value) / counts[term] for name, (value, term) in losses.metrics.items()}
    assert metrics["dpo"] == pytest.approx(-np.log(1 / (1 + np.exp(-0.5 * (change[:, 0] - change[:, 1])))).mean())
    assert metrics["accuracy"] == 0.5
    assert metrics["margin"] == pytest.approx(0.5 * (change[:, 0] - change[:, 1]).mean())
    assert metrics["chosen"] == pytest.approx(chosen.mean())
    assert metrics["rejected"] == pytest.approx(found[1:8:2].mean())
    assert metrics["chosen_change"] == pytest.approx(0.0, abs=1e-9)
    assert metrics["rejected_change"] == pytest.approx(0.0, abs=1e-9)
    assert metrics["chosen_fell"] == 0.5
    assert metrics["nll"] == pytest.approx(-chosen.sum() / 36)
    assert float(losses.terms["dpo"].detach()) == pytest.approx(metrics["dpo"])
    assert float(losses.terms["nll"].detach()) == pytest.approx(0.3 * metrics["nll"])
    assert float(losses.terms["replay"].detach()) == pytest.approx(-0.7 * found[8:10].sum() / 18)
    assert losses.units is not None
    assert losses.units.tolist() == [18, 27, 9, 0]
    assert losses.sums.tolist() == pytest.approx(
        [-chosen[0] - chosen[3], -found[8:10].sum() - chosen[1], -chosen[2], 0.0]
    )


def test_a_batch_without_pairs_adds_nothing() -> None:
    model, objective = build(MODEL, seed=3), DPO(np.zeros(4))
    batch = make_batch([PairReader(near_duplicates(2)).sequence([])])
    assert objective.counts(batch) == {"dpo": 0, "nll": 0, "replay": 0}
    losses = objective.loss(model, batch, {"dpo": 5, "nll": 7, "replay": 0})
    sum(losses.terms.values()).backward()  # type: ignore[union-attr]
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())
    assert all(float(value) == 0 for value, _ in losses.metrics.values())


def test_the_alarm_speaks_once() -> None:
    objective = DPO(np.zeros(2), patience=3)
    changes = [-1, -1, 1, -1, -1, -2, -3, -3, 1, -1, -1, -1]
    said = [objective.watch(step, {"chosen_change": change}) for step, change in enumerate(changes, 1)]
    assert [step for step, message in enumerate(said, 1) if message] == [6, 12]
    assert "now by 2.00 nats" in (said[5] or "")


def test_torn_pairs_and_bad_references_are_refused() -> None:
    reader, objective = PairReader(near_duplicates(4)), DPO(np.zeros(8))
    for numbers in ([0], [1, 0], [0, 2, 1, 3], [0, 1, 3]):
        with pytest.raises(ValueError, match="side by side"):
            objective.counts(make_batch([reader.sequence(numbers)]))
    for reference in (np.zeros(3), np.array([0.0, np.nan])):
        with pytest.raises(ValueError, match="both documents"):
            DPO(reference)


def test_settings_are_described(tmp_path: Path) -> None:
    np.save(tmp_path / "reference.npy", np.zeros(4))
    one, other = open_dpo(str(tmp_path / "reference.npy"), beta=0.2), DPO(np.zeros(4), beta=0.2, patience=7)
    assert one.describe() == other.describe()
    assert one.describe() != DPO(np.zeros(4)).describe()
    assert one.describe() != DPO(np.ones(4), beta=0.2).describe()


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), max_size=60), st.integers(60, 100))
def test_every_pair_stands_once_and_whole(sizes: list[tuple[int, int]], length: int) -> None:
    lengths = np.array([size + 1 for pair in sizes for size in pair], np.int64)
    documents = np.arange(len(lengths))
    groups = {"even": documents[documents // 2 % 2 == 0], "odd": documents[documents // 2 % 2 == 1]}
    pack = build_pair_pack(lengths, groups, length)
    for name, members in groups.items():
        segments, first = pack.segments[name], pack.first[name]
        assert sorted(segments["document"].tolist()) == members.tolist()
        assert (segments["start"] == 0).all()
        assert segments["length"].tolist() == (lengths[segments["document"]] - 1).tolist()
        assert first[-1] == len(segments)
        for begin, end in zip(first[:-1].tolist(), first[1:].tolist(), strict=True):
            inside = segments[begin:end]
            assert inside["length"].sum() <= length
            assert (inside["document"][::2] % 2 == 0).all()
            assert (inside["document"][1::2] == inside["document"][::2] + 1).all()


def test_pairs_that_cannot_be_packed_are_refused() -> None:
    lengths = np.array([5, 6, 8, 4])
    assert build_pair_pack(lengths, {"all": np.arange(4)}, 10).sequences("all") == 2
    with pytest.raises(UserError, match="pair 1 has 10 positions, a sequence 9"):
        build_pair_pack(lengths, {"all": np.arange(4)}, 9)
    for members in ([0], [1, 2], [0, 2], [0, 1, 2]):
        with pytest.raises(ValueError, match="both documents"):
            build_pair_pack(lengths, {"all": np.array(members)}, 20)


def write_store(folder: Path, pairs: list[dict[str, list[int]]]) -> TokenStore:
    """The pairs as a token store with a loss mask."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tests.posttrain.dpo_data import documents
    from tilth.posttrain.data import without_loss
    from tilth.tokens.megatron import write_index
    from tilth.tokens.store import MASK

    found = documents(pairs)
    (folder / "tokens.bin").write_bytes(b"".join(ids.astype(np.uint16).tobytes() for ids, _ in found))
    write_index(folder / "tokens.idx", np.array([len(ids) for ids, _ in found]), np.dtype(np.uint16))
    spans = [without_loss(trained).ravel() for _, trained in found]
    pq.write_table(pa.table({MASK: pa.array(spans, pa.list_(pa.int32()))}), folder / "documents.parquet")
    return TokenStore(folder)


def test_the_reference_is_computed_once_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, model = near_duplicates(10), build(MODEL, seed=3)
    (tmp_path / "store").mkdir()
    store, work = write_store(tmp_path / "store", pairs), tmp_path / "work"
    expected = log_probabilities(model, pairs)

    class Stop(Exception):
        pass

    calls = 0
    whole = dpo.token_log_probabilities

    def stopping(*arguments: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise Stop
        return whole(*arguments)

    monkeypatch.setattr(dpo, "token_log_probabilities", stopping)
    monkeypatch.setattr(dpo, "SAVE_SECONDS", 0.0)
    with pytest.raises(Stop):
        reference_log_probabilities(model, store, work, tokens=40)
    (part,) = work.glob("*.part")
    done = int(np.isfinite(np.load(part)).sum())
    assert 0 < done < 20
    found = reference_log_probabilities(model, store, work, tokens=40)
    assert np.abs(found - expected).max() <= 1e-4
    (kept,) = work.iterdir()
    before = calls
    assert np.array_equal(reference_log_probabilities(model, store, work), found)
    assert calls == before
    with torch.no_grad():
        model.norm.weight[0] += 0.1
    again = reference_log_probabilities(model, store, work, tokens=10_000)
    assert len(list(work.iterdir())) == 2
    assert kept.exists()
    assert np.abs(again - log_probabilities(model, pairs)).max() <= 1e-4


def test_a_recipe_s_settings_reach_the_objective() -> None:
    """Every one of them, by its name."""
    given = {"beta": 0.3, "nll": 0.4, "positive": 2.0, "label_smoothing": 0.1, "replay_weight": 0.6}
    step = DPOSettings.model_validate(
        {"name": "x", "data": [{"path": "a"}], "replay": {"text": 0.1}, "loss_type": "sigmoid", **given}
    )
    told = DPO(np.zeros(2), **step.objective()).describe()
    assert told["replay"] == 0.6
    assert {name: told[name] for name in given if name in told} == {
        name: value for name, value in given.items() if name != "replay_weight"
    }
    assert told["loss_type"] == "sigmoid"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"loss_type": "ipo", "label_smoothing": 0.1}, "label_smoothing does nothing"),
        ({"replay_weight": 2.0}, "does nothing without replay"),
    ],
)
def test_settings_that_would_do_nothing_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DPOSettings.model_validate({"name": "x", "data": [{"path": "a"}], **given})
