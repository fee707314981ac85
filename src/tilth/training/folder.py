"""The files of a finished phase's folder. No torch."""

from __future__ import annotations

FINAL_FILES = ("decoder.json", "model.safetensors", "optimizer.safetensors", "state.json")
"""Weights, optimizer state and what others start from; a folder that has them all holds a finished phase."""

ADAPTER = "adapter"
"""Folder, in PEFT's format, in that of a phase that trained one."""

DETERMINISTIC_FILES = (*FINAL_FILES, "metrics.jsonl", "decisions.jsonl")
"""The same bytes in every repetition; those in the adapter's folder are too."""

MEASURED_FILES = ("timings.jsonl", "conditions.json")
"""Kept, but not hashed: they differ from run to run."""
