"""Models of exported folders on the same items: scores, and what one is better by than another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilth.base.errors import UserError
from tilth.evaluation.tasks import Z_95, Form, Item, answer_items, score
from tilth.tokens.chat import find_chat
from tilth.tokens.tokenizer import Tokenizer


@dataclass(frozen=True)
class Answers:
    """What a model said to every item, in the form that served it."""

    model: str
    form: Form
    said: list[str]


def ask_models(
    folders: Mapping[str, Path], items: Sequence[Item], *, form: Form | None = None, limit: int = 96
) -> list[Answers]:
    """Ask every model. Without `form`: through the chat template where it has one, else in the native form."""
    import torch

    from tilth.training import device, load_for_inference

    chosen_device = device.choose("auto")
    products = device.precision("auto", chosen_device)[1]
    found = []
    for name, folder in folders.items():
        tokenizer = Tokenizer.load(folder)
        chat = find_chat(tokenizer)
        if form == "chat" and chat is None:
            raise UserError("this model has no chat template", where=str(folder), hint="native or few-shot")
        chosen: Form = form or ("chat" if chat else "native")
        model = load_for_inference(folder, chosen_device, products)
        with torch.no_grad():
            found.append(Answers(name, chosen, answer_items(model, tokenizer, items, chosen, chat, limit=limit)))
    return found


def table(items: Sequence[Item], asked: Sequence[Answers]) -> list[dict[str, Any]]:
    """A row for each family and language: of every model its score, and of all but the last the last's gain on it."""
    scores = [{(row["family"], row["language"]): row for row in score(items, answers.said)} for answers in asked]
    rows = []
    for family, language in scores[0]:
        members = [i for i, item in enumerate(items) if (item.family, item.language) == (family, language)]
        row: dict[str, Any] = {"family": family, "language": language, "items": len(members)}
        row["scores"] = {a.model: s[family, language] for a, s in zip(asked, scores, strict=True)}
        right = [[items[i].is_right(answers.said[i]) for i in members] for answers in asked]
        row["gains"] = {a.model: gain(right[-1], r) for a, r in zip(asked[:-1], right[:-1], strict=True)}
        rows.append(row)
    return rows


def gain(right: Sequence[bool], base: Sequence[bool]) -> dict[str, float]:
    """Difference of the accuracies on the same items, with its 95 % interval.

    The interval is Wald's for matched proportions with half an item added to each of the four cells (Agresti and Min
    2005, "Simple improved confidence intervals for comparing matched proportions"): it has a width even where both
    models say the same of every item.
    """
    n = len(right)
    won = sum(a and not b for a, b in zip(right, base, strict=True))
    lost = sum(b and not a for a, b in zip(right, base, strict=True))
    total, up, down = n + 2, (won + 0.5) / (n + 2), (lost + 0.5) / (n + 2)
    half = Z_95 * math.sqrt((up + down - (up - down) ** 2) / total)
    return {"gain": (won - lost) / n, "low": max(-1.0, up - down - half), "high": min(1.0, up - down + half)}
