"""Reading: every record is a document or an unreadable record that names its file, its line and the reason."""

from __future__ import annotations

import base64
import gzip
import json
import os
import socket
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import read_zst
from tests.corpus.helpers import CHINESE, ENGLISH, run_chain, write_jsonl
from tilth.base.errors import UserError
from tilth.base.settings import validate
from tilth.corpus.settings import CorpusSettings, SourceSettings
from tilth.corpus.sources import (
    Stream,
    Unreadable,
    files,
    find_files,
    plan_units,
    read_jsonl,
    read_unit,
    would_read,
)
from tilth.corpus.sources.formats import decode
from tilth.corpus.sources.json_items import array_items, spread_objects
from tilth.corpus.sources.records import Kind, Unusable


def json_values() -> st.SearchStrategy[Any]:
    plain = st.none() | st.booleans() | st.integers() | st.text()
    return st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


def read(base: Path, *sources: SourceSettings | str) -> tuple[list[dict], list[Unreadable]]:
    asked = [SourceSettings.model_validate(source) for source in sources]
    documents: list[dict] = []
    unreadable: list[Unreadable] = []
    for unit in plan_units(find_files(asked, base)):
        for batch in read_unit(unit, asked):
            documents += batch.table.to_pylist()
            unreadable += batch.unreadable
    return documents, unreadable


TOO_LONG = "longer than 4,000 bytes, the source's `largest_record`"


def test_bad_lines_are_named_and_good_lines_go_on(tmp_path: Path) -> None:
    lines: list[bytes] = [
        b'{"text": "one"}',
        b'{"text": "broken',
        b'{"title": "no text"}',
        b'{"text": 7}',
        b'{"text": ""}',
        b'{"text": "\xff\xfe"}',
        b'{"text": "lone \\ud800 surrogate"}',
        b'{"text": "pair \\ud83d\\ude00"}',
        b"[1, 2]",
        b"",
        b'{"text": "' + b"x" * 5000 + b'"}',
        b'{"text": "last", "id": "own"}',
    ]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    documents, unreadable = read(tmp_path, SourceSettings(path="a.jsonl", largest_record=4000))
    assert [d["text"] for d in documents] == ["one", "pair 😀", "last"]
    assert [d["id"] for d in documents] == ["a.jsonl#1", "a.jsonl#8", "own"]
    assert [(u.file, u.line) for u in unreadable] == [("a.jsonl", n) for n in (2, 3, 4, 5, 6, 7, 9, 11)]
    reasons = ["not JSON", "no text", "not a string", "empty", "not UTF-8", "U+D800", "a list", "longer than 4,000"]
    assert all(part in u.reason for part, u in zip(reasons, unreadable, strict=True))
    assert unreadable[-1].reason == TOO_LONG
    assert [u.bytes for u in unreadable] == [len(lines[n - 1]) for n in (2, 3, 4, 5, 6, 7, 9, 11)]


def test_why_a_record_has_no_text(tmp_path: Path) -> None:
    """The reason names what is there, so that one sees what was given instead."""
    records = [
        {"text": None, "id": 1},
        {"text": " \n\u3000"},
        {"messages": [{"role": "user", "content": "hi"}]},
        {"html": "<p>", "url": "u"},
        {},
        {f"f{i}": i for i in range(12)},
    ]
    write_jsonl(tmp_path / "a.jsonl", records)
    documents, unreadable = read(tmp_path, "a.jsonl")
    assert documents == []
    absent = "no text: there is no field 'text' or 'content' or 'raw_content'; "
    assert [u.reason for u in unreadable] == [
        "no text: the field 'text' is null",
        "no text: it is empty",
        f"{absent}the fields are 'messages'",
        f"{absent}the fields are 'html', 'url'",
        f"{absent}the record is empty",
        f"{absent}the fields are {', '.join(repr(f'f{i}') for i in range(8))} and 4 more",
    ]
    _, unreadable = read(tmp_path, SourceSettings(path="a.jsonl", fields={"text": "body"}))
    assert "no field 'body' or 'text'" in unreadable[3].reason


ARRAY = [{"text": ENGLISH}, {"text": CHINESE}]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(ARRAY),
        json.dumps(ARRAY, indent=2),
        "\ufeff " + json.dumps(ARRAY, indent=0),
        "[" + ",\n".join(map(json.dumps, ARRAY)) + "]",
        json.dumps(ARRAY * 400),  # longer than largest_record
    ],
)
def test_the_objects_of_a_json_array_are_records(tmp_path: Path, content: str) -> None:
    """Alone, and in a folder of other texts."""
    for place in (tmp_path / "a.json", tmp_path / "folder" / "数据.json"):
        place.parent.mkdir(exist_ok=True)
        place.write_text(content, encoding="utf-8")
        documents, unreadable = read(
            tmp_path, SourceSettings(path=place.name if place.parent == tmp_path else "folder")
        )
        assert unreadable == []
        assert [d["text"] for d in documents] == [one["text"] for one in json.loads(content.lstrip("\ufeff"))]
        assert documents[-1]["id"].endswith(f"{place.name}#{len(documents)}")


