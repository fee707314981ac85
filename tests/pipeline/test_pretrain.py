"""What a phase asks of its data."""

from __future__ import annotations

import signal
import subprocess
import time

import pytest

from tests.pipeline.conftest import command
from tilth.base.errors import UserError
from tilth.base.events import read_journal
from tilth.pipeline.stages.pretrain import check_epochs
from tilth.training import PhaseSettings

GROUPS = {"a": {"sequences": 10, "pairs": 2560}, "b": {"sequences": 30, "pairs": 7680}}


def phase(name: str, steps: int, length: int = 256, **options: object) -> PhaseSettings:
    given = {"name": name, "tokens": steps * 10 * length, "sequence_length": length, "batch_sequences": 10}
    return PhaseSettings.model_validate(given | options)


def test_epochs_are_counted_over_phases_of_one_length() -> None:
    first = phase("first", 3, mixture={"a": 1, "b": 0})  # 3 epochs of a
    check_epochs([(first, GROUPS), (phase("second", 4), GROUPS)])  # and another
    with pytest.raises(UserError, match=r"pretrain\.second: .*12,800 tokens of 'a'.* 2,560: 5\.0 epochs"):
        check_epochs([(first, GROUPS), (phase("second", 8), GROUPS)])
    check_epochs([(first, GROUPS), (phase("second", 8, 512), GROUPS)])


def test_the_hint_is_enough() -> None:
    wanted = phase("main", 5, mixture={"a": 0.88, "b": 0.12})
    with pytest.raises(UserError, match=r"4\.4 epochs .*max_epochs: 5\)"):
        check_epochs([(wanted, GROUPS)])
    check_epochs([(wanted.model_copy(update={"max_epochs": 5.0}), GROUPS)])


def test_no_sequence_at_all_is_left_to_the_mixture() -> None:
    check_epochs([(phase("main", 5), {"a": {"sequences": 0, "pairs": 0}})])


def test_a_run_with_two_ranks_stops_cleanly_and_tells(tiny, tmp_path):
    """SIGTERM: the ranks save, and the checkpoint stands in the run's journal."""
    long = ("pretrain.stable.tokens=200M", "pretrain.stable.max_epochs=1e9", "pretrain.annealing.max_epochs=1e9")
    long += ("pretrain.stable.compile=off",)
    arguments = command("run", tiny, "compute.processes=2", *long, "--runs", tmp_path / "runs")
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def steps() -> int:
        found = list((tmp_path / "runs" / "tiny" / ".work").glob("pretrain-stable-*/out/metrics.jsonl"))
        return sum(1 for _ in read_journal(found[0])) if found else 0

    while process.poll() is None and steps() < 6:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    done = steps()
    events = list(read_journal(tmp_path / "runs" / "tiny" / "events.jsonl"))
    assert (events[-1]["event"], events[-1]["step"], events[-1]["phase"]) == ("checkpoint", done, "stable")
    time.sleep(0.5)
    assert steps() == done  # nobody goes on writing
