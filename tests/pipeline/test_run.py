from __future__ import annotations

import json
import random
import signal
import subprocess
from pathlib import Path

import pytest

from tests.pipeline.conftest import command, hashes, tilth


def run(recipe: Path, runs: Path, *assignments: str) -> dict:
    done = tilth("run", recipe, *assignments, "--runs", runs, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_whole_way_then_nothing_then_only_what_changed(tiny, tmp_path):
    runs = tmp_path / "runs"
    first = run(tiny, runs)
    assert first["kept"] == []
    assert set(first["bits_per_byte"]["base"]) >= {"stories", "arithmetic"}
    assert all(0 < value < 12 for value in first["bits_per_byte"]["base"].values())
    assert Path(first["report"]).stat().st_size > 10_000
    assert (Path(first["model"]) / "config.json").exists()
    report = json.loads(next((runs / "tiny").glob("corpus-*/report.json")).read_text())
    assert report["unreadable"] == 1
    assert report["by_rule"]["exact/same_text"]["documents"] == 1

    assert run(tiny, runs)["made"] == []

    annealed = run(tiny, runs, "pretrain.annealing.schedule.end=0.1")
    assert [name for name in annealed["made"] if name.startswith("pretrain")] == ["pretrain-annealing"]
    assert {"measure", "corpus", "tokenizer", "tokens", "pretrain-stable"} <= set(annealed["kept"])

    loosened = run(tiny, runs, "corpus.near.threshold=0.7")
    assert {"synthesize", "measure"} <= set(loosened["kept"])
    assert "corpus" in loosened["made"]
    assert loosened["source_bytes_read"] == 0


def test_the_report_shows_the_recipe_that_the_run_folder_stands_for(tiny, tmp_path):
    runs = tmp_path / "runs"
    run(tiny, runs, "--until", "corpus")
    run(tiny, runs, "corpus.near.threshold=0.6", "--until", "corpus")
    assert "threshold: 0.6" in (runs / "tiny" / "recipe.yaml").read_text()
    assert run(tiny, runs, "--until", "corpus")["made"] == []
    assert "threshold: 0.6" not in (runs / "tiny" / "recipe.yaml").read_text()
    assert "threshold: 0.6" not in (runs / "tiny" / "report.html").read_text()


def test_a_damaged_artifact_is_made_anew_or_refused(tiny, tmp_path):
    runs = tmp_path / "runs"
    run(tiny, runs, "--until", "tokens")
    whole = hashes(runs / "tiny")
    tokens = next((runs / "tiny").glob("tokens-*")) / "train" / "tokens.bin"
    tokens.unlink()
    again = tilth("run", tiny, "--runs", runs, "--until", "tokens", "--json")
    assert "is damaged (train/tokens.bin is missing); it is made anew" in again.stderr
    assert json.loads(again.stdout)["made"] == ["tokens"]
    assert hashes(runs / "tiny") == whole
    data = bytearray(tokens.read_bytes())
    data[100] ^= 1
    tokens.write_bytes(data)
    done = tilth("run", tiny, "--runs", runs)
    assert done.returncode == 2
    assert "tokens.bin: the file is not as it was made" in done.stderr


def test_places_that_cannot_be_written(tiny, tmp_path):
    (tmp_path / "file").write_text("")
    done = tilth("run", tiny, "--runs", tmp_path / "file", "--dry-run")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    done = tilth("corpus", tmp_path / "notes", "--out", tmp_path / "notes" / "out")
    assert done.returncode == 2
    assert "lies inside it, and would be read as text" in done.stderr
    assert not (tmp_path / "notes" / "out").exists()
    done = tilth("report", tmp_path)
    assert done.returncode == 2
    assert "there is no run here" in done.stderr


def test_dry_run_says_what_the_run_would_refuse(tiny, tmp_path):
    done = tilth("run", tiny, "pretrain.stable.tokens=90M", "--runs", tmp_path / "runs", "--dry-run")
    assert "more than max_epochs" in done.stdout
    done = tilth("run", tiny, "--until", "nonsense", "--runs", tmp_path / "runs", "--dry-run")
    assert done.returncode == 2


def test_dry_run_writes_nothing_and_says_what_is_needed(tiny, tmp_path):
    runs = tmp_path / "runs"
    done = tilth("run", tiny, "--runs", runs, "--dry-run")
    assert done.returncode == 0, done.stderr
    for word in ("documents", "tokens", "parameters", "GiB", "measure", "to do"):
        assert word in done.stdout
    assert not runs.exists()


def test_killed_ten_times_is_not_killed(tiny, tmp_path):
    """SIGKILL at ten random instants; the deterministic part of every artifact, weights included, is equal by hash.

    A run that comes through between two kills is compared and the next one begins in a folder of its own.
    """
    run(tiny, tmp_path / "whole")
    whole = hashes(tmp_path / "whole" / "tiny")
    rng = random.Random(20261121)
    kills, attempt = 0, 0
    while kills < 10:
        runs = tmp_path / f"killed{attempt}"
        process = subprocess.Popen(
            command("run", tiny, "--runs", runs), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            assert process.wait(rng.uniform(0.2, 3.0)) == 0
            assert hashes(runs / "tiny") == whole
            attempt += 1
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
    run(tiny, tmp_path / f"killed{attempt}")
    assert hashes(tmp_path / f"killed{attempt}" / "tiny") == whole
    assert not (tmp_path / f"killed{attempt}" / "tiny" / ".work").exists()


def test_what_a_kill_leaves_beside_a_complete_artifact_is_removed(tiny, tmp_path):
    """A kill may fall after an artifact is in its place and before its working folder is gone."""
    run(tiny, tmp_path, "--until", "corpus")
    work = tmp_path / "tiny" / ".work"
    left = work / next(path.name for path in (tmp_path / "tiny").glob("corpus-*"))
    (left / "work").mkdir(parents=True)
    run(tiny, tmp_path, "--until", "corpus")
    assert not work.exists()


def test_two_workers_give_the_serial_result(tiny, tmp_path):
    run(tiny, tmp_path / "one", "--until", "tokens")
    run(tiny, tmp_path / "two", "compute.workers=2", "--until", "tokens")
    assert hashes(tmp_path / "one" / "tiny") == hashes(tmp_path / "two" / "tiny")


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["corpus.near.treshold=0.7"], "unknown setting 'corpus.near.treshold' (did you mean 'threshold'?)"),
        (["tokenizer.vocabulary=many"], "tokenizer.vocabulary=many: expected a number"),
        (["corpus.sources.0.path=nowhere/*.md"], "nowhere/*.md'; there is no folder"),
        (["pretrain.annealing.mixture={storis: 1}"], "'storis' is neither a group nor a domain"),
        (["tokenizer.vocabulary=60000"], "60,000 pieces asked, but the training text gives only"),
        (["pretrain.stable.tokens=90M"], "epochs"),
        (["pretrain.stable.mixture={stories: -1}"], "mixture"),
        (["corpus.rules=[{set: gofer}]"], "gofer"),
        (["pretrain.stable.sequence_length=1"], "must be at least 2"),
        (["base=nowhere"], "there is nothing at"),
        (["groups.big=tokns > 5", "pretrain.stable.mixture={big: 1}"], "no column 'tokns' (did you mean 'tokens'?)"),
        (["groups.big=tokens > 'a'", "pretrain.stable.mixture={big: 1}"], "compares what cannot be compared"),
        (["corpus.holdout.fraction=0"], "none is kept"),
        (["model.max_positions=32"], "pretrain.stable.sequence_length: it is 64, but model.max_positions is 32"),
        (["synthesize.1.kind=stories"], "a kind stands twice"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing_half_written(tiny, tmp_path, assignments, message):
    runs = tmp_path / "runs"
    done = tilth("run", tiny, *assignments, "--runs", runs)
    assert done.returncode == 2, done.stderr + done.stdout
    sentence = done.stderr.strip().splitlines()[-1]
    assert sentence.startswith("tilth: ")
    assert message in sentence
    assert "Traceback" not in done.stderr
    finished = hashes(runs / "tiny") if runs.exists() else {}
    assert not any(name.startswith("pretrain-stable") for name in finished)


def test_a_model_without_norms_is_refused_where_it_would_be_exported_and_runs_where_not(tiny, tmp_path, run_tilth):
    asked = ["run", str(tiny), "--runs", str(tmp_path / "runs"), "model.norm=none", "model.initialisation=t_fixup"]
    status, _, err = run_tilth(*asked)
    assert status == 2
    assert "no architecture of transformers is without norms" in err
    dropout = "pretrain.stable.dropout.residual=0.1"
    status, _, err = run_tilth(*asked, "export.models=none", dropout, "model.output_projections=zero")
    assert not status, err
    (run,) = (tmp_path / "runs").iterdir()
    assert list(run.glob("pretrain-*"))
    assert list(run.glob("evaluate-base-*"))
    assert not list(run.glob("export-*"))


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (
            ('pretrain.stable.optimizer.groups=[{"parameters": "embeding.*", "rate": 0.5}]',),
            "pretrain.stable.optimizer.groups: no parameter is left that 'embeding.*' matches",
        ),
        (
            (
                "model.mup.hidden=32",
                "pretrain.stable.optimizer.kind=muon",
                "pretrain.stable.optimizer.muon_scale=adamw",
            ),
            "pretrain.stable.optimizer.muon_scale: adamw makes updates that grow with the width",
        ),
    ],
)
def test_an_optimizer_that_cannot_be_built_is_refused_before_the_corpus(
    tiny, tmp_path, run_tilth, assignments, message
):
    status, _, err = run_tilth("run", str(tiny), "--runs", str(tmp_path / "runs"), *assignments)
    assert status == 2
    assert message in err
    assert not list((tmp_path / "runs").glob("*/corpus-*"))