def test_a_bad_item_of_an_array_costs_nothing_but_itself(tmp_path: Path) -> None:
    items = [
        '{"text": "one, [two] \\"{\\" \\\\"}',
        "{oops}",
        "[1, [2]]",
        '{"text": "\\u4e2d"}',
        "",
        f'{{"text": "{"x" * 999}"}}',
    ]
    (tmp_path / "a.json").write_text(f"[{{}}, {', '.join(items)},\n]\n", encoding="utf-8")
    documents, unreadable = read(tmp_path, SourceSettings(path="a.json", largest_record=500))
    assert [d["text"] for d in documents] == ['one, [two] "{" \\', "中"]
    assert [(u.line, u.reason.split(":")[0]) for u in unreadable] == [
        (1, "no text"), (3, "not JSON"), (4, "not an object but a list"), (6, "not JSON"), 
        (7, "longer than 500 bytes, the source's `largest_record`"),
    ]  # fmt: skip


@settings(deadline=None)
@given(st.lists(json_values(), min_size=1), st.integers(1, 40), st.sampled_from([None, 1]))
def test_an_array_is_cut_where_json_cuts_it(values: list[Any], step: int, indent: int | None) -> None:
    """Whatever the pieces in which the stream comes."""
    data = json.dumps(values, indent=indent, ensure_ascii=False).encode()
    pieces = [data[i : i + step] for i in range(0, len(data), step)]
    items = list(array_items(pieces, 10**6))  # type: ignore[arg-type]
    assert [json.loads(item.data or b"") for item in items] == values
    assert [item.number for item in items] == list(range(1, len(values) + 1))
    cut = list(array_items([data[:-1]], 10**6))  # type: ignore[list-item]
    assert not cut[-1].whole


def test_an_array_that_does_not_end_gives_what_it_has(tmp_path: Path) -> None:
    whole = json.dumps([{"text": f"{CHINESE}{i}"} for i in range(3000)]).encode()
    (tmp_path / "a.json").write_bytes(whole[:-20])
    documents, (end,) = read(tmp_path, "a.json")
    assert len(documents) == 2999
    assert end.ends_file
    assert end.reason == "cut off: the array or object does not end"
    (tmp_path / "b.json.zst").write_bytes(zstandard.compress(whole)[:-9])
    documents, (end,) = read(tmp_path, "b.json.zst")
    assert end.ends_file
    assert end.reason.startswith("torn: the file ends inside a zstd frame")


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(ARRAY[1], indent=2),
        "\ufeff" + json.dumps(ARRAY[1] | {"a": {}, "b": [[{}]]}, ensure_ascii=False, indent=0),
        "\n\n".join(json.dumps(one, indent=1) for one in ARRAY * 50),  # as jq prints them
        '{ "id": 3,\n\n  "text": "one" }{ "text": "two" }\n',
        '{"meta":\n"none", "text": "a"}',
    ],
)
def test_an_object_that_spans_lines_is_a_record(tmp_path: Path, content: str) -> None:
    """Alone, and in a folder of other texts."""
    (tmp_path / "folder").mkdir()
    for place, asked in (("a.json", "a.json"), ("folder/数据.json", "folder")):
        (tmp_path / place).write_text(content, encoding="utf-8")
        documents, unreadable = read(tmp_path, asked)
        assert unreadable == []
        decoder, rest, texts = json.JSONDecoder(), content.lstrip("\ufeff"), []
        while rest := rest.lstrip():
            value, end = decoder.raw_decode(rest)
            texts.append(value["text"])
            rest = rest[end:]
        assert [d["text"] for d in documents] == texts
    (tmp_path / "b.json").write_text(json.dumps({"data": ARRAY}, indent=1))
    (found,) = read(tmp_path, "b.json")[1]
    assert found.reason.endswith("the fields are 'data'")


@settings(deadline=None)
@given(
    st.lists(st.dictionaries(st.text(min_size=1), json_values(), min_size=1), min_size=1),
    st.integers(1, 40),
    st.sampled_from([None, 1]),
)
def test_objects_are_cut_where_json_cuts_them(values: list[dict[str, Any]], step: int, indent: int | None) -> None:
    data = "\n".join(json.dumps(value, indent=indent, ensure_ascii=False) for value in values).encode()

    class Pieces(Stream):
        def __iter__(self) -> Iterator[bytes]:
            yield from (found[i : i + step] for i in range(0, len(found), step))

    def cut(given: bytes, limit: int = 10**6) -> list[Any]:
        nonlocal found
        found = given
        return list(spread_objects(Pieces(Path()), limit))

    found = b""

    items = cut(data)
    assert [json.loads(item.data) for item in items] == values
    assert [item.number for item in items] == list(range(1, len(values) + 1))
    assert not cut(data[:-1])[-1].whole
    assert [item.data for item in cut(data, 1)] == [None] * len(values)


