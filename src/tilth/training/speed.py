"""What a step took: seconds, tokens a second, the share of the machine's peak, memory."""

from __future__ import annotations

from typing import Any

from tilth.laws.flops import training_flops_per_token
from tilth.training import device
from tilth.training.state import PhaseState


class Speed:
    """MFU by what the model asks for (6 x weights in matrices + causal attention), against the peak of all ranks.

    Not known with an adapter, whose frozen weights ask for less than the formula counts.
    """

    def __init__(self, state: PhaseState) -> None:
        self.state = state
        self.flops_per_token = training_flops_per_token(state.model.config.shape, state.phase.sequence_length)
        peak = None if state.job.adapter else device.peak_flops(state.device, state.products)
        self.peak = peak and peak * state.world.size

    def record(self, seconds: float) -> dict[str, Any]:
        """The step that was just taken, as a line of `timings.jsonl`."""
        batches, step = self.state.phase.batches, self.state.step
        tokens_per_second = (batches.before(step) - batches.before(step - 1)) / seconds
        return {
            "step": self.state.step,
            "seconds": round(seconds, 6),
            "tokens_per_second": round(tokens_per_second, 1),
            "mfu": self.peak and round(self.flops_per_token * tokens_per_second / self.peak, 4),
            "peak_memory_bytes": device.peak_memory(self.state.device),
        }


def note(loss: float, record: dict[str, Any]) -> str:
    """Behind the progress: `loss 3.141, 5,800 tokens/s, MFU 41 %, 0.7 GiB`."""
    mfu = "" if record["mfu"] is None else f"MFU {100 * record['mfu']:.0f} %, "
    memory = record["peak_memory_bytes"] / 2**30
    return f"loss {loss:.3f}, {record['tokens_per_second']:,.0f} tokens/s, {mfu}{memory:.1f} GiB"
