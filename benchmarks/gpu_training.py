"""Training on one GPU: MFU of three shapes beside two peers, 8 bits beside bf16, memory beside its forecast.

    python benchmarks/gpu_training.py [--seconds 570] [--result FILE]
    python benchmarks/gpu_training.py --tiny        # the same on a CPU with small sizes: does it run?

Models of 12 layers of 768, 24 of 1,024 and 24 of 2,048 with 50,304 pieces, on sequences of 1,024 to 8,192 tokens packed
with documents of 800 tokens in the mean, bf16, document masks on. Each run is a process of its own; ours is
`train_phase` with its feeder and metrics, of which `timings.jsonl` gives each step. MFU counts 6 x the matrices'
weights and causal attention of the whole sequence, for everybody. The peers have documents that read each other:

- `transformers`, where it is installed: LlamaForCausalLM with SDPA, of the same sizes;
- `plain`: a GPT as nanoGPT has it (LayerNorm, GELU, learned positions, SDPA), as wide and as deep, in its loop.

All are compiled, loss included, with fused AdamW and clipping; ours with `deterministic: false`, as the peers are. MFU
of 8 bits is against the peak of bf16. Attention alone comes first: which kernels ran, by the profiler, and its memory
at 8k to 64k tokens. What is found is written behind every run to results/gpu_training.json; runs that would begin
behind `--seconds` are named as not run. Ends with an error where no flash kernel ran, memory grew faster than length,
or the losses of 8 bits leave those of bf16.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tilth.base import machine
from tilth.base.files import write_json
from tilth.laws.flops import training_flops_per_token
from tilth.model import DecoderConfig, ModelSettings
from tilth.planning.trainer_memory import Training, trainer_memory

STEPS, WARM = 24, 8
DOCUMENT = 800
"""Mean tokens of a document, lengths exponential as a corpus's are about."""
AIMS = {"12x768": (0.42, 0.50), "24x1024": (0.48, 0.55), "24x2048": (0.52, 0.60)}
"""MFU required and aimed at."""


@dataclass(frozen=True)
class Run:
    """One run of one contestant."""

    shape: str
    layers: int
    hidden: int
    length: int
    rows: int
    """Sequences of a step, all in one micro-batch."""
    contestant: str = "tilth"
    precision: str = "bf16"
    vocabulary: int = 50304
    device: str = "cuda"

    @property
    def name(self) -> str:
        return f"{self.contestant} {self.shape} T {self.length} {self.precision}"

    @property
    def config(self) -> DecoderConfig:
        """Ours: heads of 64 below a width of 2,048, of 128 from there on."""
        heads = self.hidden // (128 if self.hidden >= 2048 else 64)
        return ModelSettings(
            hidden=self.hidden, layers=self.layers, heads=heads, max_positions=self.length, tie_embeddings=True,
            qk_norm=False,
        ).config(self.vocabulary)  # fmt: skip


SMALL, MIDDLE, LARGE = (
    Run("12x768", 12, 768, 1024, 32),
    Run("24x1024", 24, 1024, 2048, 16),
    Run("24x2048", 24, 2048, 2048, 8),
)
RUNS = [
    *(SMALL, MIDDLE, LARGE),
    *(replace(run, contestant="plain") for run in (SMALL, MIDDLE, LARGE)),
    replace(LARGE, precision="fp8"),
    *(replace(run, contestant="transformers") for run in (SMALL, LARGE)),
    replace(LARGE, length=8192, rows=2),
    *(replace(MIDDLE, contestant="transformers"), replace(SMALL, length=8192, rows=4)),
]
TINY = Run("2x64", 2, 64, 128, 2, vocabulary=512, device="cpu")
TINY_RUNS = [TINY, replace(TINY, contestant="plain"), replace(TINY, contestant="transformers"),
             replace(TINY, precision="fp8")]  # fmt: skip


class Packed:
    """Random tokens in random documents, the same for everybody."""

    group_names = ("all",)

    def __init__(self, run: Run) -> None:
        self.run, self.length, self.sizes = run, run.length, [STEPS * run.rows]

    def read(self, group: int, index: int) -> Any:
        """Sequence `index`."""
        from tilth.tokens.reader import Sequence

        draw = np.random.default_rng([group, index])
        tokens = draw.integers(1, self.run.vocabulary, self.length + 1).astype(np.int32)
        cuts, left = [], self.length
        while left:
            cuts.append(min(left, 1 + int(draw.exponential(DOCUMENT))))
            left -= cuts[-1]
        return Sequence(tokens[:-1], tokens[1:], np.array(cuts, np.int32), np.arange(len(cuts)) + 1000 * index)