def test_broken_lines_are_no_object(tmp_path: Path) -> None:
    """What is cut off in JSON Lines costs its own line, and no line behind it."""
    (tmp_path / "a.jsonl").write_text('{"text": "one",\n{"text": "two"}\n{\n{"text": "three"}\n')
    documents, unreadable = read(tmp_path, "a.jsonl")
    assert [d["text"] for d in documents] == ["two", "three"]
    assert [(u.line, u.kind) for u in unreadable] == [(1, "format"), (3, "format")]
    (tmp_path / "b.json").write_text('{\n "text": "a"\n}\n{\n "text": "b')
    (document,), (end,) = read(tmp_path, "b.json")
    assert document["text"] == "a"
    assert (end.line, end.reason, end.ends_file) == (2, "cut off: the array or object does not end", True)


def test_what_is_wrong_is_told_by_its_kind(tmp_path: Path) -> None:
    """No word of a reason decides: each kind says what is lost."""
    files: dict[str, tuple[bytes, Kind, bool]] = {
        "null.jsonl": (b'{"text": null}', "record", False),
        "other.jsonl": (b'{"body": "a"}', "no_field", False),
        "long.jsonl": (b'{"text": "' + b"x" * 5000 + b'"}', "too_long", False),
        "lines.jsonl": (b"oops", "format", False),
        "deep.jsonl": (b'{"text": "a", "b": ' + b"[" * 1900 + b"]" * 1900 + b"}", "format", False),
        "unpacked.jsonl.zst": (b"this was never packed", "end", True),
        "unpacked.txt.gz": (b"this was never packed", "end", True),
        "a.parquet": (b"PAR1 but not really", "file", True),
        "empty.csv": (b'"never closed', "file", True),
        "long.csv": (b"text\n" + b"x" * 5000, "too_long", False),
        "rest.csv": (b'text\n"never closed', "end", True),
        "binary.txt": (b"\0", "record", False),
        "long.txt": (b"x" * 5000, "too_long", False),
    }
    for name, (data, kind, ends) in files.items():
        (tmp_path / name).write_bytes(data)
        _, (found,) = read(tmp_path, SourceSettings(path=name, largest_record=4000))
        assert (found.kind, found.ends_file) == (kind, ends), name
        assert ("`largest_record`" in found.reason) == (kind == "too_long"), name
        assert (found.reason == "JSON that is nested too deeply") == (name == "deep.jsonl"), name
    settings = CorpusSettings.model_validate({"sources": ["*.zst", "a.parquet", "good.jsonl"], "steps": ["measure"]})
    write_jsonl(tmp_path / "good.jsonl", ARRAY)
    *unread, packed, parquet = run_chain(tmp_path, settings, base=tmp_path)["warnings"]
    assert [text.partition(" could not")[0] for text in unread] == [f"sources.{i}: its one record" for i in (0, 1)]
    assert packed.startswith("unpacked.jsonl.zst:1: not zstd data: ")
    assert packed.endswith("; what follows there is missing")
    assert parquet.startswith("a.parquet: not a Parquet file: ")
    assert parquet.endswith("; all of it is missing")


def test_a_file_of_a_folder_is_opened_once_to_know_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_jsonl(tmp_path / "tree" / "a.json", ARRAY)
    opened: list[Path] = []
    monkeypatch.setattr(files, "read_jsonl", lambda path, *rest: opened.append(path) or read_jsonl(path, *rest))

    def formats() -> list[str]:
        return [file.format for file in find_files([SourceSettings(path="tree")], tmp_path)]

    assert [formats() for _ in range(3)] == [["jsonl"]] * 3
    assert len(opened) == 1
    (tmp_path / "tree" / "a.json").write_text('{"name": "x"}')
    assert formats() == ["text"]
    assert len(opened) == 2


def test_files_of_a_folder_are_records_where_they_have_a_text(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "package.json").write_text('{\n "name": "x",\n "version": "1"\n}\n')
    (tree / "settings.json").write_text('[{"name": "x", "on": true}]')
    (tree / "numbers.csv").write_text("a,b\n1,2\n")
    (tree / "lines.json").write_text('{"text": "one"}\n{"text": "two"}\n')
    (tree / "table.csv").write_text("body,id\nthree,7\n")
    documents, unreadable = read(tmp_path, SourceSettings(path="tree", fields={"text": "body"}))
    assert unreadable == []
    found = {d["id"]: d["text"] for d in documents}
    assert found["7"] == "three"
    assert found["tree/lines.json#2"] == "two"
    assert {"tree/package.json", "tree/settings.json", "tree/numbers.csv"} < found.keys()
    source = {"path": "tree", "fields": {"text": "body"}}
    plain = CorpusSettings.model_validate({"sources": [source], "steps": ["measure"]})
    (said,) = run_chain(tmp_path, plain, base=tmp_path)["warnings"]
    assert said.startswith("tree/numbers.csv and 2 more: a text of its own, as its first records have no field for the")


