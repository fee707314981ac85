"""What cannot be there is refused as soon as that is known; what is refused leaves nothing behind."""

from __future__ import annotations

import json
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.conftest import TINY, hashes, tilth
from tilth.base.errors import Unfinished, UserError
from tilth.pipeline.amounts import GROWS, check_corpus, check_sources
from tilth.pipeline.execute import execute, lock
from tilth.pipeline.recipe import Recipe, load_recipe
from tilth.pipeline.stage import Context, Stage
from tilth.training.settings import ComputeSettings

ANNEALED = "    mixture: {stories: 1, arithmetic: 2}"
PLAIN = """\
corpus: {sources: [{path: "*.txt", domain: notes}], holdout: {fraction: 0.1}}
tokenizer: {vocabulary: 300}
pretrain: [{tokens: 20k, sequence_length: 64}]
"""


def plain(folder: Path, *assignments: str, text: str = "田里种了小麦。\n" * 100) -> Recipe:
    (folder / "a.txt").write_text(text, encoding="utf-8")
    (folder / "plain.yaml").write_text(PLAIN, encoding="utf-8")
    return load_recipe(folder / "plain.yaml", list(assignments))


def test_composition_makes_no_more_of_a_byte() -> None:
    characters = (chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000)
    growth = {c: len(unicodedata.normalize("NFC", c).encode()) / len(c.encode()) for c in characters}
    assert max(growth.values()) == growth["\U0001d160"] == GROWS


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("tokenizer.vocabulary=10k", r"10,000 pieces are asked, but the sources can give 6,\d\d\d at most"),
        ("pretrain.0.tokens=1M", r"1,0\d\d,\d\d\d tokens of text are asked, but the sources can hold 6,\d\d\d at most"),
    ],
)
def test_sources_that_are_too_small_are_told_before_anything_runs(tmp_path: Path, assignment: str, said: str) -> None:
    check_sources(plain(tmp_path), tmp_path, {"notes"})
    with pytest.raises(UserError, match=said):
        check_sources(plain(tmp_path, assignment), tmp_path, {"notes"})
    check_sources(plain(tmp_path, assignment, "synthesize=[{kind: stories, documents: 9}]"), tmp_path, None)
    done = tilth("run", tmp_path / "plain.yaml", assignment, "--runs", tmp_path / "runs")
    assert done.returncode == 2
    assert not (tmp_path / "runs").exists()
    done = tilth("run", tmp_path / "plain.yaml", assignment, "--runs", tmp_path / "runs", "--until", "measure")
    assert done.returncode == 0, done.stderr  # of which nothing is asked that it cannot give


def test_what_a_corpus_cannot_give_is_told_by_its_report(tmp_path: Path) -> None:
    row = {"documents_kept": 10, "bytes_kept": 5000}
    report = {
        "by_domain": {"notes": row, "gone": {"documents_in": 7}},
        "bytes_kept": 5000,
        "documents_holdout": 1,
    }
    check_corpus(plain(tmp_path), report)
    check_corpus(plain(tmp_path, "pretrain.0.mixture={notes: 1}"), report)
    for assignments, said in (
        (["pretrain.0.mixture={notes: 1, gone: 1}"], "main.mixture: the corpus keeps no document of 'gone'"),
        (["pretrain.0.tokens=90k"], r"tokens of text are asked, but the corpus can hold 5,030 at most.*8\.\d epochs"),
        (["pretrain.0.tokens=90k", "pretrain.0.mixture={notes: 1}"], "tokens of 'notes' are asked"),
        (["tokenizer.vocabulary=6k"], "but the corpus can give 5,263 at most"),
    ):
        with pytest.raises(UserError, match=said):
            check_corpus(plain(tmp_path, *assignments), report)
    check_corpus(
        plain(tmp_path, "pretrain.0.tokens=90k", "corpus.repeat=[{where: domain == 'notes', times: 3}]"), report
    )
    check_corpus(plain(tmp_path, "pretrain.0.tokens=90k", "pretrain.0.max_epochs=20"), report)
    with pytest.raises(UserError, match="holds no document out to evaluate on"):
        check_corpus(plain(tmp_path), report | {"documents_holdout": 0})


def test_many_small_domains_fill_a_sequence_each(tmp_path: Path) -> None:
    """A phase without a mixture reads 100 domains of one document each as 100 sequences: 3.9 epochs, not 9.2."""
    row = {"documents_kept": 1, "bytes_kept": 50}
    report = {"by_domain": {f"d{i}": row for i in range(100)}, "bytes_kept": 5000, "documents_holdout": 1}
    given = ["pretrain.0.tokens=100k", "pretrain.0.sequence_length=256"]
    check_corpus(plain(tmp_path, *given), report)
    with pytest.raises(UserError, match=r"4\.\d epochs or more.*lower the tokens.*max_epochs above 5"):
        check_corpus(plain(tmp_path, "pretrain.0.tokens=170k", *given[1:]), report)


