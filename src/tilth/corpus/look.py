"""Browsing a finished corpus: what is in it, what was removed and why, what was changed and where.

Every function but `find_corpus` takes the folder of a corpus artifact (documents, holdout, rejected, edits,
report.json) and gives plain values. Texts are read a row group at a time.
"""

from __future__ import annotations

import contextlib
import heapq
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from tilth.base.errors import UserError, nearest
from tilth.base.events import read_journal
from tilth.base.files import artifact_fault, read_json
from tilth.base.keyed import stable_hash
from tilth.corpus.report import warnings_of
from tilth.corpus.running.shards import read_groups, shard_paths
from tilth.corpus.running.work import UNREADABLE

PARTS = ("documents", "holdout", "rejected")


def _made_anew(corpus: Path) -> str:
    """What to do about damage. The command alone looks at sizes, and may find nothing to do."""
    return f"remove the folder {corpus} and run the command that made it again"


def find_corpus(folder: Path) -> Path:
    """The corpus artifact that `folder` is or holds: the one that the last run came to, made or found there; else the
    one of a run's outcome, else the newest.

    UserError where there is none, or where one of its files is missing or has another size than it was made with.
    """
    corpus = _place(folder)
    fault = artifact_fault(corpus) if (corpus / "artifact.json").exists() else None
    if fault:
        raise UserError(f"the corpus is damaged: {fault}", where=str(corpus), hint=_made_anew(corpus))
    return corpus


def _place(folder: Path) -> Path:
    if (folder / "rejected").is_dir():
        return folder
    if last := _of_last_run(folder):
        return last
    outcome = folder / "outcome.json"
    named = read_json(outcome)["stages"].get("corpus") if outcome.exists() else None
    if named and (folder / named).is_dir():
        return folder / str(named)
    found = sorted(folder.glob("corpus-*/artifact.json"), key=lambda file: file.stat().st_mtime)
    if not found:
        raise UserError("there is no corpus here", where=str(folder), hint="give a run's folder or a corpus-* folder")
    return found[-1].parent


def _of_last_run(folder: Path) -> Path | None:
    """What the journal names last: a run that is refused behind its corpus writes no outcome, and says to look at it.

    A journal that something has damaged counts up to there.
    """
    last = None
    with contextlib.suppress(ValueError):
        for record in read_journal(folder / "events.jsonl"):
            stage = str(record.get("stage", ""))
            if stage.startswith("corpus-") and (folder / stage).is_dir():
                last = folder / stage
    return last


def _report(corpus: Path) -> dict[str, Any]:
    file = corpus / "report.json"
    try:
        return dict(read_json(file))
    except (OSError, ValueError, TypeError):
        raise UserError("is missing, or damaged: it is no report", where=str(file), hint=_made_anew(corpus)) from None


def overview(corpus: Path) -> dict[str, Any]:
    """The counts of the report, places that each step edited, documents that each rule rejected, what could not be
    read, and what was found of each benchmark.
    """
    report = _report(corpus)
    counts = {k: report[k] for k in report if k.startswith(("records", "unreadable", "documents", "bytes"))}
    rules = {k: row["documents"] for k, row in sorted(report["by_rule"].items(), key=lambda i: -i[1]["documents"])}
    told = {"warnings": warnings} if (warnings := warnings_of(report)) else {}
    edits = {f"{row['step']}/{kind}": n for row in report["funnel"] for kind, n in row.get("edits", {}).items()}
    leaks = {name: row | {"too_short": len(row["too_short"])} for name, row in report.get("contamination", {}).items()}
    unread = unreadable_list(corpus) if report["unreadable"] else None
    listed = {"unreadable_list": str(unread)} if unread else {}
    return {"corpus": str(corpus), **counts, **listed, **told, "edited by": edits, "rejected by": rules} | (
        {"benchmarks": leaks} if leaks else {}
    )


def unreadable_list(corpus: Path) -> Path | None:
    """The list of the records that could not be read: with the measured documents that the corpus was made of."""
    artifact = corpus / "artifact.json"
    inputs = read_json(artifact).get("inputs", {}) if artifact.exists() else {}
    found = corpus.parent / f"measure-{inputs.get('measured')}" / UNREADABLE
    return found if found.exists() else None


def sample(
    corpus: Path, count: int = 10, *, part: str = "documents", rule: str = "", key: str = "sample"
) -> list[dict[str, Any]]:
    """`count` documents at random, the same ones each time: those with the lowest keyed hashes of their ids.

    With a `rule`, of the part `rejected`, only documents that it rejected.
    """
    columns = ["id", "step", "rule"] if rule else ["id"]
    ids = (
        row["id"]
        for group in _groups(corpus, _known(part), columns)
        for row in group.to_pylist()
        if _rejected_by(row, rule)
    )
    chosen = heapq.nsmallest(count, ((stable_hash(key, id_), id_) for id_ in ids))
    wanted = {id_: number for number, (_, id_) in enumerate(chosen)}
    found = _with_ids(corpus, part, list(wanted))
    return sorted(found, key=lambda row: wanted[row["id"]])


