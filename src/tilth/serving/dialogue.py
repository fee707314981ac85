"""One conversation with its history, answered piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tilth.base.errors import UserError
from tilth.base.keyed import stable_hash
from tilth.model import Sampling
from tilth.serving.models import ServedModel
from tilth.serving.text import TextStream
from tilth.tokens.conversation import Turn


@dataclass
class Dialogue:
    """Turns of a user and a model, which it has to itself. The same seed and questions give the same answers."""

    model: ServedModel
    system: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    max_new: int = 512
    seed: int = 0
    turns: list[Turn] = field(default_factory=list)
    finish_reason: str = ""
    """Of the last answer: stop, length, or cancelled."""
    forgotten: int = 0
    """Turns left out of the last prompt, oldest first, because the context was full."""

    def __post_init__(self) -> None:
        self.chat = self.model.needs_chat()
        self.reset()

    def reset(self) -> None:
        """Forget everything but the system's word."""
        self.turns = [] if self.system is None else [Turn("system", self.system)]

    def answer(self, text: str) -> Iterator[str]:
        """The answer, in pieces; what has come when the iterator is closed stays in the history.

        UserError where the question alone does not fit the context; then nothing is added to the history.
        """
        engine, stream = self.model.engine, TextStream(self.model.tokenizer)
        question = Turn("user", text.encode("utf-8", "replace").decode("utf-8"))  # a pipe may hold other bytes
        prompt = self._prompt([*self.turns, question])
        seed = stable_hash(self.seed, "turn", len(self.turns))
        request = engine.submit(prompt, max_new=self.max_new, stop=self.chat.stop, sampling=self.sampling, seed=seed)
        said, seen = "", 0
        self.finish_reason = "cancelled"
        try:
            while not request.finished:
                engine.step()
                for token in request.result.tokens[seen:]:
                    piece = stream.add(token)
                    said += piece
                    yield piece
                seen = len(request.result.tokens)
            self.finish_reason = "stop" if request.result.stopped else "length"
            rest = stream.finish()
            said += rest
            yield rest
        finally:
            engine.clear()  # Ctrl-C may have come in the middle of a step
            self.turns += [question, Turn("assistant", said)]

    def _prompt(self, turns: list[Turn]) -> list[int]:
        """All turns as tokens; without the oldest exchanges where the context would leave the answer no room."""
        head = 1 if turns[0].role == "system" else 0
        room = self.model.context - min(self.max_new, self.model.context // 4)
        questions = [place for place, turn in enumerate(turns) if turn.role == "user"]
        for first in questions:
            prompt = self.chat.prompt([*turns[:head], *turns[first:]])
            self.forgotten = first - head
            if len(prompt) <= room:
                return prompt
        if len(prompt) >= self.model.context:
            raise UserError(f"the question has {len(prompt):,} tokens, the context holds {self.model.context:,}")
        return prompt
