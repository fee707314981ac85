"""Tiny exported models that know two languages' bytes and nothing else, and servers of them."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from tilth.model import ModelSettings, build, export_model
from tilth.tokens.chat import find_chat
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


def export(folder: Path, seed: int, *, chat: bool = True, context: int = 256, endless: bool = False) -> Path:
    """A random model with its tokenizer, as `tilth run` exports it; an endless one's likeliest token ends nothing."""
    known = tokenizer(chat=chat)
    model = build(SETTINGS.model_copy(update={"max_positions": context}).config(known.vocabulary_size), seed=seed)
    if endless:
        with torch.no_grad():
            model.embedding.weight[list(find_chat(known).stop)] = 0  # so are their logits, and never the highest
    export_model(model, folder, bos=known.bos, eos=known.eos, pad=known.pad)
    known.save(folder)
    return folder


def run_folder(root: Path) -> Path:
    """A run with a base model without chat tokens, two stages behind it, and the link to the latest, whose answers
    at temperature 0 go on for minutes."""
    run = root / "farm"
    export(run / "models" / "base", 1, chat=False)
    export(run / "models" / "dpo", 3, context=200_000, endless=True)
    export(run / "models" / "sft", 2)
    (run / "model").symlink_to(Path("models") / "dpo")
    (run / "recipe.yaml").write_text(json.dumps({"name": "farm"}), encoding="utf-8")
    return run


def _leave(server: subprocess.Popen[str]) -> None:
    """Wait for the end; one that does not come is a fault, and must not hold up the rest."""
    try:
        server.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        server.kill()
        server.communicate()
        raise


@contextlib.contextmanager
def server_process(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`tilth serve` in a process of its own, and its port."""
    command = [sys.executable, "-m", "tilth.cli.main", "serve", str(folder), "--port", "0", "--threads", "1"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stdout is not None
    address = next((line for line in server.stdout if line.startswith("http://")), None)
    assert address is not None, server.communicate()[1]
    try:
        yield server, int(address.rsplit(":", 1)[1])
    finally:
        server.terminate()
        _leave(server)


@contextlib.contextmanager
def parrot_server(folder: Path, text: str, *, name: str = "parrot", port: int = 0) -> Iterator[int]:
    """A real server in this process on a real port, which it yields; its model says this text and nothing else."""
    import uvicorn

    from tilth.serving.app import create_app
    from tilth.serving.models import load_model

    model = load_model(name, folder)
    script = [*model.tokenizer.encode(text), model.needs_chat().stop[0]]

    def logits(x_NH: torch.Tensor) -> torch.Tensor:
        said = [len(request.result.tokens) for request in model.engine.running]
        next_N = torch.tensor([script[n] for n in said])
        return 100 * torch.nn.functional.one_hot(next_N, model.engine.decoder.config.vocabulary_size).float()

    model.engine.decoder.logits = logits  # type: ignore[method-assign]
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen()
        server = uvicorn.Server(uvicorn.Config(create_app([model]), log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Until it holds; only what hangs comes to the limit."""
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.01)
