"""The recipe's `evaluate:` section."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tilth.base.settings import Settings


class SampleSettings(Settings):
    """Texts that the finished model continues."""

    prompts: tuple[str, ...] = ("Once upon a time", "从前，", "def main(")
    tokens: int = Field(80, ge=1, description="at most so many new tokens")
    temperature: float = Field(0.7, ge=0, description="0: always the likeliest token")
    top_p: float = Field(0.95, gt=0, le=1)


class EvaluateSettings(Settings):
    """Held-out bits per byte by domain, and samples."""

    context: int | None = Field(
        None, ge=1, description="tokens the model sees at most; default: the last phase's sequence_length"
    )
    batch: int = Field(8, ge=1, description="sequences evaluated at a time")
    precision: Literal["auto", "bf16", "fp32"] = Field("auto", description="of products; auto: bf16 where it is fast")
    samples: SampleSettings = SampleSettings()
