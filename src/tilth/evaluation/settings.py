"""The recipe's `evaluate:` section."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from tilth.base.settings import Count, GivenOrGenerated, PathText, Settings


class SampleSettings(Settings):
    """Texts that the finished model continues, or answers where it has learnt to chat."""

    prompts: tuple[str, ...] = ("Once upon a time", "从前，", "def main(")
    questions: tuple[str, ...] = Field((), description="put to the models of posttrain through the chat template")
    tokens: int = Field(80, ge=1, description="at most so many new tokens")
    temperature: float = Field(0.7, ge=0, description="0: always the likeliest token")
    top_p: float = Field(0.95, gt=0, le=1)


class TaskSettings(GivenOrGenerated):
    """Questions with exact answers, from a file or from the built-in grammars."""

    counted = "items"

    path: PathText | None = Field(None, description="JSON Lines: question, answers")
    generate: Literal["items"] | None = None
    count: Count = Field(200, ge=1, description="items of each family and language to generate")
    answer_tokens: int = Field(96, ge=1, description="at most so many tokens of an answer")

    @property
    def name(self) -> str:
        """What scores are reported under: the file's name, or what is generated."""
        return Path(self.path).name.split(".")[0] if self.path else str(self.generate)


class EvaluateSettings(Settings):
    """Held-out bits per byte by domain, tasks with exact answers, and samples."""

    context: int | None = Field(
        None, ge=1, description="tokens the model sees at most; default: the last phase's sequence_length"
    )
    batch: int = Field(8, ge=1, description="sequences evaluated at a time")
    precision: Literal["auto", "bf16", "fp32"] = Field("auto", description="of products; auto: bf16 where it is fast")
    tasks: tuple[TaskSettings, ...] = ()
    samples: SampleSettings = SampleSettings()