def test_a_domain_that_lost_all_its_documents_is_told_behind_the_corpus(tiny: Path, tmp_path: Path) -> None:
    rules = "corpus.rules=[{set: gopher_quality, where: domain == 'arithmetic'}]"
    done = tilth("run", tiny, rules, "--runs", tmp_path / "runs")
    assert done.returncode == 2
    said = done.stderr.strip().splitlines()[-1]
    where = f"{tiny}:{TINY.splitlines().index(ANNEALED) + 1}"
    assert said.startswith(f"tilth: {where}: pretrain.annealing.mixture: the corpus keeps no document of 'arithmetic'")
    stages = {name.rsplit("-", 1)[0] for name in hashes(tmp_path / "runs" / "tiny")}
    assert stages == {"synthesize", "measure", "corpus"}
    assert tilth("run", tiny, rules, "--runs", tmp_path / "runs", "--until", "tokens").returncode == 0


def test_a_refused_stage_leaves_what_was_finished_before_it_and_nothing_else(tiny: Path, tmp_path: Path) -> None:
    done = tilth("run", tiny, "tokenizer.vocabulary=60k", "--runs", tmp_path / "runs")
    assert done.returncode == 2
    assert "60,000 pieces asked" in done.stderr
    assert not (tmp_path / "runs" / "tiny" / ".work").exists()
    assert {name.rsplit("-", 1)[0] for name in hashes(tmp_path / "runs" / "tiny")} == {
        "synthesize",
        "measure",
        "corpus",
    }


@pytest.mark.parametrize(("error", "kept"), [(Unfinished("a worker was killed"), True), (UserError("no"), False)])
def test_what_was_done_stays_where_only_the_machine_failed(tmp_path: Path, error: UserError, kept: bool) -> None:
    def body(context: Context) -> dict[str, Any]:
        (context.work / "unit-0").write_text("hours of work")
        raise error

    run = tmp_path / "run"
    with pytest.raises(type(error)), lock(run):
        list(execute([Stage("measure", 1, {}, body)], run, ComputeSettings()))
    assert run.exists() == kept
    assert bool(list(run.glob(".work/measure-*/work/unit-0"))) == kept


def test_a_refused_corpus_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("oops\n")
    done = tilth("corpus", tmp_path / "bad.jsonl", "--out", tmp_path / "new" / "deep" / "out")
    assert done.returncode == 2
    assert "bad.jsonl:1: no record could be read; not JSON" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bad.jsonl"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("here")
    assert tilth("corpus", tmp_path / "bad.jsonl", "--out", tmp_path / "out").returncode == 2
    assert (tmp_path / "out" / "mine.txt").exists()
    assert not (tmp_path / "out" / ".work").exists()


def test_a_torn_file_is_told_to_be_missing_its_end(tmp_path: Path) -> None:
    import zstandard

    lines = "".join(
        json.dumps({"text": f"The field number {i} was ploughed in spring. " * 9}) + "\n" for i in range(900)
    )
    packed = zstandard.compress(lines.encode())
    (tmp_path / "a.jsonl.zst").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "c.yaml").write_text("steps: [measure]\n")
    missing = "what follows there is missing"
    for _ in range(2):  # made, and kept: told once in either
        done = tilth("corpus", tmp_path / "a.jsonl.zst", "--out", tmp_path / "out", "--config", tmp_path / "c.yaml")
        assert done.returncode == 0, done.stderr
        assert f"torn: the file ends inside a zstd frame; {missing}" in done.stdout
        assert (done.stdout + done.stderr).count(missing) == 1
    (tmp_path / "r.yaml").write_text("corpus: {sources: [a.jsonl.zst], steps: [measure, exact]}\n")
    done = tilth("run", tmp_path / "r.yaml", "--runs", tmp_path / "runs", "--until", "corpus", "--json")
    assert (done.returncode, done.stderr.count(missing)) == (0, 1), done.stderr
    planned = tilth("corpus", tmp_path / "a.jsonl.zst", "--plan", "--config", tmp_path / "c.yaml")
    assert (planned.stdout + planned.stderr).count(missing) == 1
    assert "what follows there is missing" in tilth("look", tmp_path / "out").stdout


def test_the_name_of_a_run_is_told_in_words(tmp_path: Path) -> None:
    for name in ("../x", "", ".hidden", "a/b"):
        with pytest.raises(
            UserError, match=r"on the command line: name=.*: expected a folder's name: a letter, digit or _"
        ):
            plain(tmp_path, f"name='{name}'")
    assert plain(tmp_path, "name=第一次").name == "第一次"
