from __future__ import annotations

import pytest

from tilth.base.errors import UserError
from tilth.base.settings import Count, Settings, load_yaml, override, parse_count, validate


class Inner(Settings):
    tokens: Count = 0
    rate: float = 0.1


class Outer(Settings):
    name: str
    phases: list[Inner] = []
    named: dict[str, Inner] = {}


def read(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    data, lines = load_yaml(path)
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