@pytest.mark.parametrize(
    ("change", "line", "said"),
    [
        (("notes/*.md", "nowhere/*.md"), '    - {path: "nowhere/*.md", domain: notes}', "corpus.sources.0: no file"),
        (("stories: 1", "storis: 1"), "    mixture: {storis: 1, arithmetic: 2}", "pretrain.annealing.mixture: "),
        (("seed: 3", "seed: 3\nbase: no/where"), "base: no/where", "base: there is nothing at"),
        (("vocabulary: 500", "load: no/where"), "tokenizer: {load: no/where}", "tokenizer.load: there is nothing at"),
        (("fraction: 0.1", "fraction: 0"), "  holdout: {fraction: 0}", "corpus.holdout: training is evaluated on"),
        (("{samples:", "{tasks: [{path: no}], samples:"),
         'evaluate: {tasks: [{path: no}], samples: {prompts: ["There was", "从前"], tokens: 8}}', "evaluate.tasks.0: "),
        (("tokens: 12k", "tokens: 12k"), "seed: 3", ""),
    ],
)  # fmt: skip
def test_what_cannot_work_is_told_with_the_recipes_line(tiny, tmp_path, run_tilth, change, line, said):
    tiny.write_text(tiny.read_text().replace(*change))
    where = tiny.read_text().splitlines().index(line) + 1
    status, _, err = run_tilth("run", str(tiny), "--runs", str(tmp_path / "runs"), "--dry-run")
    assert status == (2 if said else 0), err
    assert err.startswith(f"tilth: {tiny}:{where}: {said}") or not said


def test_what_cannot_work_is_told_with_the_assignment_that_set_it(tiny, tmp_path, run_tilth):
    given = "corpus.sources.1.path=nowhere/*.jsonl"
    status, _, err = run_tilth("run", str(tiny), given, "--runs", str(tmp_path / "runs"), "--dry-run")
    line = tiny.read_text().splitlines().index('    - {path: "records/*.jsonl", domain: "{stem}"}') + 1
    assert status == 2
    assert err.startswith(f"tilth: {tiny}:{line} with {given} on the command line: corpus.sources.1: no file matches")
