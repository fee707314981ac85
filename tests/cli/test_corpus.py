"""`tilth corpus`, `tilth look` and `tilth tokenizer` as people call them, and what they say of mistakes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.helpers import CHINESE, ENGLISH, rows, write_jsonl
from tests.pipeline.conftest import command, tilth
from tilth.base.errors import UserError
from tilth.cli.look import as_text
from tilth.corpus import corpus_stage, measure_stage
from tilth.corpus.look import find_corpus
from tilth.corpus.sources import Unit
from tilth.corpus.sources.batches import Batch
from tilth.pipeline.corpus_only import run_corpus
from tilth.tokens.tokenizer import train_bpe


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A corpus of a few documents, one of them unreadable and three of them twice."""
    base = tmp_path_factory.mktemp("corpus")
    records = [{"text": f"{ENGLISH * 3}It was the field number {i}.", "id": f"d{i % 9}"} for i in range(12)]
    records += [{"text": records[i]["text"], "id": f"twin{i}"} for i in range(3)] + [{"messages": []}]
    write_jsonl(base / "notes.jsonl", records)
    (base / "c.yaml").write_text("steps: [measure, exact]\n")
    return base, tilth(
        "corpus", base / "notes.jsonl", "--out", base / "out", "--config", base / "c.yaml", "--workers", "1"
    )


def test_the_end_names_the_list_of_unreadable_records_and_what_to_do_next(made) -> None:
    base, done = made
    assert done.returncode == 0, done.stderr
    *_, named, next_step = done.stdout.splitlines()
    assert named.startswith("1 record could not be read, as ")
    (line,) = Path(named.split(" as ")[1].removesuffix(" says by file and line")).read_text().splitlines()
    assert json.loads(line)["line"] == 16
    assert "the fields are 'messages'" in json.loads(line)["reason"]
    assert next_step == f"look into it: tilth look {base / 'out'}"
    assert "unreadable_list: " in tilth("look", base / "out").stdout


def test_a_spoiled_report_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(ENGLISH)
    (tmp_path / "c.yaml").write_text("steps: [repair]\n")
    made = [str(tmp_path / "a.txt")], tmp_path / "o", tmp_path / "c.yaml", "web", 1
    report, folder = run_corpus(*made)
    for file in (folder / "report.json", tmp_path / "o" / ".cache" / "content_hashes.json"):
        file.write_bytes(b"\xff" * file.stat().st_size)
    assert run_corpus(*made) == (report, folder)
    assert json.loads((folder / "report.json").read_text()) == report


def test_look_opens_the_corpus_of_the_last_run(tmp_path: Path) -> None:
    """Also where that run made nothing, since its corpus was there already, and where it kept no document."""
    (tmp_path / "a.txt").write_text(CHINESE * 9)
    found = []
    for name, least in (("low", 1), ("high", 10**6), ("low", 1), ("high", 10**6)):
        (tmp_path / "c.yaml").write_text(
            f"steps: [measure, rules]\nrules: [{{set: chinese, min_characters: {least}}}]\n"
        )
        with contextlib.suppress(UserError):
            run_corpus([str(tmp_path / "a.txt")], tmp_path / "o", tmp_path / "c.yaml", "web", 1)
        found.append((name, find_corpus(tmp_path / "o")))
    assert len(set(found)) == 2


