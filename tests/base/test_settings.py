from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field

from tilth.base.errors import UserError, nearest
from tilth.base.settings import Count, Settings, load_yaml, override, parse_count, validate
from tilth.model.adapters.settings import AdapterSettings


class Inner(Settings):
    tokens: Annotated[Count, Field(ge=0)] = 0
    rate: float = Field(0.1, gt=0, lt=1)
    shape: Literal["linear", "cosine"] = "linear"


class Quality(Settings):
    set: Literal["gopher_quality"]
    words: int | None = 5


class Repetition(Settings):
    set: Literal["gopher_repetition"]


class Outer(Settings):
    name: str
    phases: list[Inner] = []
    named: dict[str, Inner] = {}
    rules: list[Annotated[Quality | Repetition, Field(discriminator="set")]] = []
    on: bool = True


def read(tmp_path, text, *assignments):
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    data, lines = load_yaml(path)
    override(data, list(assignments), lines)
    return validate(Outer, data, source=path.name, lines=lines)


def test_counts_and_floats_are_read_as_people_write_them(tmp_path):
    outer = read(tmp_path, "name: x\nphases:\n  - {tokens: 3.9M, rate: 1e-3}\n  - {tokens: 2GiB}\n")
    assert [p.tokens for p in outer.phases] == [3_900_000, 2 << 30]
    assert outer.phases[0].rate == 1e-3
    assert parse_count("1_000k") == 1_000_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "name: x\nphases:\n  - tokns: 3\n",
            r"recipe\.yaml:3: unknown setting 'phases\.0\.tokns' \(did you mean 'tokens'\?\)",
        ),
        (
            "name: x\nnamed:\n  a:\n    rat: 3\n",
            r"recipe\.yaml:4: unknown setting 'named\.a\.rat' \(did you mean 'rate'\?\)",
        ),
        ("name: x\nphases:\n  - rate: fast\n", r"recipe\.yaml:3: phases\.0\.rate: .*found 'fast'"),
        ("phases: []\n", r"recipe\.yaml: 'name' is missing"),
        ("name: x\nphases:\n  - tokens: many\n", r"recipe\.yaml:3: .*expected a number such as 4096, 3\.9M or 2GiB"),
        ("name: x\nname: y\n", r"recipe\.yaml:2: 'name' is set twice, first in line 1"),
        ("name: [\n", r"recipe\.yaml:2: not valid YAML"),
        ("name:\n\ta: 1\n", r"recipe\.yaml:2: not valid YAML: use spaces, not tabs"),
        ("name: 2020-13-45\n", r"recipe\.yaml: not valid YAML: month must be"),
        ("", r"recipe\.yaml: the file is empty"),
        ("# nothing but this\n", r"recipe\.yaml: the file is empty"),
        (
            "name: x\nphases: [{tokens: -20k}]\n",
            r"recipe\.yaml:2: phases\.0\.tokens: must be at least 0, found '-20k'$",
        ),
        ("name: x\nphases: [{rate: 0}]\n", r"phases\.0\.rate: must be above 0$"),
        ("name: x\nphases: [{rate: 1.5}]\n", r"phases\.0\.rate: must be below 1, found 1\.5$"),
        ("name: x\nphases: [{shape: cosin}]\n", r"phases\.0\.shape: 'cosin' is not known \(did you mean 'cosine'\?\)$"),
        ("name: x\nphases: [{shape: 3}]\n", r"phases\.0\.shape: expected 'linear' or 'cosine', found 3$"),
        ("name: x\nphases: 3\n", r"phases: expected a list, found 3$"),
        ("name: x\nphases: [3]\n", r"phases\.0: expected a section of settings, found 3$"),
        ("name: 3\n", r"recipe\.yaml:1: name: expected text, found 3$"),
        ("name: x\non: maybe\n", r"on: expected true or false, found 'maybe'$"),
        (
            "name: x\nrules:\n  - set: gofer\n",
            r"recipe\.yaml:3: rules\.0\.set: 'gofer' is not known "
            r"\(did you mean 'gopher_quality' or 'gopher_repetition'\?\)$",
        ),
        ("name: x\nrules:\n  - words: 3\n", r"recipe\.yaml:3: 'rules\.0\.set' is missing$"),
        (
            "name: x\nrules:\n  - set: gopher_quality\n    words: two\n",
            r"recipe\.yaml:4: rules\.0\.words: expected a whole number, found 'two'$",
        ),
        (
            "name: x\nphases: &a [*a]\n",
            r"recipe\.yaml:2: an anchor \(&\) that holds itself \(\*\) \(write the value out\)$",
        ),
        ("name: x\nnamed:\n  b: &a\n    rate: {c: *a}\n", r"recipe\.yaml:3: an anchor \(&\) that holds itself"),
        (
            "name: x\nphases: [&a {rate: 2}, *a]\n",
            r"phases\.0\.rate: must be below 1, found 2; .*phases\.1\.rate: must",
        ),
        (
            "name: x\nrules: [{set: gopher_quality, wrds: 3}]\n",
            r"unknown setting 'rules\.0\.wrds' \(did you mean 'words'",
        ),
    ],
)
def test_a_mistake_is_one_sentence_with_its_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, text)


