"""Conversations, and the record layouts of the ecosystem that they are read from.

{"messages": [{"role" or "from", "content" or "value"}]}      messages, also called "conversations" (ShareGPT)
{"instruction", "input", "output", "system", "history"}       Alpaca
{"source", "target", "category"}                              a text and what follows it, without a template
{"prompt" or a conversation, "chosen", "rejected"}            preferences; texts or messages
{"prompt", "completion" or "response"}                        one exchange

`domain` is the record's domain, else its category.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tilth.base.errors import UserError, nearest

Role = Literal["system", "user", "assistant", "tool"]

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "bot", "model", "chatgpt", "function_call"), "assistant"),
    **dict.fromkeys(("tool", "observation", "function", "ipython"), "tool"),
}
"""What the formats call the four roles."""

_LISTS = ("messages", "conversations", "conversation", "context", "dialog")
ANSWERS = ("completion", "response", "answer", "output")
"""Fields that an answer stands in, where a record has no list of messages."""


@dataclass(frozen=True)
class Turn:
    """What one side said."""

    role: Role
    content: str


@dataclass(frozen=True)
class Conversation:
    """Turns in order. Loss falls on the assistant's."""

    turns: tuple[Turn, ...]
    id: str = ""
    domain: str = ""


@dataclass(frozen=True)
class SourceTarget:
    """A text (it may be empty) and what follows it, told apart without a template; loss falls on `target`."""

    source: str
    target: str
    id: str = ""
    domain: str = ""


@dataclass(frozen=True)
class Preference:
    """Two ways to go on behind the same turns, the better one first."""

    turns: tuple[Turn, ...]
    chosen: tuple[Turn, ...]
    rejected: tuple[Turn, ...]
    id: str = ""
    domain: str = ""

    @property
    def both(self) -> tuple[Conversation, Conversation]:
        """The two whole conversations, the chosen one first."""
        return (
            Conversation((*self.turns, *self.chosen), self.id, self.domain),
            Conversation((*self.turns, *self.rejected), self.id, self.domain),
        )


Example = Conversation | SourceTarget | Preference


class UnknownRole(UserError):
    """A role that no format knows: the file is not what it was taken for."""


def read_example(record: Any, where: str, name: str = "") -> Example:
    """The example in a record; `name` is its id where it has none. `UserError` at `where` for what is not known."""
    if not isinstance(record, Mapping):
        raise UserError(f"expected a JSON object, found {type(record).__name__}", where=where)
    for key in ("tools", "functions"):
        if record.get(key) not in (None, "", "[]", "{}", "null", [], {}):
            raise UserError("descriptions of tools have no place in the templates", where=f"{where}: {key}")
    name = str(record.get("id") or name)
    domain = str(record.get("domain") or record.get("category") or "")
    if "chosen" in record and "rejected" in record:
        return _preference(record, name, domain, where)
    if "target" in record:
        source, target = (_text(record.get(key) or "", f"{where}: {key}") for key in ("source", "target"))
        return SourceTarget(source, target, name, domain)
    return Conversation(_turns_of(record, where), name, domain)


def turns_of_messages(messages: Any, where: str) -> tuple[Turn, ...]:
    """Turns from a list of messages, each with role (or from) and content (or value)."""
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        raise UserError(f"expected a list of messages, found {type(messages).__name__}", where=where)
    return tuple(_turn(message, f"{where}: message {number}") for number, message in enumerate(messages, 1))


def _turn(message: Any, where: str) -> Turn:
    if not isinstance(message, Mapping):
        raise UserError(f"expected an object with role and content, found {type(message).__name__}", where=where)
    said = message.get("role", message.get("from"))
    role = ROLES.get(said.lower()) if isinstance(said, str) else None
    if role is None:
        raise UnknownRole(f"the role {said!r} is not known", where=where, hint=nearest(str(said), ROLES))
    content = message.get("content", message.get("value"))
    if isinstance(content, list):  # the parts of a multimodal message: only text can be read
        content = "".join(_text(part.get("text") if isinstance(part, Mapping) else part, where) for part in content)
    return Turn(role, _text(content, f"{where}: content"))