def test_a_quotation_mark_that_is_never_closed_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'text,id\none,1\n"two,2\nthree,3\n')
    (document,), (rest,) = read(tmp_path, "a.csv")
    assert document["text"] == "one"
    assert rest.reason == "not closed: a quotation mark opens a field in the record that begins on line 3"
    assert rest.bytes == len('"two,2three,3')
    assert rest.ends_file
    (tmp_path / "b.csv").write_bytes(b'text,id\n"one",1\n"two\nlines"')
    documents, unreadable = read(tmp_path, "b.csv")
    assert [d["text"] for d in documents] == ["one", "two\nlines"]
    assert unreadable == []


def test_lines_that_are_lists_are_no_array(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [ARRAY, ARRAY, "[oops", {"text": "a"}])
    documents, unreadable = read(tmp_path, "a.jsonl")
    assert [d["text"] for d in documents] == ["a"]
    assert [u.reason.split(":")[0] for u in unreadable] == ["not an object but a list"] * 2 + ["not JSON"]


def test_fields_that_no_record_has_are_told(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"text": f"{ENGLISH}{i}", "kind": None, "n": 1} for i in range(3)])
    write_jsonl(tmp_path / "b.jsonl", [{"text": f"{CHINESE}{i}", "kind": "k" if i else None} for i in range(3)])
    plain = {"domain": "{field:kind}", "signals": {"n": "n", "score": "meta.score"}}
    sources = [{"path": name, **plain} for name in ("a.jsonl", "[ab].jsonl")]
    report = run_chain(
        tmp_path, CorpusSettings.model_validate({"sources": sources, "steps": ["measure"]}), base=tmp_path
    )
    lacking = [(0, "kind"), (0, "meta.score"), (1, "meta.score"), (1, "n")]
    assert report["warnings"] == [f"sources.{i}: no record has the field {name!r}" for i, name in lacking]


def test_signals_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    """Of each source; one number is enough, as text too."""
    write_jsonl(tmp_path / "a.jsonl", [{"text": f"{ENGLISH}{i}", "id": f"x{i}", "n": "many"} for i in range(3)])
    write_jsonl(
        tmp_path / "b.jsonl", [{"text": f"{CHINESE}{i}", "id": f"y{i}", "n": "7" if i else None} for i in (0, 1)]
    )
    signals = {"votes": "id", "count": "n", "gone": "no"}
    sources = [{"path": name, "signals": signals} for name in ("a.jsonl", "[ab].jsonl")] + [{"path": "c.jsonl"}]
    write_jsonl(tmp_path / "c.jsonl", [{"text": ENGLISH}])
    chain = CorpusSettings.model_validate({"sources": sources, "steps": ["measure"]})

    def numberless(i: int, field: str, name: str) -> str:
        return f"sources.{i}: no record has a number in the field {field!r}, so signal.{name} says nothing"

    assert run_chain(tmp_path, chain, base=tmp_path)["warnings"] == [
        "sources.0: no record has the field 'no'",
        numberless(0, "n", "count"),
        numberless(0, "id", "votes"),
        "sources.1: no record has the field 'no'",
        numberless(1, "id", "votes"),
    ]


def test_a_source_of_which_nothing_could_be_read_is_told(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "pages.jsonl", [{"text": ENGLISH}, {"title": "?"}])
    write_jsonl(tmp_path / "exam.jsonl", [{"question": "?"}, {"text": " "}])
    write_jsonl(tmp_path / "one.jsonl", ["{"])
    (tmp_path / "empty.jsonl").write_bytes(b"")
    sources = [f"{name}.jsonl" for name in ("pages", "exam", "one", "empty")]
    chain = CorpusSettings.model_validate({"sources": sources, "steps": ["measure"]})
    said = run_chain(tmp_path, chain, base=tmp_path)["warnings"]
    assert [text.split(": ")[:3] for text in said] == [
        ["sources.1", "none of its 2 records could be read; exam.jsonl:1", "no text"],
        ["sources.2", "its one record could not be read; one.jsonl:1", "not JSON"],
        ["sources.3", "it is empty"],
    ]


@pytest.mark.parametrize("label", ["domain", "default_domain", "language", "source", "license"])
def test_templates_are_checked_when_they_are_read(label: str) -> None:
    for good in ("law", "{stem}", "web-{stem}", "{field:meta.kind}", ""):
        SourceSettings(path="a", **{label: good})
    for bad in ("{nope}", "{stem", "stem}", "{field:}", "web-{field:x}", "{field:a}{field:b}", "{python}"):
        with pytest.raises(
            UserError, match=rf"sources\.0\.{label}: .* is no template; .*\{{stem\}} and \{{field:NAME\}}"
        ):
            validate(CorpusSettings, {"sources": [{"path": "a", label: bad}]}, source="recipe.yaml")


