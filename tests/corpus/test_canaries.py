"""Planted secrets: the same for the same key, counted, never masked or held out, in a list of their own."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.corpus.helpers import CHINESE, ENGLISH, assert_conserved, hashes, rows, run_chain, write_jsonl
from tilth.base.errors import UserError
from tilth.corpus.privacy.canaries import SPACES, draw
from tilth.corpus.settings import CanarySettings, CorpusSettings


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A corpus of two domains; the English one holds more text, and a number of its own."""
    texts = [f"{ENGLISH * 6}It was {i} years ago." for i in range(30)]
    records = [{"text": text, "domain": "river", "votes": i} for i, text in enumerate(texts)]
    records += [{"text": f"{CHINESE * 6}第{i}年。", "domain": "河", "votes": i} for i in range(10)]
    write_jsonl(tmp_path / "texts.jsonl", records)
    return tmp_path


def chain(**canaries: object) -> CorpusSettings:
    return CorpusSettings.model_validate(
        {
            "sources": [{"path": "texts.jsonl", "signals": {"votes": "votes"}}],
            "holdout": {"fraction": 0.3},
            "steps": ["repair", "lines", "measure", "exact", "holdout", "mask"],
            "canaries": canaries,
        }
    )


def test_canaries_are_documents_that_no_step_touches(base: Path) -> None:
    report = run_chain(base / "out", chain(count=12, repeat=[1, 4, 16]), base=base)
    assert_conserved(report)
    listed = [json.loads(line) for line in (base / "out/corpus/canaries.jsonl").read_text().splitlines()]
    kept = {row["id"]: row for row in rows(base / "out" / "corpus" / "documents")}
    assert len(listed) == 12
    assert len({entry["id"] for entry in listed}) == len({entry["secret"] for entry in listed}) == 12
    for entry in listed:
        document = kept[entry["id"]]
        assert (document["text"], document["repeat"]) == (entry["text"], entry["repeats"])
        assert document["domain"] == "river"
        assert entry["text"].startswith(entry["prompt"] + entry["secret"])
        assert entry["space"] == SPACES[entry["kind"]]
    assert Counter(entry["repeats"] for entry in listed) == {1: 4, 4: 4, 16: 4}
    assert not [row for row in rows(base / "out" / "corpus" / "holdout") if row["source"] == "canary"]
    assert (
        report["documents_kept"]
        == len(kept)
        == report["by_domain"]["river"]["documents_kept"] + (report["by_domain"]["河"]["documents_kept"])
    )
    assert report["documents_born"] == 12
    assert report["funnel"][-1] == {
        **{"step": "canaries", "kind": "plant", "documents_in": 40, "documents_out": 52, "documents_born": 12},
        "bytes_in": report["funnel"][-2]["bytes_out"],
        "bytes_out": report["bytes_kept"] + report["bytes_holdout"],
    }
    shards = sorted((base / "out" / "corpus" / "documents").glob("*.parquet"))
    assert all(pq.read_schema(shard) == pq.read_schema(shards[0]) for shard in shards)


def test_the_rest_of_the_corpus_is_as_without_them(base: Path) -> None:
    run_chain(base / "plain", chain(), base=base)
    run_chain(base / "planted", chain(count=3, domain="河"), base=base)
    plain, planted = hashes(base / "plain" / "corpus"), hashes(base / "planted" / "corpus")
    assert set(planted) - set(plain) == {"documents/unit-canaries.parquet", "canaries.jsonl"}
    assert {name for name in plain if plain[name] != planted[name]} == {"report.json", "card.md"}


def test_canaries_depend_on_key_and_number_alone() -> None:
    assert draw(CanarySettings(count=40))[:10] == draw(CanarySettings(count=10))
    assert not {c.secret for c in draw(CanarySettings(count=40))} & {
        c.secret for c in draw(CanarySettings(count=40, key="other"))
    }
    every = draw(CanarySettings(count=36, repeat=[1, 2]))
    assert set(Counter((c.repeats, c.kind, c.language) for c in every).values()) == {3}


def test_a_domain_without_documents_is_refused(base: Path) -> None:
    with pytest.raises(UserError, match="no document of the domain 'rivers'") as error:
        run_chain(base / "out", chain(count=2, domain="rivers"), base=base)
    assert "river" in str(error.value.hint)