@pytest.mark.parametrize("killed", [False, True])
def test_a_file_that_changes_while_it_is_read_makes_no_corpus(
    killed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would be kept under the hash of the old text is the new one: refused, and read again after a kill."""
    (tmp_path / "c.yaml").write_text("steps: [measure]\n")
    for name in "ab":
        write_jsonl(tmp_path / f"{name}.jsonl", [{"text": f"{ENGLISH}{name}", "id": name}])
    arguments = [str(tmp_path / "*.jsonl")], tmp_path / "o", tmp_path / "c.yaml", "web", 1
    changing, read = tmp_path / "b.jsonl", measure_stage.read_unit
    old, times = changing.read_bytes(), (changing.stat().st_atime_ns, changing.stat().st_mtime_ns)

    def changed(unit: Unit, *given: Any) -> Iterator[Batch]:
        if unit.index == 1:
            write_jsonl(changing, [{"text": f"{ENGLISH}another", "id": "b"}])
        yield from read(unit, *given)
        if killed and unit.index == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(measure_stage, "read_unit", changed)
    with pytest.raises(
        KeyboardInterrupt if killed else UserError, match="^$" if killed else "b.jsonl: the file changed"
    ):
        run_corpus(*arguments)
    assert not list((tmp_path / "o").glob("*/artifact.json"))
    monkeypatch.undo()
    changing.write_bytes(old)
    os.utime(changing, ns=times)
    _, folder = run_corpus(*arguments)
    assert {row["id"]: row["text"] for row in rows(folder / "documents")} == {n: f"{ENGLISH}{n}" for n in "ab"}


@pytest.mark.parametrize(
    ("stage", "function", "file", "left"),
    [
        (measure_stage, "read_unit", "words.txt", set()),
        (corpus_stage, "write_shard", "words.txt", {"measure"}),
        (corpus_stage, "write_shard", "exam.jsonl", {"measure"}),
    ],
)
def test_a_list_or_benchmark_that_changes_while_it_is_used_makes_no_corpus(
    stage: Any, function: str, file: str, left: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.yaml").write_text(
        "steps: [measure, keywords, decontaminate]\n"
        "keywords: {lists: [{name: words, file: words.txt, policy: reject}]}\ndecontaminate: {against: exam.jsonl}\n"
    )
    (tmp_path / "words.txt").write_text("oxen\n")
    write_jsonl(tmp_path / "exam.jsonl", [{"question": ENGLISH * 2}])
    write_jsonl(tmp_path / "a.jsonl", [{"text": CHINESE}])
    used = getattr(stage, function)

    def changed(*given: Any) -> Any:
        with (tmp_path / file).open("a") as more:
            more.write("\n")
        return used(*given)

    monkeypatch.setattr(stage, function, changed)
    with pytest.raises(UserError, match=f"{file}: the file changed while it was read"):
        run_corpus([str(tmp_path / "a.jsonl")], tmp_path / "o", tmp_path / "c.yaml", "web", 1)
    assert {path.parent.name.partition("-")[0] for path in (tmp_path / "o").glob("*/artifact.json")} == left


def test_a_benchmark_that_protects_nothing_is_told(made, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "no_text.jsonl", [{"question": 7}])
    write_jsonl(tmp_path / "short.jsonl", [{"question": "How?"}, {"question": "为何"}])
    write_jsonl(
        tmp_path / "exam.jsonl",
        [{"question": "How?"}, {"question": "How many oxen were sold to the abbot by the miller of Kingsbridge?"}],
    )
    files = [tmp_path / f"{name}.jsonl" for name in ("no_text", "short", "exam")]
    against = [word for file in files for word in ("--against", file)]
    line = ["decontaminate", made[0] / "notes.jsonl", *against, "--out", tmp_path / "out", "--workers", "1"]
    done = tilth(*line)
    assert done.returncode == 0, done.stderr
    said = [text for text in done.stdout.splitlines() if text.startswith("warning: ")]
    assert [text.split(" can be looked for")[0] for text in said] == [
        "warning: no_text.jsonl: none of its 1 items",
        "warning: short.jsonl: none of its 2 items",
    ]
    assert [f"warning: {text}" for text in json.loads(tilth(*line, "--json").stdout)["warnings"]] == said


def test_look_obeys_sample_and_knows_its_parts(made) -> None:
    folder = made[0] / "out"
    rows = json.loads(tilth("look", folder, "--rejected", "same_text", "--sample", "2", "--json").stdout)
    assert [row["rule"] for row in rows] == ["same_text"] * 2
    rows = [json.loads(tilth("look", folder, "--sample", n, "--json").stdout) for n in ("0.001k", "1")]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 1
    for arguments, message in (
        (
            ["--sample", "3", "--part", "nosuch"],
            "a corpus has no part 'nosuch' (its parts are documents, holdout, rejected)",
        ),
        (["--grep", "a", "--part", "edits"], "a corpus has no part 'edits'"),
        (["--sample", "-1"], "--sample -1: expected at least 1"),
        (["--sample", "2.5"], "--sample 2.5: expected a whole number"),
        (["--sample", "many"], "--sample 'many': expected a number such as 4096"),
        (["--part", "holdout"], "--part alone asks nothing"),
        (["--grep", "a", "--rejected", "same_text"], "--grep and --rejected cannot be asked together"),
        (["--document", "nope"], "--sample 5 and --grep show ids"),
    ):
        done = tilth("look", folder, *arguments)
        assert done.returncode == 2, arguments
        assert message in " ".join(done.stderr.replace("│", " ").split()), done.stderr


def test_diff_says_which_corpus_is_which(made, tmp_path: Path) -> None:
    base = made[0]
    (tmp_path / "c.yaml").write_text("steps: [measure]\n")
    tilth("corpus", base / "notes.jsonl", "--out", tmp_path / "out", "--config", tmp_path / "c.yaml", "--workers", "1")
    answer = json.loads(tilth("look", base / "out", "--diff", tmp_path / "out", "--json").stdout)
    assert [Path(answer[side]).parent for side in ("from", "to")] == [base / "out", tmp_path / "out"]
    assert answer["counts"]["documents_rejected"] == {"from": 3, "to": 0}
    assert answer["moved"]["rejected by same_text -> documents"]["documents"] == 3
    assert as_text(answer).startswith(f"from: {answer['from']}\nto: {answer['to']}\ncounts:\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "o"], "nothing to read (give files, globs or folders, or --config with `sources`)"),
        (["--out", "o", "--config", "empty.yaml"], "tilth: nothing to read (give files, globs or folders, or --config"),
        (["--plan", "--config", "empty.yaml"], "tilth: nothing to read (give files, globs or folders, or --config"),
        (["", "--out", "o"], "the name of an input is empty"),
        (["a.txt", "--out", "o", "--workers", "0"], "--workers 0: must be at least 1"),
        (["a.txt", "--out", "o", "--domain", "{nope}"], "'{nope}' is no template"),
        (["a.txt", "--out", "o", "--domain", os.fsdecode(b"a\xff")], r"tilth: --domain: 'a\xff' is not UTF-8"),
        (["a.txt", "--out", os.fsdecode(b"o\xff")], r"tilth: --out: 'o\xff' is not UTF-8"),
    ],
)
def test_mistakes_in_the_corpus_command(arguments: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(ENGLISH)
    (tmp_path / "empty.yaml").write_text("sources: []\n")
    done = tilth("corpus", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "empty.yaml"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems end a process that reaches the limit")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_file_that_cannot_be_written_to_its_end_is_told(workers: str, tmp_path: Path) -> None:
    for part in "ab":
        noise = random.Random(part).randbytes(3_000_000).hex()
        write_jsonl(tmp_path / f"{part}.jsonl", [{"text": noise[i : i + 60000]} for i in range(0, len(noise), 60000)])
    (tmp_path / "c.yaml").write_text("steps: [repair]\n")
    inputs = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    line = command("corpus", *inputs, "--out", tmp_path / "out", "--config", tmp_path / "c.yaml", "--workers", workers)
    done = subprocess.run(["bash", "-c", f"ulimit -f 2000; exec {shlex.join(line)}"], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    (said,) = [told for told in done.stderr.splitlines() if told.startswith("tilth: ")]
    assert re.match(rf"tilth: {tmp_path}/out/\S+\.parquet: no file may be as large here, by a limit", said)
    assert said.endswith("(make room, or raise the limit; the same command goes on with what was finished)")
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "out").rglob("*.tmp"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules:\n  - set: chinese\n    where: language > 5", "3: corpus.rules.0.where: 'language > 5' compares what"),
        (
            "holdout:\n  where: signal.hash == 'x'",
            "2: corpus.holdout.where: \"signal.hash == 'x'\": signal.hash is bytes",
        ),
        (
            "rules:\n  - set: chinese\n    where: signal.words == 'many'",
            "3: corpus.rules.0.where: \"signal.words == 'many'\" compares what cannot be compared: a string",
        ),
        (
            "sources: [{path: ../b.txt, signals: {votes: score.up}}]\nholdout:\n  where: signal.votes > '3'",
            "3: corpus.holdout.where: \"signal.votes > '3'\" compares what",
        ),
        (
            "decontaminate:\n  against:\n    - ../no.jsonl",
            "3: corpus.decontaminate.against.0: no file matches '{}/no.jsonl'",
        ),
        (
            "rules: []\nsteps: [mask, measure, exact, mask, near]",
            "2: corpus.steps: step 5 (near) reads 'signal.minhash'",
        ),
        ("mask:\n  private_ip: true\nsteps: [measure, decontaminate, mask]", "3: corpus.steps: has `decontaminate`"),
        (
            "steps: [measure]\nsources:\n  - path: ../b.txt\n    signals:\n      words: v",
            "5: corpus.sources.0.signals.words: the chain adds a column of this name itself (give it another)",
        ),
        ("decontaminate: {against: no.jsonl}", "1: corpus.decontaminate.against.0: no file matches '{}/x/no.jsonl'"),
        (
            "steps: [repair, keywords]\nkeywords:\n  lists: [{name: x, file: ../no.txt}]",
            "3: corpus.keywords.lists.0.file: there is no file '{}/no.txt'",
        ),
    ],
)
@pytest.mark.parametrize("as_recipe", [False, True])
def test_a_setting_that_cannot_be_used_is_told_with_its_line(
    text: str, message: str, as_recipe: bool, tmp_path: Path
) -> None:
    (tmp_path / "x").mkdir()
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(ENGLISH)
    config = tmp_path / "x" / "c.yaml"
    lines = text.splitlines()
    config.write_text("\n".join(["corpus:", *(f"  {line}" for line in lines)] if as_recipe else lines))
    number, _, said = message.format(tmp_path).partition(":")
    with pytest.raises(UserError) as caught:
        run_corpus([str(tmp_path / "a.txt")], tmp_path / "o", config, "web", 1)
    assert str(caught.value).startswith(f"{config}:{int(number) + as_recipe}:{said}")
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("source", "refused"),
    [
        ("in", True),
        ("{path: in, include: ['*.jsonl']}", True),
        ("{path: in, exclude: [out]}", False),
        ("'in/**/*'", True),
        ("in/*/*.jsonl", True),
        ("in/*.jsonl", False),
        ("'.'", True),
    ],
)
def test_an_output_that_its_own_sources_would_read_is_refused(source: str, refused: bool, tmp_path: Path) -> None:
    for name in ("a", "b/a"):
        write_jsonl(tmp_path / "in" / f"{name}.jsonl", [{"text": f"{ENGLISH} {name}"}])
    config = tmp_path / "c.yaml"
    config.write_text(f"steps: [repair]\nsources:\n  - {source}\n")
    if not refused:
        assert run_corpus([], tmp_path / "in" / "out", config, "web", 1)[0]["documents_in"] == 1 + ("exclude" in source)
        return
    with pytest.raises(UserError) as caught:
        run_corpus([], tmp_path / "in" / "out", config, "web", 1)
    told = f"{config}:3: corpus.sources.0: the output '{tmp_path}/in/out' lies inside it, and would be read as text"
    assert str(caught.value).startswith(told)
    assert not (tmp_path / "in" / "out").exists()


def test_sources_of_the_settings_take_the_domain_of_the_command_line(tmp_path: Path) -> None:
    for name in ("named", "plain", "field", "given"):
        texts = [{"text": f"{ENGLISH} {name} {i}"} | ({"topic": "sea"} if i else {}) for i in range(2)]
        write_jsonl(tmp_path / f"{name}.jsonl", texts)
    sources = [
        "{path: named.jsonl, domain: books}",
        "plain.jsonl",
        "{path: field.jsonl, domain: '{field:topic}'}",
        "{path: given.jsonl, default_domain: other}",
    ]
    (tmp_path / "c.yaml").write_text(f"steps: [repair]\nsources: [{', '.join(sources)}]\n")
    for domain, plain, field in (("{stem}", "plain", "field"), ("web", "web", "web")):
        report, _ = run_corpus([], tmp_path / "o", tmp_path / "c.yaml", domain, 1)
        assert set(report["by_domain"]) == {"books", plain, field, "sea", "other"}


def test_an_input_that_the_settings_name_too_is_told_as_an_input(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(ENGLISH)
    (tmp_path / "c.yaml").write_text("sources: [a.txt]\n")
    there = str(tmp_path / "a.txt")
    with pytest.raises(UserError) as caught:
        run_corpus([there], tmp_path / "o", tmp_path / "c.yaml", "web", 1)
    assert str(caught.value) == f"the input {there!r}: every file of {there!r} is read by corpus.sources.0 (remove it)"


def test_a_corpus_that_keeps_nothing_can_be_looked_at(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "too short"}\n')
    (tmp_path / "c.yaml").write_text("rules: [{set: gopher_quality}]\n")
    asked = ("corpus", tmp_path / "a.jsonl", "--out", tmp_path / "out", "--config", tmp_path / "c.yaml")
    for _ in range(2):
        done = tilth(*asked)
        assert done.returncode == 2
        assert "no document is left of 1: removed by rules/gopher_words (1)" in done.stderr
        assert f"tilth look {tmp_path / 'out'} --rejected all shows each" in done.stderr
    done = tilth("look", tmp_path / "out", "--rejected", "all")
    assert done.returncode == 0
    assert "gopher_words" in done.stdout


def test_look_sends_no_controls_to_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": "\x1b[31mred\x07", "text": ENGLISH}) + "\n")
    assert tilth("corpus", tmp_path / "a.jsonl", "--out", tmp_path / "out").returncode == 0
    done = tilth("look", tmp_path / "out", "--sample", "1")
    assert "\\x1b[31mred\\x07" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    train_bpe(["很好很好很好 and and"] * 5, vocabulary=262).save(folder)
    return folder


def test_pieces_that_are_no_whole_characters_are_shown_as_bytes(tokenizer: Path) -> None:
    shown = tilth("tokenizer", "encode", tokenizer, "天 a").stdout.splitlines()[0]
    assert shown == "<e5>|<a4>|<a9>| |a"
    mixed = json.loads(tilth("tokenizer", "encode", tokenizer, "很\ufffd", "--json").stdout)
    assert "\ufffd" not in "".join(mixed["pieces"])
    assert bytes.fromhex("".join(mixed["pieces"][-3:]).replace("<", "").replace(">", "")).decode() == "\ufffd"


def test_text_that_is_not_utf8_is_refused(tokenizer: Path) -> None:
    run = command("tokenizer", "encode", tokenizer)
    told = "the text is not UTF-8: byte 0xff at 1"
    for arguments, given, where in (([os.fsdecode(b"a\xff")], b"", "TEXT"), ([], b"a\xff", "standard input")):
        done = subprocess.run([*run, *arguments], input=given, capture_output=True)
        assert (done.returncode, done.stderr.decode().startswith(f"tilth: {where}: {told} (")) == (2, True)
    done = subprocess.run([*run, "--json"], input=b"a\r\n", capture_output=True)
    assert "".join(json.loads(done.stdout)["pieces"]) == "a\r\n"


def test_a_plan_says_what_a_run_will_need_and_makes_nothing(made, tmp_path: Path) -> None:
    base = made[0]
    asked = ["corpus", base / "notes.jsonl", "--config", base / "c.yaml", "--plan"]
    shown = tilth(*asked, "--nodes", "3", "--cores", "4", "--price-per-hour", "2", "--size", "10TB", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    for word in ("wall time", "cost", "memory a worker", "disk while it runs", "3 x 4 cores", "10.0 TB of such files"):
        assert word in shown.stdout
    found = json.loads(tilth(*asked, "--json", cwd=tmp_path).stdout)
    assert found["exact"]
    assert found["figures"]["documents kept"]["value"] == 12
    assert not list(tmp_path.iterdir())


def _heed_interrupts() -> None:
    """What a shell starts in the background, these tests perhaps among it, does not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_plan_that_is_stopped_leaves_nothing_behind(number: signal.Signals, tmp_path: Path) -> None:
    """Tried again where the exception came up in a finaliser of numba's, in which Python drops it."""
    write_jsonl(tmp_path / "a.jsonl", [{"text": f"{ENGLISH * 40} {i}"} for i in range(20000)])
    (tmp_path / "aside").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "aside")}
    asked = command("corpus", tmp_path / "a.jsonl", "--plan", "--sample", "1GB")  # all of it: seconds are left
    for _ in range(5):
        with subprocess.Popen(
            asked, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_heed_interrupts
        ) as running:
            while not list((tmp_path / "aside").rglob("unit*")) and running.poll() is None:
                time.sleep(0.02)
            running.send_signal(number)
            said = running.communicate(timeout=60)[1].decode()
        assert not list((tmp_path / "aside").iterdir())
        if "Exception ignored" not in said:
            break
    assert running.returncode == 128 + number, said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plan", "--size", "ten"], "--size: expected a number such as 4096, 3.9M or 2GiB, found 'ten' (bytes"),
        (["--plan", "--sample", "0"], "--sample: expected at least one byte, found '0'"),
        (["--plan", "--out", "o"], "--plan makes no corpus, so --out says nothing"),
        (["--out", "o", "--nodes", "2"], "--nodes is for a plan (add --plan"),
        ([], "there is no --out"),
        (["--plan", "--price-per-hour", "-1"], "--price-per-hour -1: must be at least 0"),
        (["--plan", "--config", "empty.yaml"], "there is nothing to sample: the files are empty"),
    ],
)
def test_mistakes_in_a_plan(arguments: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("" if "empty.yaml" in arguments else ENGLISH)
    (tmp_path / "empty.yaml").write_text("steps: [measure]\n")
    done = tilth("corpus", "a.txt", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert not (tmp_path / "o").exists()
