"""A job as a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.phases import COMPUTE, MODEL, phase
from tilth.model.adapters.settings import AdapterSettings
from tilth.training.controller import FixedMixture
from tilth.training.job import Factory, Job


@pytest.mark.parametrize("start", [MODEL, Path("/models/open")], ids=["new", "folder"])
def test_all_of_a_job_comes_back(tmp_path: Path, start: object) -> None:
    job = Job(
        phase=phase(3, mixture={"a": 0.25, "b": 0.75}),
        reader=Factory("tests.training.phases:reader", {"length": 32}),
        folder=tmp_path / "trained",
        start=start,
        seed=7,
        compute=COMPUTE,
        objective=Factory("tilth.posttrain.dpo:open_dpo", {"reference": "r.npy", "beta": 0.3}),
        controller=Factory("tests.training.fakes:Alternating", {"names": ["a", "b"]}),
        adapter=AdapterSettings(rank=3),
        embedding_noise=5.0,
        fresh=True,
    )
    job.save(tmp_path / "job.json")
    assert Job.load(tmp_path / "job.json") == job


@pytest.mark.parametrize("name", ["reader", "controller"])
def test_an_object_cannot_be_written(tmp_path: Path, name: str) -> None:
    given = {"reader": Factory("tests.training.phases:reader"), name: FixedMixture(["a"], [4], None)}
    job = Job(phase=phase(), folder=tmp_path, start=MODEL, seed=1, **given)
    with pytest.raises(TypeError, match=f"as its {name} cannot be written"):
        job.save(tmp_path / "job.json")
