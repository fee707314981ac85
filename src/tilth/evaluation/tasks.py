"""Tasks with exact answers: questions to a model, alone, behind examples or through the chat template.

An item is a JSON line: `id`, `question`, `answers` (each of which is right), and, where they are known, `family`,
`language`, `match` (`text`: the whole answer, `number`: the last number in it), `shots` (solved examples, [question,
answer]), `marks` (what stands before a question and before an answer in pre-training text), `worked` (what shows that
an answer was worked out). Nothing is sampled: the model's likeliest tokens are taken, so a score is repeatable.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tilth.base.errors import UserError
from tilth.base.progress import Progress
from tilth.tokens.chat import Chat
from tilth.tokens.conversation import Turn
from tilth.tokens.tokenizer import Tokenizer

if TYPE_CHECKING:
    from tilth.model import Decoder

Form = Literal["chat", "native", "few-shot"]
"""How a question is put: through the chat template, in the shape of the pre-training text, or that behind examples."""

Z_95 = 1.959963984540054
"""Standard deviations to either side that hold 95 % of a normal distribution."""

EXPECTED = "an item has question and answers, a JSON object a line"
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


@dataclass(frozen=True)
class Item:
    """One question with its right answers."""

    id: str
    question: str
    answers: tuple[str, ...]
    family: str = "all"
    language: str = ""
    match: str = "text"
    shots: tuple[tuple[str, str], ...] = ()
    marks: tuple[str, str] = ("Question: ", "Answer: ")
    worked: str | None = None

    def is_right(self, said: str) -> bool:
        """Whether what the model said counts as one of the answers."""
        if self.match == "number":
            numbers = _NUMBER.findall(unicodedata.normalize("NFKC", said))
            return bool(numbers) and _value(numbers[-1]) in {_value(answer) for answer in self.answers}
        return plain(said) in {plain(answer) for answer in self.answers}

    def is_worked(self, said: str) -> bool:
        """Whether the answer shows its steps."""
        return self.worked is not None and self.worked in said


def _value(number: str) -> Decimal | str:
    """What a spelling of a number stands for; a spelling of none for itself."""
    try:
        return Decimal(number.replace(",", ""))
    except InvalidOperation:
        return number


def plain(text: str) -> str:
    """Without case, outer and repeated white space and the final stop: what answers are compared by."""
    return " ".join(text.split()).rstrip(" .。!！").casefold()


def read_items(path: Path) -> list[Item]:
    """The items of a JSON Lines file. UserError with the line for what is no item: a skipped one would be a lie."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # splitlines would cut at U+2028, which JSON may hold
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            _unreadable(error), where=str(path), hint="give JSON Lines, not packed: an item a line"
        ) from None
    items = [
        _item(line, f"{path}:{number}", f"{path.name}#{number}") for number, line in enumerate(lines, 1) if line.strip()
    ]
    if not items:
        raise UserError("there is no item here", where=str(path))
    return items


def _unreadable(error: OSError | UnicodeDecodeError) -> str:
    """Why a file of items cannot be read."""
    match error:
        case FileNotFoundError():
            return "there is no such file"
        case IsADirectoryError():
            return "is a folder"
        case OSError():
            return f"cannot be read: {error.strerror}"
    return "is not UTF-8 text"


def _item(line: str, where: str, name: str) -> Item:
    try:
        record = json.loads(line)
        answers = [record["answer"]] if "answer" in record and "answers" not in record else record["answers"]
        texts = [record["question"], *(record[key] for key in ("family", "language", "worked") if record.get(key))]
        shots = tuple((str(q), str(a)) for q, a in record.get("shots", ()))
        before, behind = record.get("marks", Item.marks)
    except KeyError as error:
        raise UserError(f"not an item: {error.args[0]} is missing", where=where, hint=EXPECTED) from None
    except RecursionError:
        raise UserError("not an item: JSON that is nested too deeply", where=where, hint=EXPECTED) from None
    except (ValueError, TypeError, AttributeError) as error:
        kind = "not JSON: " if isinstance(error, json.JSONDecodeError) else ""
        raise UserError(f"not an item: {kind}{error}", where=where, hint=EXPECTED) from None
    match = record.get("match", "text")
    wrong = not isinstance(answers, list) or not answers or not all(isinstance(text, str) for text in texts)
    if wrong or match not in ("text", "number"):
        raise UserError(
            "an item has a question, a list of answers, and match is text or number", where=where, hint="see the docs"
        )
    known = {key: record[key] for key in ("family", "language", "worked") if record.get(key)}
    known |= {"match": match, "shots": shots, "marks": (before, behind)}
    return Item(str(record.get("id", name)), record["question"], tuple(map(str, answers)), **known)


