"""OpenAI's HTTP API as data: what may be asked, and what is answered.

https://platform.openai.com/docs/api-reference, its chat completions and (older) completions. What of it is not acted on
stands in `fields`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from tilth.base.errors import UserError
from tilth.base.settings import Settings, validate
from tilth.model.sampling import Sampling
from tilth.serving import fields
from tilth.serving.models import ServedModel
from tilth.tokens.conversation import turns_of_messages


class StreamOptions(Settings):
    """What a stream tells besides the text."""

    include_usage: bool = False
    include_obfuscation: bool = False


class Asked(Settings):
    """What both endpoints take."""

    neutral: ClassVar[Mapping[str, tuple[Any, ...]]]
    """Fields that are accepted at these values only, where they say nothing."""

    model: str | None = Field(None, description="default: the only one, or the last of several")
    max_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(1.0, ge=0, le=100)
    top_p: float | None = Field(1.0, gt=0, le=1)
    top_k: int | None = Field(0, ge=0, description="not OpenAI's: only the k most probable tokens; 0: all")
    stop: str | list[str] | None = None
    seed: int | None = Field(None, description="default: another one each time")
    stream: bool | None = False
    stream_options: StreamOptions | None = None

    @property
    def sampling(self) -> Sampling:
        """The settings of the next token; null is the default."""
        temperature = 1.0 if self.temperature is None else self.temperature
        return Sampling(temperature, self.top_k or 0, 1.0 if self.top_p is None else self.top_p)

    @property
    def stops(self) -> list[str]:
        """Stop strings; an empty one would stop everything."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return [stop for stop in given if stop]

    @property
    def chosen_seed(self) -> int:
        """The seed asked for, or a new one."""
        return secrets.randbits(63) if self.seed is None else self.seed

    @property
    def usage_in_stream(self) -> bool:
        """Whether a last chunk counts the tokens."""
        return self.stream_options is not None and self.stream_options.include_usage


class ChatAsked(Asked):
    """POST /v1/chat/completions"""

    neutral = fields.CHAT
    messages: list[Any]
    max_completion_tokens: int | None = Field(None, ge=1)

    @property
    def limit(self) -> int | None:
        """Tokens of the answer, at most; None: what the context holds."""
        return self.max_completion_tokens or self.max_tokens

    def prompts(self, model: ServedModel) -> list[list[int]]:
        """One: the conversation up to the assistant's next word."""
        chat = model.needs_chat()
        turns = turns_of_messages(self.messages, "messages")
        if not turns or turns[-1].role not in ("user", "tool"):
            raise UserError("the last message is not the user's: there is nothing to answer", where="messages")
        return [chat.prompt(turns)]

    def stop_tokens(self, model: ServedModel) -> tuple[int, ...]:
        """The end of an answer."""
        return model.needs_chat().stop


Tokens = list[Annotated[int, Field(ge=0)]]


class TextAsked(Asked):
    """POST /v1/completions"""

    neutral = fields.TEXT
    prompt: str | Tokens | list[str] | list[Tokens]
    max_tokens: int | None = Field(16, ge=1)

    @property
    def limit(self) -> int | None:
        """Tokens of the answer, at most."""
        return self.max_tokens

    def prompts(self, model: ServedModel) -> list[list[int]]:
        """Texts begin as documents do; tokens are taken as they are."""
        given = self.prompt if isinstance(self.prompt, list) else [self.prompt]
        if given and isinstance(given[0], int):
            given = [given]
        if not given:
            raise UserError("there is no prompt here", where="prompt")
        return [model.text_prompt(one) if isinstance(one, str) else list(one) for one in given]  # type: ignore[arg-type]

    def stop_tokens(self, model: ServedModel) -> tuple[int, ...]:
        """The end of a document."""
        return model.text_stop


def read_request(kind: type[ChatAsked] | type[TextAsked], body: Any) -> ChatAsked | TextAsked:
    """A request from JSON; UserError names the field."""
    if not isinstance(body, Mapping):
        raise UserError(f"expected a JSON object, found {type(body).__name__}", where="request")
    return validate(kind, fields.without_effect(body, kind.neutral), source="request")


# ---- answers -----------------------------------------------------------------------------------------------------


def error_body(message: str, *, kind: str = "invalid_request_error", code: str | None = None) -> dict[str, Any]:
    """An error in OpenAI's form."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def usage(prompts: Sequence[Sequence[int]], answered: int) -> dict[str, int]:
    """Tokens read and written."""
    read = sum(map(len, prompts))
    return {"prompt_tokens": read, "completion_tokens": answered, "total_tokens": read + answered}


class Answer:
    """Frames of one response: whole, or chunk by chunk."""

    def __init__(self, model: str, *, chat: bool) -> None:
        self.chat = chat
        self._frame = {
            "id": f"{'chatcmpl' if chat else 'cmpl'}-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": model,
        }

    def whole(self, texts: Sequence[str], reasons: Sequence[str], used: dict[str, int]) -> dict[str, Any]:
        """The response to a request without stream."""
        kind = "chat.completion" if self.chat else "text_completion"
        choices = []
        for index, (text, reason) in enumerate(zip(texts, reasons, strict=True)):
            content = (
                {"message": {"role": "assistant", "content": text, "refusal": None}} if self.chat else {"text": text}
            )
            choices.append({"index": index, **content, "logprobs": None, "finish_reason": reason})
        return {**self._frame, "object": kind, "choices": choices, "usage": used}

    def chunk(self, index: int, text: str, reason: str | None, *, first: bool = False) -> dict[str, Any]:
        """One piece of a stream."""
        content: dict[str, Any] = {"text": text}
        if self.chat:
            content = {"delta": ({"role": "assistant"} if first else {}) | ({"content": text} if text or first else {})}
        choice = {"index": index, **content, "logprobs": None, "finish_reason": reason}
        return {**self._frame, "object": self._chunk_kind, "choices": [choice]}

    def last(self, used: dict[str, int]) -> dict[str, Any]:
        """The chunk that counts the tokens."""
        return {**self._frame, "object": self._chunk_kind, "choices": [], "usage": used}

    @property
    def _chunk_kind(self) -> str:
        return "chat.completion.chunk" if self.chat else "text_completion"