def train_ours(run: Run) -> dict[str, Any]:
    """Seconds of each step of `train_phase`, and the most memory that its tensors took."""
    from tilth.training import ComputeSettings, Job, OptimizerSettings, PhaseSettings, finished, train_phase

    phase = PhaseSettings(
        tokens=STEPS * run.rows * run.length, sequence_length=run.length, batch_sequences=run.rows,
        micro_batch=run.rows, optimizer=OptimizerSettings(kind="adamw", learning_rate=1e-4), precision=run.precision,
        compile="on",
    )  # fmt: skip
    compute = ComputeSettings(device=run.device, deterministic=False)
    finished.save_final = lambda *_: None  # type: ignore[assignment]  # 16 GB for the largest, and minutes
    with tempfile.TemporaryDirectory() as folder:
        train_phase(
            Job(phase=phase, reader=Packed(run), folder=Path(folder), start=run.config, seed=1, compute=compute)
        )
        with (Path(folder) / "timings.jsonl").open() as lines:
            rows = [json.loads(line) for line in lines]
        with (Path(folder) / "metrics.jsonl").open() as lines:
            losses = [json.loads(line)["loss"] for line in lines]
    return {"seconds": [row["seconds"] for row in rows], "peak_memory": rows[-1]["peak_memory_bytes"], "losses": losses}


def peer(run: Run) -> Any:
    """A model whose forward pass gives the mean loss of tokens and targets of rows x length."""
    import torch

    if run.contestant == "plain":
        return plain(run)
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = run.config.shape
    llama = LlamaForCausalLM._from_config(
        LlamaConfig(
            hidden_size=shape.hidden, num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads, intermediate_size=shape.intermediate, vocab_size=shape.vocabulary,
            max_position_embeddings=run.length, tie_word_embeddings=True, use_cache=False,
        ),
        attn_implementation="sdpa",
    )  # fmt: skip

    class Loss(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.llama = llama

        def forward(self, tokens: Any, targets: Any) -> Any:
            logits = self.llama(input_ids=tokens).logits
            return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())

    return Loss()


def plain(run: Run) -> Any:
    """GPT-2's frame with a tied head."""
    import torch
    import torch.nn.functional as F
    from torch import Tensor, nn

    heads = run.config.heads

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            wide = run.hidden
            self.norms = nn.ModuleList([nn.LayerNorm(wide, bias=False) for _ in range(2)])
            self.qkv, self.out = nn.Linear(wide, 3 * wide, bias=False), nn.Linear(wide, wide, bias=False)
            self.up, self.down = nn.Linear(wide, 4 * wide, bias=False), nn.Linear(4 * wide, wide, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            rows, length, wide = x.shape
            q, k, v = (
                part.view(rows, length, heads, -1).transpose(1, 2)
                for part in self.qkv(self.norms[0](x)).split(wide, -1)
            )
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(mixed.transpose(1, 2).reshape(rows, length, wide))
            return x + self.down(F.gelu(self.up(self.norms[1](x))))

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(run.vocabulary, run.hidden)
            self.positions = nn.Embedding(run.length, run.hidden)
            self.layers = nn.ModuleList(Layer() for _ in range(run.layers))
            self.norm = nn.LayerNorm(run.hidden, bias=False)

        def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
            x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
            for layer in self.layers:
                x = layer(x)
            logits = F.linear(self.norm(x), self.tokens.weight)
            return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())

    model = GPT()
    for weight in model.parameters():
        if weight.ndim == 2:
            nn.init.normal_(weight, std=0.02)
    return model


