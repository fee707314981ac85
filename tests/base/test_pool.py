"""Units of work: the serial result from processes and from Ray, errors as they were raised."""

from __future__ import annotations

import os
import signal
from functools import partial

import pytest

from tilth.base.errors import UserError
from tilth.base.pool import Engine, Workers, map_units


def _square(unit: int, *, refused: int = -1, fatal: int = -1) -> int:
    if unit == refused:
        raise UserError(f"unit {unit} is bad", hint="give another")
    if unit == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    return unit * unit


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "ray":
        pytest.importorskip("ray")
    return request.param


def test_the_serial_result(engine: Engine) -> None:
    expected = [(unit, unit * unit) for unit in range(7)]
    assert list(map_units(_square, range(7), Workers(2, engine))) == expected
    assert list(map_units(_square, range(7))) == expected
    assert list(map_units(_square, [], Workers(2, engine))) == []


def test_errors_keep_their_class_and_words(engine: Engine) -> None:
    found = map_units(partial(_square, refused=2), range(4), Workers(2, engine))
    with pytest.raises(UserError, match="unit 2 is bad") as caught:
        list(found)
    assert caught.value.hint == "give another"


def test_a_killed_worker_is_told_of(engine: Engine) -> None:
    with pytest.raises(UserError, match=r"worker .*(killed|lost)"):
        list(map_units(partial(_square, fatal=1), range(3), Workers(2, engine)))


def test_ray_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(UserError, match="Ray is not installed"):
        list(map_units(_square, range(3), Workers(2, "ray")))