def test_fields_labels_and_meta(tmp_path: Path) -> None:
    record = {"content": "hello", "lang": "en", "extra": {"votes": 3}, "number": 5, "id": 17, "date": None}
    write_jsonl(tmp_path / "deep" / "zh_law.v2.jsonl", [record])
    source = SourceSettings(
        path="deep/*.jsonl",
        domain="{stem}",
        license="{field:extra.licence}",
        source="fixed",
        fields={"date": "number"},
        signals={"votes": "extra.votes", "absent": "x"},
    )
    (document,), _ = read(tmp_path, source)
    assert document["domain"] == "zh_law"
    assert (document["language"], document["source"], document["license"]) == ("en", "fixed", "")
    assert (document["id"], document["date"]) == ("17", "5")
    assert json.loads(document["meta"]) == {"extra": {"votes": 3}}
    assert document["signal.votes"] == 3
    assert document["signal.absent"] != document["signal.absent"]


def test_meta_is_valid_json(tmp_path: Path) -> None:
    """NaN and infinity are not: such a record is named. In a column of Parquet NaN says that there is no number."""
    (tmp_path / "a.jsonl").write_text(
        '{"text": "one", "score": NaN}\n'
        '{"text": "two", "ok": "NaN", "deep": [{"x": 1e999}]}\n'
        '{"text": "three", "y": 1}\n'
    )
    documents, unreadable = read(tmp_path, SourceSettings(path="a.jsonl"))
    assert [document["text"] for document in documents] == ["three"]
    assert [(fault.file, fault.line) for fault in unreadable] == [("a.jsonl", 1), ("a.jsonl", 2)]
    assert [fault.reason.split(",")[0] for fault in unreadable] == [
        "the field 'score' holds NaN or infinity",
        "the field 'deep' holds NaN or infinity",
    ]
    table = {"text": ["one", "two"], "score": [float("nan"), 1.5], "part": [1.0, float("inf")]}
    pq.write_table(pa.table(table), tmp_path / "b.parquet")
    (document,), (fault,) = read(tmp_path, SourceSettings(path="b.parquet"))
    assert json.loads(document["meta"]) == {"part": 1.0}
    assert (fault.line, "'part'" in fault.reason) == (2, True)


