"""`parse_json` says what the standard library says, down to the message of an error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.corpus.sources.json_lines import parse_json

NUMBERS = st.one_of(
    st.integers(), st.integers(-(2**70), 2**70), st.floats(), st.sampled_from([2**63, 2**64, -(2**63) - 1, -0.0])
)
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, st.text())
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)),
    max_leaves=12,
)
PIECES = r"""{ } [ ] " : , - 0 1 . e E + \ u d800 \ud83d \ude00 null true NaN Infinity -0 -0.0 1e400 é a "a": "b" \n
99999999999999999999 /*""".split()
FRAGMENTS = [*PIECES, " ", "\t", "\r", "\n", "\x00", "\x0b", "\ufeff"]


def outcome(parse: Callable[[bytes], Any], data: bytes) -> str:
    try:
        return repr(parse(data))
    except (ValueError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"


def assert_same(data: bytes) -> None:
    assert outcome(parse_json, data) == outcome(lambda data: json.loads(data.decode("utf-8")), data)


@settings(deadline=None)
@given(VALUES, st.booleans())
def test_values(value: Any, ascii_only: bool) -> None:
    assert_same(json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"))


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=14))
def test_what_is_hardly_json(pieces: list[str]) -> None:
    assert_same("".join(pieces).encode("utf-8", "surrogatepass"))


@settings(deadline=None)
@given(st.binary(max_size=12))
def test_bytes(data: bytes) -> None:
    assert_same(data)
    assert_same(b'{"text":"' + data + b'"}')


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"b":2,"a":3}',
        b"-0",
        b"[-0]",
        b"1" * 30,
        b"1" * 5000,
        b'"\xed\xa0\x80"',
        b"\xc2\xa01",
    ],
)
def test_edges(data: bytes) -> None:
    assert_same(data)


@pytest.mark.parametrize("number", [b"1", b"-0"])
@pytest.mark.parametrize("limit", [1000, 20_000])
def test_depth_does_not_hang_on_the_limit_of_the_process(limit: int, number: bytes) -> None:
    """Packages raise Python's limit when they are imported: the same file must read the same."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(limit)
    try:
        assert_same(b"[" * 200 + number + b"]" * 200)
        for depth in (201, 700, 3000):
            for opened, closed in ((b"[", b"]"), (b'{"a":', b"}")):
                with pytest.raises(RecursionError):
                    parse_json(opened * depth + number + closed * depth)
    finally:
        sys.setrecursionlimit(before)
