"""Fields of OpenAI's API that are not acted on: dropped where that changes no answer, refused where it would."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tilth.base.errors import UserError

UNUSED = frozenset(
    "metadata moderation parallel_tool_calls prediction prompt_cache_key prompt_cache_options prompt_cache_retention "
    "safety_identifier service_tier store user".split()
)
"""About accounts, storage and speed: no value of theirs changes an answer."""

_BOTH: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
}
CHAT: dict[str, tuple[Any, ...]] = _BOTH | {
    "audio": (),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "modalities": (["text"],),
    "reasoning_effort": ("none",),
    "response_format": ({"type": "text"},),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "verbosity": ("medium",),
    "web_search_options": (),
}
"""Of a chat, the values at which a field says nothing; null is always one of them."""
TEXT: dict[str, tuple[Any, ...]] = _BOTH | {"best_of": (1,), "echo": (False,), "suffix": ("",)}
"""The same of a text to be continued."""


def without_effect(body: Mapping[str, Any], neutral: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
    """The request without the fields that change nothing; UserError for one that would change the answer."""
    for name, accepted in neutral.items():
        value = body.get(name)
        if value is not None and not any(_equal(value, one) for one in accepted):
            values = "".join(f", or give {json.dumps(one)}" for one in accepted)
            raise UserError(
                "this would change the answer and is not supported",
                where=f"request: {name}",
                hint=f"leave it out{values}",
            )
    return {name: value for name, value in body.items() if name not in neutral and name not in UNUSED}


def _equal(value: Any, other: Any) -> bool:
    """As JSON: 1 is 1.0, but not true."""
    return value == other and isinstance(value, bool) == isinstance(other, bool)
