"""Whether a run of characters is a URL or an e-mail address, as spaCy's tokenizer recognises them, nearly."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilth.base.jit import helper
from tilth.text.unicode import ALPHABETIC, MARK, NUMBER, UPPER

_ALPHABETIC, _UPPER, _INNER = np.uint16(ALPHABETIC), np.uint16(UPPER), np.uint16(ALPHABETIC | NUMBER | MARK)


@helper
def is_digit(code: int) -> bool:
    """An ASCII digit."""
    return 48 <= code <= 57


@helper
def _host_letter(code: int) -> bool:
    return 48 <= code <= 57 or 65 <= code <= 90 or 97 <= code <= 122 or 0xA1 <= code <= 0xFFFF


@helper
def _host(codes: Any, kinds: Any, first: int, last: int) -> bool:
    """Whether codes[first:last] is a domain name, perhaps with a port and a path."""
    at, labels = first, 0
    while True:
        start, lower = at, True
        while at < last and (_host_letter(codes[at]) or ((codes[at] == 45 or codes[at] == 95) and at > start)):
            lower = lower and kinds[at] & _ALPHABETIC != 0 and kinds[at] & _UPPER == 0
            at += 1
        if at == start:
            return False
        if at < last and codes[at] == 46 and _host_letter(codes[at - 1]):
            labels += 1
            at += 1
            continue
        if not labels or not lower or at - start < 2 or at - start > 63:
            return False
        break
    if at + 2 < last and codes[at] == 58 and is_digit(codes[at + 1]) and is_digit(codes[at + 2]):
        at += 3
        while at < last and is_digit(codes[at]):
            at += 1
    return at == last or codes[at] == 47 or codes[at] == 63 or codes[at] == 35


@helper
def is_url(codes: Any, kinds: Any, first: int, last: int) -> bool:
    """Whether codes[first:last] is a URL or an e-mail address."""
    dots, sign = 0, -1
    for at in range(first + 1, last):
        dots += codes[at] == 46
    if not dots:
        return False
    for at in range(first + 1, last):
        sign = at if codes[at] == 64 else sign
    start = first
    while start < last and (
        kinds[start] & _INNER or codes[start] == 95 or codes[start] == 43 or codes[start] == 45 or codes[start] == 46
    ):
        start += 1
    scheme = start - first >= 2 and start + 2 < last
    if scheme and codes[start] == 58 and codes[start + 1] == 47 and codes[start + 2] == 47:
        start += 3
    else:
        start = first
    if sign > start and _host(codes, kinds, sign + 1, last):
        return True
    return start < last and _host(codes, kinds, start, last)
