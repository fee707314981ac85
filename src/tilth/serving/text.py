"""Tokens to text as they come: whole characters only, and nothing of a stop string."""

from __future__ import annotations

from collections.abc import Sequence

from tilth.tokens.tokenizer import Tokenizer

_UNKNOWN = "\ufffd"


class TextStream:
    """Joined, its pieces are the text of all tokens, up to what of `stop` is complete first; `stopped` tells of it.

    A character whose bytes are not all there is held back, and so is what may yet become a stop string.
    """

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str] = ()) -> None:
        self.tokenizer, self.stop, self.stopped = tokenizer, tuple(stop), False
        self._window: list[int] = []
        """The last tokens that ended with a whole character, and those since."""
        self._context = 0
        """How many tokens of the window are context: a word's text may depend on what stands before it."""
        self._shown = 0
        """Characters of the window's text that have been taken."""
        self._held = ""

    def add(self, token: int) -> str:
        """The text that this token makes certain."""
        self._window.append(token)
        text = self.tokenizer.decode(self._window)
        whole = not text.endswith(_UNKNOWN)
        text = text.rstrip(_UNKNOWN)  # characters that may still be in the making; some decoders show every byte so
        new, self._shown = text[self._shown :], max(self._shown, len(text))
        if whole:
            self._window = self._window[self._context :]
            self._context = len(self._window)
            self._shown = len(self.tokenizer.decode(self._window))
        return self._pass(new)

    def finish(self) -> str:
        """The rest, when no token follows; bytes that never became a character are U+FFFD."""
        rest = self.tokenizer.decode(self._window)[self._shown :]
        self._window, self._context, self._shown = [], 0, 0
        text = self._pass(rest) + self._held
        self._held = ""
        return text

    def _pass(self, new: str) -> str:
        """What of the held and the new text can be given out."""
        if self.stopped:
            return ""
        text = self._held + new
        found = [(place + len(stop), place) for stop in self.stop if (place := text.find(stop)) >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)[1]]
        keep = max((_overlap(text, stop) for stop in self.stop), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` with which `stop` begins."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if stop.startswith(text[-n:])), 0)