def grep(
    corpus: Path, pattern: str, *, part: str = "documents", limit: int = 20, around: int = 80
) -> list[dict[str, Any]]:
    """Places where a regular expression matches: id, domain, offset in characters and the text around.

    Where there are more than `limit`, a final entry says how many more: `{"more": n}`.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UserError(f"not a regular expression: {pattern!r} ({error})") from None
    places = (
        (row, match)
        for group in _groups(corpus, _known(part), ["id", "domain", "text"])
        for row in group.to_pylist()
        for match in expression.finditer(row["text"])
    )

    def show(row: dict[str, Any], match: re.Match[str]) -> dict[str, Any]:
        start, end = max(0, match.start() - around), match.end() + around
        return {"id": row["id"], "domain": row["domain"], "offset": match.start(), "text": row["text"][start:end]}

    return _first((show(*place) for place in islice(places, limit)), places)


def rejected(corpus: Path, rule: str = "", *, limit: int = 20, count: int | None = None) -> list[dict[str, Any]]:
    """Documents that a rule rejected (`near_duplicate` or `near/near_duplicate`; empty: any): value and partner too.

    Where there are more than `limit`, a final entry says how many more: `{"more": n}`. With `count`, so many of them at
    random instead.
    """
    known = _report(corpus)["by_rule"]
    if rule and rule not in known and rule not in {name.partition("/")[2] for name in known}:
        hint = nearest(rule, known) if known else "none was rejected at all"
        raise UserError(f"no document was rejected by {rule!r}", hint=hint)
    if count is not None:
        return [_in_context(row) for row in sample(corpus, count, part="rejected", rule=rule)]
    found = (row for row in _rows(corpus, "rejected") if _rejected_by(row, rule))
    return _first((_in_context(row) for row in islice(found, limit)), found)


def _rejected_by(row: dict[str, Any], rule: str) -> bool:
    return not rule or rule in (row["rule"], f"{row['step']}/{row['rule']}")


def _by_keyword(row: dict[str, Any]) -> bool:
    return str(row.get("step", "")).partition(".")[0] == "keywords"


def _in_context(row: dict[str, Any], around: int = 40, most: int = 3) -> dict[str, Any]:
    """Where a document was rejected for a word: the first places in which it stands, with the text around."""
    if not _by_keyword(row):
        return row
    import pyarrow as pa

    from tilth.text import Keywords

    text = row["text"]
    places = Keywords.build([row["partner"]]).find(pa.array([text], pa.large_string()))[:most]
    return row | {"context": [text[max(0, start - around) : end + around] for _, start, end, _ in places.tolist()]}


def story(corpus: Path, document: str) -> dict[str, Any]:
    """What became of one document: where it is, why it was rejected, who its partner is, and every edit."""
    for part in PARTS:
        if found := _with_ids(corpus, part, [document]):
            row = found[0]
            break
    else:
        raise UserError(f"there is no document {document!r} in {corpus}", hint="--sample 5 and --grep show ids")
    partner = row.get("partner", "")
    return {
        "part": part,
        "document": _in_context(row),
        "partner": _find(corpus, partner) if partner and not _by_keyword(row) else None,
        "edits": _with_ids(corpus, "edits", [document]),
    }


def difference(left: Path, right: Path, *, examples: int = 5) -> dict[str, Any]:
    """How two corpora differ, seen as steps from the `left` to the `right` one.

    Documents that moved between kept, hold-out and rejected, and texts that changed.
    """
    before, after = _places(left), _places(right)
    moves: dict[str, dict[str, Any]] = {}
    changed: list[str] = []
    for document in sorted(before.keys() | after.keys()):
        old, new = before.get(document, ("absent", 0)), after.get(document, ("absent", 0))
        if old[0] != new[0]:
            move = moves.setdefault(f"{old[0]} -> {new[0]}", {"documents": 0, "examples": []})
            move["documents"] += 1
            if len(move["examples"]) < examples:
                move["examples"].append(document)
        elif old[1] != new[1]:
            changed.append(document)
    reports = [_report(folder) for folder in (left, right)]
    names = ("documents_in", "documents_kept", "documents_holdout", "documents_rejected", "bytes_kept")
    return {
        "from": str(left),
        "to": str(right),
        "counts": {name: {"from": reports[0][name], "to": reports[1][name]} for name in names},
        "moved": dict(sorted(moves.items())),
        "changed": {"documents": len(changed), "examples": changed[:examples]},
    }


def _first(shown: Iterable[dict[str, Any]], rest: Iterable[Any]) -> list[dict[str, Any]]:
    """What is shown, and how many there are behind it."""
    found = list(shown)
    more = sum(1 for _ in rest)
    return [*found, {"more": more}] if more else found


def _find(corpus: Path, document: str) -> dict[str, Any] | None:
    """A document wherever it is; None where the id is a benchmark item's."""
    found = (row for part in PARTS for row in _with_ids(corpus, part, [document]))
    return next(found, None)


def _with_ids(corpus: Path, part: str, wanted: list[str]) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pa.array(wanted, pa.string())
    rows: list[dict[str, Any]] = []
    for group in _groups(corpus, part, None):
        rows += group.filter(pc.is_in(group.column("id"), value_set=values)).to_pylist()
    return rows


def _places(corpus: Path) -> dict[str, tuple[str, int]]:
    return {
        row["id"]: (part if part != "rejected" else f"rejected by {row['rule']}", stable_hash(row["text"]))
        for part in PARTS
        for row in _rows(corpus, part)
    }


def _rows(corpus: Path, part: str) -> Iterator[dict[str, Any]]:
    for group in _groups(corpus, part, None):
        yield from group.to_pylist()


def _groups(corpus: Path, part: str, columns: Sequence[str] | None) -> Iterator[Any]:
    folder = corpus / part
    if not folder.is_dir():
        raise UserError(f"not a finished corpus: {folder} is missing", hint="give the folder of a corpus artifact")
    import pyarrow as pa

    for path in shard_paths(folder):
        try:
            yield from read_groups(path, columns)
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"is damaged: {error}", where=str(path), hint=_made_anew(corpus)) from None


def _known(part: str) -> str:
    if part not in PARTS:
        raise UserError(f"a corpus has no part {part!r}", hint=f"its parts are {', '.join(PARTS)}")
    return part
