"""Chat templates as data: which special tokens and texts stand around each role's content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from tilth.base.errors import UserError, nearest

BOS, EOS = "{bos}", "{eos}"
"""In a template: the tokenizer's own begin and end mark."""


@dataclass(frozen=True)
class ChatTemplate:
    """What stands before a conversation, and before and behind each role's content.

    A part that is `{bos}`, `{eos}` or in `special` is one special token, any other is text. The first part behind the
    assistant's content is its end mark, which is trained and at which generation stops.
    """

    name: str
    before: Mapping[str, tuple[str, ...]]
    behind: Mapping[str, tuple[str, ...]]
    begin: tuple[str, ...] = ()
    special: tuple[str, ...] = ()
    trained_header: bool = False
    """Whether the special tokens before the assistant's content have a loss too."""
    jinja: str = field(default="", repr=False)
    """The same for transformers (where a special token's spelling in a content becomes the token)."""


_MARKED = (
    "{{ bos_token or '' }}{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
_CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_HEADERS = (
    "{{ bos_token or '' }}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + m['content'] + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
_COLOSSAL_SYSTEM = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions.\n\n"
)
_COLOSSAL = (
    f"{{{{ (bos_token or '') + {json.dumps(_COLOSSAL_SYSTEM)} }}}}{{% for m in messages %}}"
    "{{ ('Human' if m['role'] == 'user' else 'Assistant') + ': ' + (bos_token or '') + m['content'] + eos_token }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant: ' + (bos_token or '') }}{% endif %}"
)
_SIDES = ("system", "user", "assistant")

TEMPLATES: dict[str, ChatTemplate] = {
    template.name: template
    for template in (
        ChatTemplate(
            "tilth",
            before={role: (f"<|{role}|>",) for role in _SIDES},
            behind=dict.fromkeys(_SIDES, ("<|end|>",)),
            begin=(BOS,),
            special=("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
            jinja=_MARKED,
        ),
        ChatTemplate(
            "chatml",
            before={role: ("<|im_start|>", f"{role}\n") for role in (*_SIDES, "tool")},
            behind=dict.fromkeys((*_SIDES, "tool"), ("<|im_end|>", "\n")),
            special=("<|im_start|>", "<|im_end|>"),
            jinja=_CHATML,
        ),
        ChatTemplate(
            "llama3",
            before={role: ("<|start_header_id|>", role, "<|end_header_id|>", "\n\n") for role in (*_SIDES, "tool")},
            behind=dict.fromkeys((*_SIDES, "tool"), ("<|eot_id|>",)),
            begin=(BOS,),
            special=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
            jinja=_HEADERS,
        ),
        ChatTemplate(  # Colossal-LLaMA's: the end of each content, and of the assistant's also its begin, is a mark
            "colossal",
            before={"user": ("Human: ", BOS), "assistant": ("Assistant: ", BOS)},
            behind={"user": (EOS,), "assistant": (EOS,)},
            begin=(BOS, _COLOSSAL_SYSTEM),
            trained_header=True,
            jinja=_COLOSSAL,
        ),
    )
}


def unknown_role(template: ChatTemplate, role: str, *, where: str | None = None) -> UserError:
    """Of a turn that the template has no place for."""
    return UserError(
        f"the chat template {template.name} has no role {role!r}",
        where=where,
        hint=f"it knows {', '.join(template.before)}",
    )


def chat_template(name: str) -> ChatTemplate:
    """The template of that name."""
    if name not in TEMPLATES:
        raise UserError(f"there is no chat template {name!r}", hint=nearest(name, TEMPLATES))
    return TEMPLATES[name]