def test_overrides_by_path_number_and_name():
    data = {"phases": [{"name": "warm", "tokens": 1}, {"name": "cool"}]}
    override(data, ["phases.cool.tokens=2M", "phases.0.tokens=5", "new.deep=1e-3", "words=[a, b]"])
    assert data["phases"] == [{"name": "warm", "tokens": 5}, {"name": "cool", "tokens": "2M"}]
    assert data["new"] == {"deep": 1e-3}
    assert data["words"] == ["a", "b"]
    with pytest.raises(UserError, match=r"no item 'col' in this list \(did you mean 'cool'\?\)"):
        override(data, ["phases.col.tokens=1"])
    with pytest.raises(UserError, match="expected KEY=VALUE"):
        override(data, ["tokens"])
    data["empty"] = None
    assert override(data, ["empty.a=1"])["empty"] == {"a": 1}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        (
            "phases.0.tokens=abc",
            r"^on the command line: phases\.0\.tokens=abc: expected a number such as .*found 'abc'$",
        ),
        ("phases.0={tokns: 3}", r"^on the command line: phases\.0=\{tokns: 3\}: unknown setting 'phases\.0\.tokns'"),
        ("phases=[1", r"^on the command line: phases=\[1: not valid YAML: [^\n]*$"),
        ("on=\ttrue", "^on the command line: on=\ttrue: not valid YAML: use spaces, not tabs$"),
        ("name.a=3", r"^on the command line: name\.a: 'a' stands under a plain value"),
        ("phases.7.tokens=3", r"^on the command line: phases\.7\.tokens: no item '7' in this list \(known: 0\)$"),
        (
            "rules=[{set: gofer}]",
            r"^on the command line: rules=\[\{set: gofer\}\]: rules\.0\.set: 'gofer' is not known",
        ),
    ],
)
def test_a_mistake_on_the_command_line_is_not_the_files(tmp_path, assignment, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, "name: x\nphases:\n  - tokens: 3\n", assignment)


def test_a_mistake_around_an_assignment_names_both(tmp_path):
    text = "name: x\nphases:\n  a: {}\n"
    with pytest.raises(
        UserError, match=r"^recipe\.yaml:2 with phases\.b=1 on the command line: phases: expected a list$"
    ):
        read(tmp_path, text, "phases.b=1")
    with pytest.raises(UserError, match=r"^recipe\.yaml:2: phases: expected a list$"):
        read(tmp_path, text, "named.a.rate=1e-3")


def test_files_that_are_none(tmp_path):
    (tmp_path / "own.yaml").write_text("name: x\n")
    with pytest.raises(UserError, match=r"is a folder, not a file \(give a file in it: own\.yaml\)"):
        load_yaml(tmp_path)
    with pytest.raises(UserError, match="there is no such file"):
        load_yaml(tmp_path / "other.yaml")
    with pytest.raises(UserError, match="cannot be read: Not a directory"):
        load_yaml(tmp_path / "own.yaml" / "other.yaml")
    (tmp_path / "own.yaml").write_bytes(b"name: \xff\n")
    with pytest.raises(UserError, match="not UTF-8: byte 0xff at 6"):
        load_yaml(tmp_path / "own.yaml")


def test_hints_know_parts_of_names_and_stay_short():
    names = ["gopher_quality", "gopher_repetition", "chinese", "signal.words", "language"]
    assert nearest("gofer", names) == "did you mean 'gopher_quality' or 'gopher_repetition'?"
    assert nearest("words", names) == "did you mean 'signal.words'?"
    assert nearest("languge", names) == "did you mean 'language'?"
    assert nearest("x", ["b", "a"]) == "known: a, b"
    assert nearest("zzz", [f"name{i:02}" for i in range(40)]).endswith("name11 and 28 more")


def test_what_came_later_is_told_where_it_is_not_at_its_default():
    """In a fingerprint, at any depth; whoever prints the settings sees all of them."""

    class Part(Settings):
        later = ("new",)
        old: int = 1
        new: list[int] = []

    class Whole(Settings):
        later = ("part",)
        part: Part = Part()
        parts: list[Part] = []

    whole = Whole(parts=[Part(), Part(old=1, new=[2])])
    assert whole.canonical() == {"parts": [{"old": 1}, {"old": 1, "new": [2]}]}
    assert Whole(part=Part(old=2)).canonical() == {"part": {"old": 2}, "parts": []}
    assert Whole.model_validate(whole.canonical()) == whole
    assert whole.model_dump()["part"] == {"old": 1, "new": []}
    assert whole.changed("part", "parts") == ["parts"]


def test_booleans_are_no_numbers():
    """`true` would pass for 1: of whole numbers, counts, floats and either or none, in sections and lists of them."""

    class Part(Settings):
        many: Count = 1
        share: float | None = None

    class Whole(Settings):
        steps: int = 1
        on: bool = False
        either: bool | int = 3
        parts: list[Part] = []

    given = {"on": True, "either": True, "parts": [{"share": 0.5}]}
    assert validate(Whole, given, source="x").parts[0].share == 0.5
    for wrong, said in (
        ({"steps": True}, "x: steps: expected a number, found True"),
        ({"parts": [{"many": False}]}, "x: parts.0.many: expected a number, found False"),
        ({"parts": [{}, {"share": True}]}, "x: parts.1.share: expected a number, found True"),
    ):
        with pytest.raises(UserError) as error:
            validate(Whole, wrong, source="x")
        assert str(error.value) == said


def test_a_list_of_unknown_items_is_not_called_too_short() -> None:
    def said(targets: list[str]) -> str:
        with pytest.raises(UserError) as error:
            validate(AdapterSettings, {"targets": targets}, source="r.yaml")
        return str(error.value)

    unknown = "'{}' is not known (known: down, gate, key, output, query, up, value)"
    assert said(["q_proj"]) == f"r.yaml: targets.0: {unknown.format('q_proj')}"
    both = [f"r.yaml: targets.{i}: {unknown.format(name)}" for i, name in enumerate(("q_proj", "v_proj"))]
    assert said(["q_proj", "v_proj"]) == "; ".join(both)
    assert said([]) == "r.yaml: targets: must have at least 1 items"
