"""Writes post_training.json: what TRL computes on the inputs of post_training.py.

Run in an environment with trl, from the repository's root: python -m tests.reference.record_post_training
"""

from __future__ import annotations

import importlib.metadata
import json
import tempfile
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
import trl
from tests.reference import post_training as inputs
from tokenizers import Tokenizer, models, pre_tokenizers
from trl.trainer.dpo_trainer import DataCollatorForPreference

from tilth.model import export_model

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "sigmoid": ("PAIRS", {"loss_type": ["sigmoid"], "beta": 0.1}),
    "sigmoid, beta 0.5": ("PAIRS", {"loss_type": ["sigmoid"], "beta": 0.5}),
    "sigmoid + 0.2 sft": ("PAIRS", {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.2], "beta": 0.1}),
    "ipo": ("EVEN", {"loss_type": ["ipo"], "beta": 0.1}),
    "label smoothing 0.1": ("FIRST", {"loss_type": ["aot_unpaired"], "label_smoothing": 0.1, "beta": 0.1}),
}
"""With one pair there is nothing to sort, and `aot_unpaired` is DPO with label smoothing."""


def hugging_face(number: int, folder: Path) -> Any:
    export_model(inputs.model(number), folder / str(number), dtype="fp64")
    return transformers.AutoModelForCausalLM.from_pretrained(folder / str(number), dtype=torch.float64)


def tokenizer() -> Any:
    """Words `t0` … `t39`: the trainers want one, though the batches are made by hand."""
    words = Tokenizer(models.WordLevel({f"t{i}": i for i in range(40)}, unk_token="t0"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="t0", eos_token="t2")


def measured(model: Any, loss: torch.Tensor) -> dict[str, Any]:
    model.zero_grad()
    loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients.values()]))
    return {
        "loss": float(loss),
        "gradient_norm": float(norm),
        "gradient of the last norm": gradients["model.norm.weight"].tolist(),
    }


def preferences(folder: Path, pairs: list[dict[str, list[int]]], options: dict[str, Any]) -> dict[str, Any]:
    policy = hugging_face(1, folder)
    trainer = trl.DPOTrainer(
        policy,
        hugging_face(2, folder),
        args=trl.DPOConfig(str(folder / "out"), use_cpu=True, bf16=False, report_to="none", **options),
        train_dataset=datasets.Dataset.from_list([{"prompt": "t1", "chosen": "t3", "rejected": "t4"}] * 2),
        processing_class=tokenizer(),
    )
    examples = [{f"{name}_ids": ids for name, ids in pair.items()} for pair in pairs]
    batch = DataCollatorForPreference(pad_token_id=0)(examples)
    return measured(policy, trainer._compute_loss(policy, batch, False))


def supervised(folder: Path) -> dict[str, Any]:
    policy = hugging_face(1, folder)
    trainer = trl.SFTTrainer(
        policy,
        args=trl.SFTConfig(str(folder / "out"), use_cpu=True, bf16=False, report_to="none"),
        train_dataset=datasets.Dataset.from_list([{"text": "t1 t3 t4"}] * 2),
        processing_class=tokenizer(),
    )
    ids = [pair["prompt"] + pair["chosen"] for pair in inputs.PAIRS]
    longest = max(map(len, ids))
    batch = {
        "input_ids": [row + [0] * (longest - len(row)) for row in ids],
        "attention_mask": [[1] * len(row) + [0] * (longest - len(row)) for row in ids],
        "labels": [
            [-100] * len(pair["prompt"]) + pair["chosen"] + [-100] * (longest - len(row))
            for row, pair in zip(ids, inputs.PAIRS, strict=True)
        ],
    }
    return measured(policy, trainer.compute_loss(policy, {name: torch.tensor(rows) for name, rows in batch.items()}))


def main() -> None:
    found: dict[str, Any] = {
        "versions": {name: importlib.metadata.version(name) for name in ("trl", "transformers", "torch")}
    }
    data = {"PAIRS": inputs.PAIRS, "EVEN": inputs.EVEN, "FIRST": inputs.PAIRS[:1]}
    with tempfile.TemporaryDirectory() as folder:
        for name, (pairs, options) in CASES.items():
            found[name] = preferences(Path(folder), data[pairs], options)
        found["sft"] = supervised(Path(folder))
    inputs.RECORDED.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