def prompt_of(item: Item, form: Form, tokenizer: Tokenizer, chat: Chat | None) -> list[int]:
    """The tokens that the model goes on from."""
    if form == "chat":
        assert chat is not None
        return chat.prompt([Turn("user", item.question)])
    before, answer = item.marks
    shots = "".join(f"{before}{q}\n{answer}{a}\n\n" for q, a in item.shots) if form == "few-shot" else ""
    text = f"{shots}{before}{item.question}\n{answer.rstrip()}"
    return [*([] if tokenizer.bos is None else [tokenizer.bos]), *tokenizer.encode(text)]


def answer_items(
    model: Decoder,
    tokenizer: Tokenizer,
    items: Sequence[Item],
    form: Form,
    chat: Chat | None,
    *,
    limit: int = 96,
    batch: int = 128,
) -> list[str]:
    """What the model says to each item: up to `limit` tokens, in plain forms up to the end of the line."""
    from tilth.model import Engine, generate

    engine = Engine(model, batch=batch)
    prompts = [prompt_of(item, form, tokenizer, chat) for item in items]
    stop = chat.stop if form == "chat" and chat is not None else _line_ends(tokenizer)
    # like beginnings and lengths together: those who share examples have them read once
    order = sorted(range(len(items)), key=lambda i: (items[i].shots if form == "few-shot" else (), len(prompts[i])))
    said = [""] * len(items)
    with Progress(f"answer {form}", len(items), "items") as bar:
        for first in range(0, len(order), batch):
            chosen = order[first : first + batch]
            found = generate(engine, [prompts[i] for i in chosen], max_new=limit, stop=stop)
            for i, continuation in zip(chosen, found, strict=True):
                said[i] = tokenizer.decode(continuation.tokens).strip()
            bar.add(len(chosen))
    return said


def _line_ends(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The end mark and every token that holds a line break: an answer in running text ends there."""
    breaks = [i for i in range(tokenizer.vocabulary_size) if "\n" in tokenizer.decode([i], keep_special=True)]
    return (*breaks, *(() if tokenizer.eos is None else (tokenizer.eos,)))


def score(items: Sequence[Item], said: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each family and language: items, right, accuracy with its 95 % interval, share worked."""
    groups: dict[tuple[str, str], list[tuple[Item, str]]] = {}
    for item, answer in zip(items, said, strict=True):
        groups.setdefault((item.family, item.language), []).append((item, answer))
    return [{"family": family, "language": language, **_row(pairs)} for (family, language), pairs in groups.items()]


def _row(pairs: Sequence[tuple[Item, str]]) -> dict[str, Any]:
    right = sum(item.is_right(said) for item, said in pairs)
    low, high = wilson(right, len(pairs))
    row = {"items": len(pairs), "right": right, "accuracy": right / len(pairs), "low": low, "high": high}
    if all(item.worked is not None for item, _ in pairs):
        row["worked"] = sum(item.is_worked(said) for item, said in pairs) / len(pairs)
    return row


def wilson(right: int, items: int, z: float = Z_95) -> tuple[float, float]:
    """95 % score interval of a share (Wilson 1927): never outside [0, 1], honest at 0 and at 1."""
    share, square = right / items, z * z / items
    centre = (share + square / 2) / (1 + square)
    half = z * math.sqrt(share * (1 - share) / items + square / (4 * items)) / (1 + square)
    return max(0.0, centre - half), min(1.0, centre + half)
