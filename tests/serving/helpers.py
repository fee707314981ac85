"""Tiny exported models that know two languages' bytes and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from tilth.model import ModelSettings, build, export_model
from tilth.tokens.tokenizer import Tokenizer, train_bpe

TEXTS = [
    "The field was ploughed in spring, and the wheat grew well.",
    "田里种了小麦，春天来了，农民很高兴。你好，世界！",
    "Emoji 🙂🌾👩‍🌾 and digits 0123456789 stand here too.",
] * 4
MARKS = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
SETTINGS = ModelSettings(
    hidden=32, heads=4, kv_heads=2, layers=2, output_projections="normal", initial_std=0.4, max_positions=256
)


def tokenizer(*, chat: bool = True) -> Tokenizer:
    return train_bpe(TEXTS, vocabulary=380 + (len(MARKS) if chat else 0), special=MARKS if chat else ())


def export(folder: Path, seed: int, *, chat: bool = True, context: int = 256) -> Path:
    """A random model with its tokenizer, as `tilth run` exports it."""
    known = tokenizer(chat=chat)
    model = build(SETTINGS.model_copy(update={"max_positions": context}).config(known.vocabulary_size), seed=seed)
    export_model(model, folder, bos=known.bos, eos=known.eos, pad=known.pad)
    known.save(folder)
    return folder


def run_folder(root: Path) -> Path:
    """A run with a base model without chat tokens, two stages behind it, and the link to the latest, whose answers
    could go on for minutes."""
    run = root / "farm"
    export(run / "models" / "base", 1, chat=False)
    export(run / "models" / "dpo", 3, context=200_000)
    export(run / "models" / "sft", 2)
    (run / "model").symlink_to(Path("models") / "dpo")
    (run / "recipe.yaml").write_text(json.dumps({"name": "farm"}), encoding="utf-8")
    return run