def train_peer(run: Run) -> dict[str, Any]:
    """The usual loop: autocast, compile, fused AdamW, clipping."""
    import torch

    torch.manual_seed(1)
    torch.set_float32_matmul_precision("high")
    reader, device = Packed(run), torch.device(run.device)
    model = peer(run).to(device)
    forward = torch.compile(model)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    seconds = []
    for step in range(STEPS):
        drawn = [reader.read(0, step * run.rows + row) for row in range(run.rows)]
        tokens, targets = (
            torch.from_numpy(np.stack(side).astype(np.int64)).to(device)
            for side in ([one.inputs for one in drawn], [one.targets for one in drawn])
        )
        began = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16):
            loss = forward(tokens, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
        seconds.append(time.perf_counter() - began)
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    flops = None
    if run.contestant == "plain":  # its matrices have other sizes than ours: 12 w² a layer, the head, and attention
        matrices = 12 * run.layers * run.hidden**2 + run.vocabulary * run.hidden
        flops = 6 * matrices + 6 * run.layers * run.hidden * run.length
    return {"seconds": seconds, "peak_memory": peak, "flops_per_token": flops}


def attention(kind: str, lengths: list[int]) -> dict[str, Any]:
    """Kernels of attention over one document, forward and backward, and bytes that it takes at each length."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    from tilth.model.attention import Boundaries, attend

    device, taken, kernels = torch.device(kind), {}, set()
    for length in lengths:
        q, k, v = (torch.randn(length, 16, 128, dtype=torch.bfloat16, device=device, requires_grad=True)
                   for _ in range(3))  # fmt: skip
        boundaries = Boundaries(torch.tensor([0, length], dtype=torch.int32, device=device), 1)
        activities = [ProfilerActivity.CUDA] if kind == "cuda" else [ProfilerActivity.CPU]
        if kind == "cuda":
            torch.cuda.reset_peak_memory_stats()
        with profile(activities=activities) as trace:
            attend(q, k, v, boundaries).sum().backward()
            if kind == "cuda":
                torch.cuda.synchronize()
        kernels |= {event.key for event in trace.key_averages() if "flash" in event.key or "attention" in event.key}
        taken[length] = torch.cuda.max_memory_allocated() if kind == "cuda" else 0
        del q, k, v
    return {"kernels": sorted(kernels), "bytes": taken}


def apart(what: str, seconds: float) -> dict[str, Any] | str:
    """A run in a process of its own: what it found, or why not."""
    command = [sys.executable, __file__, "--one", what]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=max(seconds, 1))
    except subprocess.TimeoutExpired:
        return "not run to its end: the time was up"
    if done.returncode:
        return f"failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}"
    return dict(json.loads(done.stdout.splitlines()[-1]))


def judged(run: Run, found: dict[str, Any], peak: float | None) -> dict[str, Any]:
    """Tokens a second, MFU, and memory beside its forecast."""
    second = statistics.median(found["seconds"][WARM:])
    speed = run.rows * run.length / second
    flops = found.get("flops_per_token") or training_flops_per_token(run.config.shape, run.length)
    row: dict[str, Any] = {
        "tokens_per_second": round(speed),
        "mfu": peak and round(flops * speed / peak, 4),
        "peak_memory_bytes": found["peak_memory"],
    }
    if run.contestant == "tilth":
        row["losses"] = [round(loss, 4) for loss in found["losses"][:: STEPS // 6]]
    if run.contestant == "tilth" and run.device == "cuda":  # on a CPU the peak is the whole process's
        said = trainer_memory(run.config.shape, Training(
            tokens=run.rows * run.length, length=run.length, optimizer="adamw", compiled=True,
            cuda=True, float8=run.precision == "fp8",
        ))  # fmt: skip
        row["forecast_bytes"] = round(said.tensors)
        row["forecast_error"] = round(said.tensors / found["peak_memory"] - 1, 4)
        if run in (SMALL, MIDDLE, LARGE) and row["mfu"]:
            row["required"], row["aim"] = AIMS[run.shape]
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=570.0)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--result", type=Path, default=Path(__file__).parent / "results" / "gpu_training.json")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        what = json.loads(asked.one)
        if "lengths" in what:
            print(json.dumps(attention(**what)))
            return
        run = Run(**what)
        print(json.dumps(train_ours(run) if run.contestant == "tilth" else train_peer(run)))
        return
    import torch

    from tilth.training import device

    if not asked.tiny and not torch.cuda.is_available():
        sys.exit("there is no GPU here: --tiny runs the same program on a CPU")
    began, kind = time.monotonic(), "cpu" if asked.tiny else "cuda"
    peak = device.peak_flops(torch.device(kind), torch.bfloat16)
    result: dict[str, Any] = {
        "device": "cpu" if asked.tiny else torch.cuda.get_device_name(),
        "machine": {name: value for name, value in machine.describe().items() if name != "host"},
        "runs": {},
    }
    save = (lambda: None) if asked.tiny else (lambda: write_json(asked.result, result))
    alone = apart(json.dumps({"kind": kind, "lengths": [256, 512] if asked.tiny else [8192, 16384, 32768, 65536]}), 120)
    result["attention"] = alone
    for run in TINY_RUNS if asked.tiny else RUNS:
        left = asked.seconds - (time.monotonic() - began)
        if run.contestant == "transformers" and importlib.util.find_spec("transformers") is None:
            found: dict[str, Any] | str = "not run: transformers is not installed"
        else:
            found = apart(json.dumps(asdict(run)), left) if left > 0 else "not run: the time was up"
        result["runs"][run.name] = row = found if isinstance(found, str) else judged(run, found, peak)
        result["seconds"] = round(time.monotonic() - began)
        save()
        print(f"{run.name:<40} {row}", flush=True)
    print(json.dumps(result["attention"], indent=1))
    sys.exit("\n".join(wrongs(result)) or 0)


def wrongs(result: dict[str, Any]) -> list[str]:
    """What must not be."""
    alone, wrong = result["attention"], []
    if isinstance(alone, str):
        return [f"attention: {alone}"]
    if not alone["kernels"]:
        wrong.append("no attention kernel was seen by the profiler")
    if result["device"] != "cpu" and not any("flash" in name for name in alone["kernels"]):
        wrong.append(f"no flash kernel ran: {alone['kernels']}")
    sizes = list(alone["bytes"].values())
    wrong += [f"attention takes {b / a:.2f} times the memory at twice the length"
              for a, b in pairwise(sizes) if a and b > 2.1 * a]  # fmt: skip
    for name, row in result["runs"].items():
        if str(row).startswith("failed"):
            wrong.append(f"{name}: {row}")
        half = result["runs"].get(name.removesuffix("fp8") + "bf16")
        if name.endswith("fp8") and isinstance(row, dict) and isinstance(half, dict):
            apart_by = max(abs(a - b) for a, b in zip(row["losses"], half["losses"], strict=True))
            if not apart_by < 0.05:
                wrong.append(f"{name}: its losses are up to {apart_by:.3f} from those of bf16")
    return wrong


if __name__ == "__main__":
    main()
