"""Duplicates: against brute force, against labelled pairs, across the hold-out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import read_zst
from tests.corpus.helpers import CHINESE, rows, run_chain, write_jsonl
from tilth.base.errors import UserError
from tilth.corpus.dedup.exact import ExactStep
from tilth.corpus.dedup.minhash import NearStep, band_keys
from tilth.corpus.holdout import HoldoutStep
from tilth.corpus.running.work import Scratch
from tilth.corpus.settings import CorpusSettings, HoldoutSettings, NearSettings, SurvivorSettings


class Columns:
    """A view over arrays in memory."""

    def __init__(self, holdout: Sequence[bool] = (), **columns: np.ndarray) -> None:
        self.columns = {name.replace("_", "."): values for name, values in columns.items()}
        count = len(next(iter(self.columns.values())))
        self.holdout = np.array(holdout, bool) if len(holdout) else np.zeros(count, bool)

    def __len__(self) -> int:
        return len(self.holdout)

    def column(self, name: str) -> np.ndarray:
        return self.columns[name]

    def batches(self, names: Sequence[str]) -> Any:
        for start in range(0, len(self), 7):
            yield start, {name: self.columns[name][start : start + 7] for name in names}

    def codes(self, name: str) -> tuple[np.ndarray, list[str]]:
        values = list(dict.fromkeys(self.columns[name]))
        return np.array([values.index(v) for v in self.columns[name]], np.int32), values

    def ids(self, rows_: np.ndarray) -> np.ndarray:
        return np.array([f"d{row}" for row in rows_], object)


def leaders(signatures: np.ndarray, holdout: Sequence[bool], near: NearSettings) -> dict[int, tuple[int, float]]:
    """The definition, document by document: rejected row -> (partner, similarity)."""
    keys = band_keys(signatures, near.bands, near.rows)
    kept: list[int] = []
    gone: dict[int, tuple[int, float]] = {}
    order = sorted(range(len(signatures)), key=lambda row: (not holdout[row], row))
    for row in order:
        best, partner = -1.0, -1
        for other in kept:
            similarity = float(np.mean(signatures[row] == signatures[other]))
            if (keys[:, row] == keys[:, other]).any() and similarity >= near.threshold and similarity > best:
                best, partner = similarity, other
        if partner >= 0:
            gone[row] = (partner, best)
        else:
            kept.append(row)
    return gone


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(14, 8, 0.8), (28, 4, 0.5), (112, 1, 0.3)]))
def test_leader_clustering_is_what_it_says(
    tmp_path_factory: Any, seed: int, parameters: tuple[int, int, float]
) -> None:
    random = np.random.default_rng(seed)
    count = 40
    signatures = random.integers(0, 2**32, (count, 112), np.uint32)
    for row in range(1, count):  # families of copies, changed in a random share of places
        if random.random() < 0.8:
            same = random.random(112) < random.choice([0.3, 0.6, 0.8, 0.9, 1.0])
            signatures[row] = np.where(same, signatures[random.integers(row)], signatures[row])
    holdout = random.random(count) < 0.2
    near = NearSettings(bands=parameters[0], rows=parameters[1], threshold=parameters[2])
    view = Columns(holdout.tolist(), signal_minhash=signatures.view(np.uint8).reshape(count, 448))
    found = NearStep("near", near, SurvivorSettings()).decide(view, Scratch(tmp_path_factory.mktemp("near")))
    expected = leaders(signatures, holdout.tolist(), near)
    assert found.rows.tolist() == sorted(expected)
    assert found.partners.tolist() == [f"d{expected[row][0]}" for row in sorted(expected)]
    assert found.values == pytest.approx([expected[row][1] for row in sorted(expected)])


def test_exact_keeps_the_first_and_the_holdouts(tmp_path: Path) -> None:
    hashes = np.zeros((6, 16), np.uint8)
    hashes[:, 0] = [1, 2, 1, 2, 3, 1]
    found = ExactStep("exact", SurvivorSettings()).decide(
        Columns([False, False, False, True, False, False], signal_hash=hashes), Scratch(tmp_path)
    )
    pairs = zip(found.rows.tolist(), found.partners.tolist(), strict=True)
    assert list(pairs) == [(1, "d3"), (2, "d0"), (5, "d0")]


@pytest.mark.parametrize(("order", "survivor"), [("highest", "d3"), ("lowest", "d1")])
@pytest.mark.parametrize(
    "values",
    [np.array([None, "A", "", "Nz"], object), np.array([np.nan, 1.0, np.nan, 7.5])],
)
def test_who_has_no_value_is_no_survivor(tmp_path: Path, order: str, survivor: str, values: np.ndarray) -> None:
    """A null is no text "None", which would stand between "A" and "Nz"."""
    step = ExactStep("exact", SurvivorSettings.model_validate({order: "signal.votes"}))
    found = step.decide(Columns(signal_hash=np.ones((4, 16), np.uint8), signal_votes=values), Scratch(tmp_path))
    assert set(found.partners.tolist()) == {survivor}


def test_adding_documents_moves_nobody_across_the_border() -> None:
    random = np.random.default_rng(0)
    hashes = random.integers(0, 256, (3000, 16), np.uint8)
    domains = np.array(["a", "b", "c"] * 1000, object)
    step = HoldoutStep("holdout", HoldoutSettings(fraction=0.1))
    few = step.label(Columns(signal_hash=hashes[:1500], domain=domains[:1500]))
    many = step.label(Columns(signal_hash=hashes, domain=domains))
    assert (few == many[:1500]).all()
    assert 240 < many.sum() < 360
    bounded = HoldoutSettings(fraction=0.1, minimum=60, maximum=80, domains=["a", "c"])
    chosen = HoldoutStep("holdout", bounded).label(Columns(signal_hash=hashes[:300], domain=domains[:300]))
    counts = {name: int(chosen[domains[:300] == name].sum()) for name in "abc"}
    assert counts == {"a": 50, "b": 0, "c": 50}  # never more than half of a domain


def near_report(folder: Path, source: Path, near: dict[str, Any]) -> dict[str, dict[str, Any]]:
    plain = {"sources": [str(source)], "steps": ["measure", "near"], "near": near, "measure": {"language": "never"}}
    run_chain(folder, CorpusSettings.model_validate(plain), base=folder)
    return {row["id"]: row for row in rows(folder / "corpus" / "rejected")}


@pytest.mark.parametrize("name", ["laws", "openstax"])
def test_recall_on_labelled_pairs(real_data: Path, tmp_path: Path, name: str) -> None:
    gone = near_report(tmp_path, real_data / "dedup" / f"{name}_docs.jsonl.zst", {})
    exact = {
        frozenset((pair["a"], pair["b"])): pair["jaccard"]
        for pair in read_zst(real_data / "dedup" / f"{name}_pairs.jsonl.zst")
    }
    alike = [pair for pair, jaccard in exact.items() if jaccard >= 0.8]
    caught = [pair for pair in alike if pair & gone.keys()]
    assert len(caught) >= 0.97 * len(alike)
    for row in gone.values():  # every partner stays and is truly similar
        assert row["partner"] not in gone
        assert row["value"] >= 0.75
        assert exact[frozenset((row["id"], row["partner"]))] >= 0.6


def test_exactly_the_planted_pairs(real_data: Path, tmp_path: Path) -> None:
    near = {"threshold": 0.5, "bands": 28, "rows": 4}
    gone = near_report(tmp_path, real_data / "dedup" / "minhash_articles.jsonl.zst", near)
    planted = json.loads((real_data / "dedup" / "minhash_truth.json").read_text())
    assert {frozenset((row["id"], row["partner"])) for row in gone.values()} == {
        frozenset(pair.values()) for pair in planted
    }


def test_a_near_copy_of_a_holdout_document_leaves_the_training_set(tmp_path: Path) -> None:
    texts = [f"{CHINESE}{''.join(chr(0x4E00 + (i * 97 + k * k * 31) % 5000) for k in range(400))}" for i in range(60)]
    records = [{"text": text + tail, "id": f"{i}{tail}"} for i, text in enumerate(texts) for tail in ("甲", "乙")]
    write_jsonl(tmp_path / "a.jsonl", records)
    plain = {"sources": ["a.jsonl"], "steps": ["measure", "holdout", "near"], "holdout": {"fraction": 0.2}}
    run_chain(tmp_path, CorpusSettings.model_validate(plain), base=tmp_path)
    kept = {row["id"] for row in rows(tmp_path / "corpus" / "documents")}
    held = {row["id"] for row in rows(tmp_path / "corpus" / "holdout")}
    assert len(held) >= 10
    assert len(kept) + len(held) == 60
    assert not {name[:-1] for name in kept} & {name[:-1] for name in held}


def test_another_data_set_keeps_its_near_copies_out(tmp_path: Path) -> None:
    texts = [f"{CHINESE}{''.join(chr(0x4E00 + (i * 97 + k * k * 31) % 5000) for k in range(400))}" for i in range(9)]
    write_jsonl(tmp_path / "other.jsonl", [{"id": f"o{i}", "text": text} for i, text in enumerate(texts[:4])])
    ours = [{"id": f"a{i}", "text": text + ("" if i == 1 else "尾")} for i, text in enumerate(texts)]
    write_jsonl(tmp_path / "a.jsonl", ours)
    plain = {
        "sources": [{"path": "other.jsonl", "source": "other"}, "a.jsonl"],
        "steps": ["measure", "exact", "holdout", "near"],
        "holdout": {"fraction": 0, "where": "source == 'other'"},
    }
    run_chain(tmp_path, CorpusSettings.model_validate(plain), base=tmp_path)
    assert {row["id"] for row in rows(tmp_path / "corpus" / "holdout")} == {"o0", "o1", "o2", "o3"}
    assert {row["id"] for row in rows(tmp_path / "corpus" / "documents")} == {"a4", "a5", "a6", "a7", "a8"}
    gone = {row["id"]: (row["rule"], row["partner"]) for row in rows(tmp_path / "corpus" / "rejected")}
    assert gone["a1"] == ("same_text", "o1")
    assert gone["a0"] == ("near_duplicate", "o0")
    with pytest.raises(UserError, match=r"corpus\.holdout\.where.*no column 'sorce'"):
        run_chain(
            tmp_path, CorpusSettings.model_validate(plain | {"holdout": {"where": "sorce == 'x'"}}), base=tmp_path
        )