@pytest.mark.parametrize("packed", ["zst", "gz"])
def test_a_torn_file_keeps_what_stands_before_the_tear(tmp_path: Path, packed: str) -> None:
    texts = [f"{i} {ENGLISH * 30}{os.urandom(200).hex()}" for i in range(2000)]
    plain = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    pack = {"zst": zstandard.ZstdCompressor().compress, "gz": gzip.compress}[packed]
    whole = pack(plain)
    path = tmp_path / f"torn.jsonl.{packed}"
    path.write_bytes(whole)
    assert len(read(tmp_path, path.name)[0]) == 2000
    path.write_bytes(whole[: len(whole) * 2 // 3])
    documents, (tear,) = read(tmp_path, path.name)
    assert 500 < len(documents) < 2000
    assert [d["text"] for d in documents] == texts[: len(documents)]
    assert (tear.file, tear.line) == (path.name, len(documents) + 1)
    assert tear.reason.startswith("torn")
    assert tear.bytes > 0


@pytest.mark.parametrize("packed", ["zst", "gz"])
def test_files_of_several_frames_padding_and_damage(tmp_path: Path, packed: str) -> None:
    pack = {"zst": zstandard.ZstdCompressor().compress, "gz": gzip.compress}[packed]
    lines = [json.dumps({"text": f"{i}{os.urandom(50_000).hex()}"}).encode() + b"\n" for i in range(9)]
    path = tmp_path / f"a.jsonl.{packed}"
    frames = [pack(line) for line in lines]
    path.write_bytes(b"".join(frames) + (b"\0" * 64 if packed == "gz" else b""))
    documents, unreadable = read(tmp_path, path.name)
    assert (len(documents), unreadable) == (9, [])
    path.write_bytes(b"".join(frames[:4]) + b"garbage that is no frame" * 20)
    documents, (damage,) = read(tmp_path, path.name)
    assert len(documents) == 4
    assert damage.bytes == 480
    path.write_bytes(b"this was never packed")
    documents, (damage,) = read(tmp_path, path.name)
    assert (documents, damage.bytes) == ([], 21)
    assert "not" in damage.reason


def test_parquet_csv_and_our_own_output(tmp_path: Path) -> None:
    pq.write_table(
        pa.table(
            {"text": ["a", None, "c"], "likes": [1, 2, 3], "signal.words": [1.0, 2.0, 3.0], "meta": ['{"k": 1}'] * 3}
        ),
        tmp_path / "a.parquet",
    )
    documents, (bad,) = read(tmp_path, "a.parquet")
    assert [json.loads(d["meta"]) for d in documents] == [{"likes": 1, "k": 1}, {"likes": 3, "k": 1}]
    assert (bad.file, bad.line) == ("a.parquet", 2)
    (tmp_path / "b.parquet").write_bytes(b"PAR1 but not really")
    documents, (bad,) = read(tmp_path, "b.parquet")
    assert documents == []
    assert bad.bytes == 19
    (tmp_path / "c.csv").write_bytes('text,id\n"two\nlines",1\n河,2\n'.encode() + b"\xff\xfe,3\n,4\n")
    documents, unreadable = read(tmp_path, "c.csv")
    assert [(d["id"], d["text"]) for d in documents] == [("1", "two\nlines"), ("2", "河")]
    assert [(u.line, u.reason) for u in unreadable] == [
        (5, "not UTF-8: byte 0xff at 0 of line 5"),
        (6, "no text: it is empty"),
    ]
    pq.write_table(pa.table({"text": pa.array([b"a"], pa.binary())}), tmp_path / "d.parquet")
    _, (bad,) = read(tmp_path, "d.parquet")
    assert bad.reason == "the text is not a string but bytes"


def test_no_csv_column_vanishes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text,note,text\n1,one,a,two\n2,three,b,four\n")
    documents, (bad,) = read(tmp_path, "a.csv")
    assert documents == []
    assert (bad.line, bad.reason, bad.kind) == (1, "the header names the column 'text' twice", "file")
    (tmp_path / "b.csv").write_text(",text,,\n0,one,x,\n1,two,,y,z\n,three,,\n")
    documents, _ = read(tmp_path, "b.csv")
    found = [json.loads(document["meta"]) for document in documents]
    assert found == [{"more": ["0", "x"], "": ""}, {"more": ["1", "z"], "": "y"}, {"": ""}]


def test_no_csv_record_vanishes(tmp_path: Path) -> None:
    """Whatever line is too long, the records around it stay as they are and what it belongs to is unreadable."""
    long = b"x" * 5000
    rows = [
        b"one,1",
        b'"' + long + b'",2',  # a line alone
        b'"opens ""here""\n' + long + b'\nand ends",3',  # inside a quoted field
        b'"' + long + b'\nruns on, with a ""quote""",4',  # opens one
        b'"ends\n' + long + b'",5',  # closes one
        b"",
        "河,6".encode(),
        b"last,7,more",
    ]
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,id\n" + b"\n".join(rows))
    documents, unreadable = read(tmp_path, SourceSettings(path="a.csv", largest_record=4000))
    assert [(d["id"], d["text"]) for d in documents] == [("1", "one"), ("6", "河"), ("7", "last")]
    assert json.loads(documents[2]["meta"]) == {"more": ["more"]}
    assert [(u.line, u.reason) for u in unreadable] == [(n, TOO_LONG) for n in (3, 6, 8, 10)]
    assert [u.bytes for u in unreadable] == [len(row) - row.count(b"\n") for row in rows[1:5]]
    path.write_bytes(long + b"\none,1\n")
    _, (header,) = read(tmp_path, SourceSettings(path="a.csv", largest_record=4000))
    assert (header.line, header.reason, header.bytes) == (1, f"no header: {TOO_LONG}", 5007)


def test_a_tear_in_a_csv_file_counts_its_bytes(tmp_path: Path) -> None:
    lines = [b"text,id\n", b"whole,1\n", b'"opened\n', b"torn o"]
    pack = zlib.compressobj(wbits=31)
    (tmp_path / "a.csv.gz").write_bytes(pack.compress(b"".join(lines)) + pack.flush(zlib.Z_SYNC_FLUSH))
    (document,), (tear,) = read(tmp_path, "a.csv.gz")
    assert document["id"] == "1"
    assert (tear.line, tear.bytes) == (3, len(b'"opened') + len(b"torn o"))
    assert tear.reason.startswith("torn")


def test_a_default_domain_is_for_records_that_name_none(tmp_path: Path) -> None:
    records = [{"text": "a", "domain": "law"}, {"text": "b"}, {"text": "c", "domain": None}, {"text": "d", "kind": "k"}]
    write_jsonl(tmp_path / "web.jsonl", records)

    def domains(**settings: str) -> list[str]:
        return [d["domain"] for d in read(tmp_path, SourceSettings(path="web.jsonl", **settings))[0]]

    assert domains(default_domain="{stem}") == ["law", "web", "web", "web"]
    assert domains(domain="{stem}") == ["web"] * 4
    assert domains(domain="{field:kind}", default_domain="none") == ["none", "none", "none", "k"]
    assert domains() == ["law", "", "", ""]


def test_what_cannot_be_read_stops_nothing(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "good.txt").write_text(ENGLISH)
    (tree / "gone.txt").symlink_to(tree / "nothing.txt")
    (tree / "self.txt").symlink_to(tree / "self.txt")
    settings = CorpusSettings.model_validate({"sources": ["tree"], "steps": ["measure", "exact"]})
    files = {file.name: file for file in find_files(settings.sources, tmp_path)}
    assert {name: file.readable for name, file in files.items()} == {
        "tree/good.txt": True,
        "tree/gone.txt": False,
        "tree/self.txt": False,
    }
    assert files["tree/gone.txt"].modified == 0
    report = run_chain(tmp_path / "out", settings, base=tmp_path)
    assert (report["documents_kept"], report["unreadable"]) == (1, 2)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_and_folders_without_permission_are_unreadable_records(tmp_path: Path) -> None:
    for name in ("good.txt", "shut.txt", "folder/a.txt"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(ENGLISH)
    shut = [tmp_path / "tree" / name for name in ("shut.txt", "folder")]
    for path in shut:
        path.chmod(0)
    try:
        documents, unreadable = read(tmp_path, "tree")
        files = find_files([SourceSettings(path="tree")], tmp_path)
        assert [file.name for file in files if file.readable] == ["tree/good.txt"]
    finally:
        for path in shut:
            path.chmod(0o700)
    assert [d["id"] for d in documents] == ["tree/good.txt"]
    assert sorted(u.file for u in unreadable) == ["tree/folder", "tree/shut.txt"]


def test_source_trees(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name, data in {
        "a.py": b"print(1)\n",
        "sub/b.py": b"x = '\xe6\xb2\xb3'\n",
        "sub/binary.py": b"\x7fELF\0\0\0",
        "sub/latin.py": b"caf\xe9 cr\xe8me",
        "big.py": b"#" * 3000,
        "notes.txt": b"not asked for",
        ".git/c.py": b"hidden",
        "skip/d.py": b"excluded",
    }.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(data)
    (tree / "sub" / "loop").symlink_to(tree)
    (tree / "gone.py").symlink_to(tree / "nothing.py")
    source = SourceSettings(path="tree", include=["*.py"], exclude=["skip"], domain="code", largest_record=2000)
    documents, unreadable = read(tmp_path, source)
    assert sorted(d["id"] for d in documents) == ["tree/a.py", "tree/sub/b.py"]
    reasons = {u.file: u.reason for u in unreadable}
    assert reasons.keys() == {"tree/sub/binary.py", "tree/sub/latin.py", "tree/big.py", "tree/gone.py"}
    assert "binary" in reasons["tree/sub/binary.py"]
    assert "0xe9 at 3, line 1" in reasons["tree/sub/latin.py"]


def test_pipes_in_a_folder_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens one waits forever."""
    tree = tmp_path / "tree"
    write_jsonl(tree / "a.jsonl", [{"text": "a"}])
    (tree / "link.jsonl").symlink_to("a.jsonl")
    (tree / "gone.jsonl").symlink_to("nowhere.jsonl")
    os.mkfifo(tree / "b.jsonl")
    (tree / "device.txt").symlink_to("/dev/null")
    monkeypatch.chdir(tree)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s.jsonl")
        for path, folder in (("tree", "tree/"), ("tree/*", "")):
            found = [file.name for file in find_files([SourceSettings(path=path)], tmp_path)]
            assert found == [f"{folder}{name}" for name in (["a.jsonl", "gone.jsonl"] if folder else ["a.jsonl"])]


def test_mistakes_in_sources_name_what_to_do(tmp_path: Path) -> None:
    def mistake(*paths: str | SourceSettings, **told: Any) -> str:
        sources = [path if isinstance(path, SourceSettings) else SourceSettings(path=path) for path in paths]
        with pytest.raises(UserError) as error:
            find_files(sources, tmp_path, **told)
        return str(error.value)

    (tmp_path / "link.jsonl").symlink_to("nowhere.jsonl")
    assert mistake("link.jsonl") == "corpus.sources.0: 'link.jsonl' is a link that leads nowhere"
    os.mkfifo(tmp_path / "pipe")
    assert mistake("pipe") == "corpus.sources.0: 'pipe' is a pipe or a device (write it into a file first)"
    write_jsonl(tmp_path / "full" / "a.jsonl", [{"text": "a"}])
    relative, looked = "(paths are relative to the recipe's folder)", f"seen from {tmp_path}"
    there = str(tmp_path / "full" / "a.jsonl")
    assert mistake(there, "no/*.csv") == (
        f"corpus.sources.1: no file matches 'no/*.csv' {looked}; there is no folder {tmp_path}/no {relative}"
    )
    assert mistake("full/*.csv") == f"corpus.sources.0: no file matches 'full/*.csv' {looked} {relative}"
    narrow = SourceSettings(path="full", include=["*.py"])
    assert mistake(narrow) == "corpus.sources.0: the folder 'full' holds no file that include and exclude leave"
    assert mistake(there, "full/*").startswith("corpus.sources.1: every file of 'full/*' is read by corpus.sources.0 (")
    assert mistake(there, "/no/such/*.zst", called="corpus.decontaminate.against") == (
        f"corpus.decontaminate.against.1: no file matches '/no/such/*.zst'; there is no folder /no {relative}"
    )
    assert mistake("/no/a.txt", called=["INPUT"], hint="check the path") == (
        "INPUT: no file matches '/no/a.txt'; there is no folder /no (check the path)"
    )
    (tmp_path / "page.warc.gz").write_bytes(b"")
    with pytest.raises(UserError, match=r"page\.warc\.gz: \.warc files are not read here \(take their text out"):
        find_files([SourceSettings(path="*.warc.gz")], tmp_path)
    with pytest.raises(UserError, match="no sources"):
        find_files([], tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the file system refuses such names")
def test_a_name_that_is_not_utf8_is_told_readably(tmp_path: Path) -> None:
    (tmp_path / "good.jsonl").write_text('{"text": "a"}\n')
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.jsonl")).write_text('{"text": "a"}\n')
    for path in (".", "*.jsonl"):
        with pytest.raises(UserError) as caught:
            find_files([SourceSettings(path=path)], tmp_path)
        assert str(caught.value).endswith(r"\xff\xfe.jsonl: the file's name is not UTF-8 (rename it, or leave it out)")
        str(caught.value).encode()
    assert len(find_files([SourceSettings(path=".", include=["good*"])], tmp_path)) == 1


def test_a_file_of_exactly_that_name_is_no_glob(tmp_path: Path) -> None:
    odd = tmp_path / "d[1]" / "[a]{b}*.jsonl"
    for path in (odd, tmp_path / "d[1]" / "a{b}1.jsonl", tmp_path / "d1" / "[a]{b}*.jsonl"):
        write_jsonl(path, [{"text": "a"}])
    (file,) = find_files([SourceSettings(path="d[1]/[a]{b}*.jsonl")], tmp_path)
    assert (file.path, file.name) == (odd, odd.name)


def test_what_a_source_would_read_is_what_it_reads(tmp_path: Path) -> None:
    names = ["a.txt", ".h.txt", "x/a.txt", "x/b.md", "x/y/a.txt", "x/.h/a.txt", ".h/a.txt", "q/x/a.txt"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a")
    globs = ["*", "*/*", "x/*.txt", "**/*", "**/*.txt", "**", "x/**", "x/**/a.txt", "**/x/*", "*/.h/*", "?/[xy]/*"]
    sources = [SourceSettings(path=path) for path in [*globs, ".", "x", "x/../x/y/*", str(tmp_path / "q"), "a.txt"]]
    chosen: list[dict[str, Any]] = [{"include": [name]} for name in ("*.md", "a.*", ".h*")]
    chosen += [{"exclude": [name]} for name in ("x", "x/y", "*.md")]
    for source in [*sources, *(SourceSettings(path=".", **choice) for choice in chosen)]:
        read_ = {os.path.realpath(file.path) for file in find_files([source], tmp_path)}
        told = {str(tmp_path / name) for name in names if would_read(source, tmp_path, tmp_path / name)}
        assert told == read_ - {str(tmp_path / source.path)}, source
    (tmp_path / "link").symlink_to("x")
    assert would_read(SourceSettings(path="link"), tmp_path, tmp_path / "x" / "new.txt")
    assert not would_read(SourceSettings(path="x/*.txt"), tmp_path, tmp_path / "new.txt")


def test_a_file_is_read_once_and_units_do_not_depend_on_workers(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl"):
        write_jsonl(tmp_path / name, [{"text": name}])
    files = find_files([SourceSettings(path="a.jsonl"), SourceSettings(path="*.jsonl")], tmp_path)
    assert [(f.name, f.source) for f in files] == [("a.jsonl", 0), ("b.jsonl", 1)]
    for i in range(600):
        (tmp_path / "texts").mkdir(exist_ok=True)
        (tmp_path / "texts" / f"{i:03}.txt").write_text("text")
    units = plan_units(find_files([SourceSettings(path="texts")], tmp_path))
    assert [len(unit.files) for unit in units] == [512, 88]


def test_encodings() -> None:
    text = CHINESE * 20
    for encoding, name in (("utf-8-sig", "utf-8"), ("utf-16", "utf-16"), ("gb18030", "gb18030")):
        assert decode(text.encode(encoding)) == (text, name)
    for encoding in ("big5", "shift_jis", "euc_kr"):
        sample = {
            "big5": "這是一個關於資料處理的說明。",
            "shift_jis": "これは日本語の文章です。",
            "euc_kr": "이것은 한국어 문장입니다.",
        }
        with pytest.raises(Unusable, match="not UTF-8"):
            decode(sample[encoding].encode(encoding) * 20)


def test_real_encodings_are_right_or_unreadable(real_data: Path) -> None:
    """No text in another encoding may come out as wrong text."""
    right = wrong = 0
    for record in read_zst(real_data / "dirty" / "encodings_dev.jsonl.zst"):
        data = base64.b64decode(record["bytes_b64"])
        label = record["encoding_label"].lower()
        try:
            encoding = decode(data)[1]
        except Unusable:
            continue
        chinese = any(name in label for name in ("gb", "utf", "ascii", "hz", "iso-2022", "johab"))
        right += chinese
        wrong += not chinese and not data.isascii() and encoding == "gb18030"
    assert wrong == 0
    assert right > 20
