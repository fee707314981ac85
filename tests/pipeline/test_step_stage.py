"""What a step's artifact depends on."""

from __future__ import annotations

from typing import Any

import pytest

from tilth.pipeline.recipe import Recipe
from tilth.pipeline.stage import Stage
from tilth.pipeline.stages.posttrain import DRAWS_VERSION, step_stage
from tilth.posttrain.settings import SFTSettings


def made_of(**settings: Any) -> dict[str, Any]:
    step = SFTSettings.model_validate({"name": "sft", "data": [{"path": "talk.jsonl"}], **settings})
    other = Stage("pack", 1, {}, lambda context: {})
    recipe = Recipe.model_validate({"name": "x", "corpus": {"sources": [{"path": "text.txt"}]}})
    return step_stage(recipe, step, other, other, None, {}, None, {}).identity["settings"]


@pytest.mark.parametrize("drawing", [{"embedding_noise": 5}, {"adapter": {"dropout": 0.1}}])
def test_how_chance_is_drawn_counts_where_a_step_draws(drawing: dict[str, Any]) -> None:
    assert made_of(**drawing)["draws"] == DRAWS_VERSION


@pytest.mark.parametrize("still", [{}, {"adapter": {"rank": 4}}])
def test_other_steps_are_not_made_anew_when_that_changes(still: dict[str, Any]) -> None:
    assert "draws" not in made_of(**still)