def _turns_of(record: Mapping[str, Any], where: str) -> tuple[Turn, ...]:
    turns = _leading_turns(record, where)
    key = next((key for key in ANSWERS if isinstance(record.get(key), str)), None)
    if key is not None and (not turns or turns[-1].role != "assistant"):
        turns = (*turns, Turn("assistant", _text(record[key], f"{where}: {key}")))
    if not turns:
        known = ", ".join((*_LISTS, "instruction", "prompt", "target", "chosen"))
        raise UserError(
            f"no conversation here: the fields are {', '.join(map(str, record))}", where=where, hint=f"one of {known}"
        )
    return turns


def _leading_turns(record: Mapping[str, Any], where: str) -> tuple[Turn, ...]:
    """All turns but an answer that stands in a field of its own."""
    system = _text(record.get("system") or "", f"{where}: system")
    head = (Turn("system", system),) if system else ()
    for key in _LISTS:
        if record.get(key) is not None and not (key == "context" and isinstance(record[key], str)):
            turns = turns_of_messages(record[key], f"{where}: {key}")
            return turns if turns and turns[0].role == "system" else (*head, *turns)
    if isinstance(record.get("prompt"), list):
        return (*head, *turns_of_messages(record["prompt"], f"{where}: prompt"))
    asked = record.get("instruction", record.get("prompt", record.get("question")))
    if asked is None:
        return ()
    told = _text(record.get("input") or record.get("context") or "", f"{where}: input")
    question = "\n".join(part for part in (_text(asked, f"{where}: instruction"), told) if part)
    return (*head, *_history(record.get("history") or (), where), Turn("user", question))


def _history(pairs: Any, where: str) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    if not isinstance(pairs, Sequence) or isinstance(pairs, str):
        raise UserError("expected a list of exchanges", where=f"{where}: history")
    for number, pair in enumerate(pairs, 1):
        place = f"{where}: history {number}"
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise UserError("expected a question and its answer", where=place)
        turns += [Turn("user", _text(pair[0], place)), Turn("assistant", _text(pair[1], place))]
    return tuple(turns)


def _preference(record: Mapping[str, Any], name: str, domain: str, where: str) -> Preference:
    lead = _leading_turns(record, where)
    chosen, rejected = (_side(record[key], f"{where}: {key}") for key in ("chosen", "rejected"))
    whole = all(side and side[0].role != "assistant" for side in (chosen, rejected))
    if not lead or whole:  # both sides are whole conversations: what they share is what they answer
        shared = 0
        while shared < min(len(chosen), len(rejected)) - 1 and chosen[shared] == rejected[shared]:
            shared += 1
        lead, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    for key, turns in (("chosen", chosen), ("rejected", rejected)):
        if not turns or turns[0].role != "assistant":
            raise UserError("the answer is not the assistant's", where=f"{where}: {key}")
    if not lead or lead[-1].role not in ("user", "tool"):
        raise UserError(
            "there is nothing that chosen and rejected answer", where=where, hint="give prompt, or whole conversations"
        )
    return Preference(lead, chosen, rejected, name, domain)


def _side(value: Any, where: str) -> tuple[Turn, ...]:
    if isinstance(value, str):
        return _spoken_text(value)
    return turns_of_messages([value] if isinstance(value, Mapping) else value, where)


_MARKER = re.compile(r"\n\n(Human|Assistant): ?")


def _spoken_text(text: str) -> tuple[Turn, ...]:
    """One answer; or, where it begins with `\n\nHuman:`, the turns of a conversation told in one text (HH-RLHF)."""
    if not text.startswith("\n\nHuman:"):
        return (Turn("assistant", text),)
    _, *parts = _MARKER.split(text)
    sides = zip(parts[::2], parts[1::2], strict=True)
    return tuple(Turn("user" if side == "Human" else "assistant", said.strip()) for side, said in sides)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise UserError(f"expected text, found {type(value).__name__}", where=where)
    return value.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate has no UTF-8
