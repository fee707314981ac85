"""One peer's training loop for training_speed.py: prints the seconds of each step as JSON.

    python training_speed_peer.py "nanogpt leaking" BATCHES.npz NANOGPT_FOLDER

Needs torch and the peer, not Tilth. The loop is nanoGPT's: bf16 autocast, torch.compile, fused AdamW, clipping at 1,
gradients set to None; batches are tensors already.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

HIDDEN, LAYERS, HEADS, INTERMEDIATE, VOCABULARY = 384, 8, 6, 1024, 8192
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def nanogpt(length: int, folder: str) -> tuple[nn.Module, Loss]:
    sys.path.insert(0, folder)
    from model import GPT, GPTConfig  # type: ignore[import-not-found]

    model = GPT(GPTConfig(length, VOCABULARY, LAYERS, HEADS, HIDDEN, dropout=0.0, bias=False))
    step = torch.compile(model)
    return model, lambda tokens, targets, _: step(tokens, targets)[1]


def litgpt(length: int, _: str) -> tuple[nn.Module, Loss]:
    from litgpt import GPT, Config  # type: ignore[import-not-found]

    model = GPT(
        Config(
            block_size=length, n_layer=LAYERS, n_head=HEADS, n_embd=HIDDEN, vocab_size=VOCABULARY,
            padded_vocab_size=VOCABULARY, rotary_percentage=1.0, parallel_residual=False, bias=False,
            norm_class_name="RMSNorm", mlp_class_name="LLaMAMLP", intermediate_size=INTERMEDIATE,
        )
    )  # fmt: skip
    step = torch.compile(model)

    def loss(tokens: Tensor, targets: Tensor, _: Tensor) -> Tensor:
        return F.cross_entropy(step(tokens).float().view(-1, VOCABULARY), targets.view(-1))

    return model, loss


def transformers(length: int, _: str, *, exact: bool) -> tuple[nn.Module, Loss]:
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM._from_config(
        LlamaConfig(
            hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS, num_key_value_heads=HEADS,
            intermediate_size=INTERMEDIATE, vocab_size=VOCABULARY, max_position_embeddings=length,
            tie_word_embeddings=False, use_cache=False,
        ),
        attn_implementation="sdpa",
    )  # fmt: skip
    step = torch.compile(model)

    def loss(tokens: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
        options: dict[str, Any] = {}
        if exact:
            document = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
            starts = torch.repeat_interleave(lengths.cumsum(0) - lengths, lengths)
            mask = (document[:, None] == document[None, :]).tril()
            options = {
                "position_ids": (torch.arange(length) - starts)[None],
                "attention_mask": torch.where(mask, 0.0, -torch.inf).to(torch.bfloat16)[None, None],
            }
        logits = step(input_ids=tokens, **options).logits
        return F.cross_entropy(logits.float().view(-1, VOCABULARY), targets.view(-1))

    return model, loss


def main(contestant: str, path: str, folder: str) -> list[float]:
    name, _, mode = contestant.partition(" ")
    data = np.load(path)
    tokens, lengths = torch.from_numpy(data["tokens"]), torch.from_numpy(data["lengths"])
    length = tokens.shape[2] - 1
    torch.manual_seed(1)
    if name == "transformers":
        model, loss_of = transformers(length, folder, exact=mode == "exact")
    else:
        model, loss_of = {"nanogpt": nanogpt, "litgpt": litgpt}[name](length, folder)
    model.train()
    print(sum(p.numel() for p in model.parameters()), "parameters", file=sys.stderr)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    seconds = []
    for step_tokens, step_lengths in zip(tokens, lengths, strict=True):
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(step_tokens[:, :-1].contiguous(), step_tokens[:, 1:].contiguous(), step_lengths)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
        seconds.append(time.perf_counter() - began)
    print("last loss", loss.item(), file=sys.stderr)
    return seconds


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:4])))
