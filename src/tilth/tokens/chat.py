"""Conversations as tokens, with the loss mask made in the same pass.

A conversation is rendered piece by piece, special tokens by their ids and texts by the tokenizer, and each piece knows
whether it is trained: the assistant's content and its end mark are, nothing else. So there is no searching for headers
in a row of ids, and no counting of a prefix's tokens, which differ from the same text's tokens in front of more text.
What a user writes is text, even where it spells a special token. Texts without a loss that touch are encoded as one,
as a tokenizer does that is given the whole rendered string; the assistant's content is always encoded on its own, since
that is how it comes into being: behind a prompt that has already been cut into tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tilth.base.errors import UserError
from tilth.tokens.conversation import SourceTarget, Turn
from tilth.tokens.templates import BOS, EOS, TEMPLATES, ChatTemplate, chat_template, unknown_role
from tilth.tokens.tokenizer import TEMPLATE, Tokenizer


@dataclass(frozen=True)
class Rendered:
    """Tokens, and which of them have a loss."""

    ids: np.ndarray
    """int32 [n]"""
    trained: np.ndarray
    """bool [n]"""


class Chat:
    """A template with a tokenizer: what training, evaluation, generation and the server render with.

    UserError where the tokenizer lacks a special token of the template.
    """

    def __init__(self, template: ChatTemplate, tokenizer: Tokenizer) -> None:
        self.template, self.tokenizer = template, tokenizer
        self._begin = self._pieces(template.begin)
        self._before = {role: self._pieces(parts) for role, parts in template.before.items()}
        self._behind = {role: self._pieces(parts) for role, parts in template.behind.items()}
        self._header = self._before["assistant"]
        if template.trained_header:
            self._before["assistant"] = tuple(Piece(p.content, isinstance(p.content, int)) for p in self._header)
        mark = self._behind["assistant"][0]
        self._behind["assistant"] = (Piece(mark.content, True), *self._behind["assistant"][1:])
        self.stop = tuple(m for m in dict.fromkeys((mark.content, tokenizer.eos)) if isinstance(m, int))
        """The ids at which an answer ends: the end mark, and the end of a document."""

    def render(self, turns: Sequence[Turn], first: int = 0) -> Rendered:
        """All turns; those before number `first` have no loss. UserError for a role that the template does not know."""
        before = (Piece(piece.content, False) for piece in self._spoken(turns[:first]))
        return encode_pieces(self.tokenizer, [*self._begin, *before, *self._spoken(turns[first:])])

    def prompt(self, turns: Iterable[Turn]) -> list[int]:
        """The turns and all that stands before the assistant's next content: what generation goes on from."""
        pieces = [*self._begin, *self._spoken(turns), *self._header]
        return encode_pieces(self.tokenizer, pieces).ids.tolist()

    def fitting(self, turns: Sequence[Turn], length: int) -> Rendered | None:
        """The longest run of whole turns from the first that ends with the assistant and has at most `length` tokens.

        None where not even the turns up to the assistant's first fit.
        """
        ends = [number for number, turn in enumerate(turns, 1) if turn.role == "assistant"]
        for end in reversed(ends):
            rendered = self.render(turns[:end])
            if len(rendered.ids) <= length:
                return rendered
        return None

    def _spoken(self, turns: Iterable[Turn]) -> Iterator[Piece]:
        for turn in turns:
            if turn.role not in self._before:
                raise unknown_role(self.template, turn.role)
            yield from self._before[turn.role]
            yield Piece(turn.content, turn.role == "assistant")
            yield from self._behind[turn.role]

    def _pieces(self, parts: Sequence[str]) -> tuple[Piece, ...]:
        """Parts of the template; a begin mark that the tokenizer does not have is left out."""
        marks = {part: self._mark(part) for part in parts if part in (BOS, EOS, *self.template.special)}
        contents = (marks.get(part, part) for part in parts)
        return tuple(Piece(content, False) for content in contents if content is not None)

    def _mark(self, part: str) -> int | None:
        if part == BOS:
            return self.tokenizer.bos
        mark = self.tokenizer.eos if part == EOS else self.tokenizer.special_ids().get(part)
        if mark is None:
            raise UserError(
                f"the chat template {self.template.name} needs {'an end mark' if part == EOS else part}, "
                "which this tokenizer does not have",
                hint=f"templates: {', '.join(TEMPLATES)}; or name the token in tokenizer.special",
            )
        return mark


@dataclass(frozen=True)
class Piece:
    """A text, or a special token's id; and whether it has a loss."""

    content: str | int
    trained: bool


def encode_pieces(tokenizer: Tokenizer, pieces: Iterable[Piece]) -> Rendered:
    """Ids and mask together."""
    ids: list[int] = []
    trained: list[bool] = []
    for piece in _joined(pieces):
        found = tokenizer.encode(piece.content) if isinstance(piece.content, str) else [piece.content]
        ids += found
        trained += [piece.trained] * len(found)
    return Rendered(np.array(ids, np.int32), np.array(trained, bool))


def _joined(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Neighbouring texts without a loss become one."""
    held = ""
    for piece in pieces:
        if isinstance(piece.content, str) and not piece.trained:
            held += piece.content
            continue
        if held:
            yield Piece(held, False)
            held = ""
        yield piece
    if held:
        yield Piece(held, False)


def render_source_target(tokenizer: Tokenizer, example: SourceTarget) -> Rendered:
    """begin mark, source, target, end mark; loss on target and end mark, on everything where the source is empty."""
    pieces = [Piece(example.source, False), Piece(example.target, True)]
    if tokenizer.bos is not None:
        pieces.insert(0, Piece(tokenizer.bos, not example.source))
    if tokenizer.eos is not None:
        pieces.append(Piece(tokenizer.eos, True))
    return encode_pieces(tokenizer, pieces)


def fitting_template(tokenizer: Tokenizer) -> ChatTemplate:
    """The one that the tokenizer names, else the first whose tokens it has; colossal needs none but begin and end."""
    if named := tokenizer.config.get(TEMPLATE):
        return chat_template(named)
    known = tokenizer.special_ids().keys()
    return next(template for template in TEMPLATES.values() if known >= set(template.special))


def find_chat(tokenizer: Tokenizer) -> Chat | None:
    """The template that the tokenizer names, else the one whose special tokens it has, else none.

    Where it says that there is none, the model has not learnt to chat, whatever tokens stand ready.
    """
    if TEMPLATE in tokenizer.config:
        named = tokenizer.config[TEMPLATE]
        return Chat(chat_template(named), tokenizer) if named else None
    template = fitting_template(tokenizer)
    return Chat(template, tokenizer) if template.special else None
