"""A dialogue in a terminal, or behind a pipe."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterable

from tilth.base.errors import UserError
from tilth.serving.dialogue import Dialogue

_HELP = "/reset forgets the conversation, /exit leaves; Ctrl-C stops an answer"


def converse(dialogue: Dialogue) -> None:
    """Ask and answer until /exit or Ctrl-D."""
    import readline  # noqa: F401 - gives input() its history and editing keys

    print(f"{dialogue.model.name}: {_HELP}")
    while True:
        try:
            text = input("\n> ").strip()
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print("\n/exit leaves")
            continue
        if text == "/exit":
            return
        if text == "/reset":
            dialogue.reset()
            print("(the conversation is forgotten)")
        elif text.startswith("/"):
            print(f"({_HELP})")
        elif text:
            _answer(dialogue, text)


def _answer(dialogue: Dialogue, text: str) -> None:
    pieces = dialogue.answer(text)
    stopped = threading.Event()  # an exception could be lost in a callback of the libraries below
    before = signal.signal(signal.SIGINT, lambda *_: stopped.set())
    try:
        for piece in pieces:
            print(piece, end="", flush=True)
            if stopped.is_set():
                pieces.close()  # type: ignore[attr-defined]
                print(" (stopped)")
                break
        else:
            print(" …" if dialogue.finish_reason == "length" else "")
    except UserError as error:
        print(f"! {error}")
    finally:
        signal.signal(signal.SIGINT, before)
    if dialogue.forgotten:
        print(f"(the context is full: the oldest {dialogue.forgotten} turns were left out)", file=sys.stderr)


def answer_lines(dialogue: Dialogue, lines: Iterable[str], *, as_json: bool = False) -> None:
    """Answer every line that is not empty, in one conversation; /reset and /exit work here too."""
    for line in lines:
        text = line.strip()
        if text == "/exit":
            return
        if text == "/reset":
            dialogue.reset()
        elif text:
            answer_once(dialogue, text, as_json=as_json)


def answer_once(dialogue: Dialogue, text: str, *, as_json: bool = False) -> None:
    """Print one answer: streamed as text, or whole as a line of JSON."""
    if as_json:
        answer = "".join(dialogue.answer(text))
        record = {"model": dialogue.model.name, "prompt": text, "answer": answer}
        print(json.dumps(record | {"finish_reason": dialogue.finish_reason}, ensure_ascii=False), flush=True)
        return
    for piece in dialogue.answer(text):
        print(piece, end="", flush=True)
    print(flush=True)
