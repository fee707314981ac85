"""The two ways to fail: the user's input is wrong (exit 2), or Tilth is (exit 1)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LISTED = 12


class UserError(Exception):
    """What the user gave cannot be used; the message says where, what was expected and what to do.

    `where` names a file, a line (`recipe.yaml:12`) or a field; `hint` is the next thing to try.
    """

    exit_code = 2

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.message, self.where, self.hint = message, where, hint
        text = f"{where}: {message}" if where else message
        super().__init__(f"{text} ({hint})" if hint else text)

    def at(self, where: str) -> UserError:
        """The same mistake, told of another place."""
        return UserError(self.message, where=where, hint=self.hint)

    def within(self, where: str) -> UserError:
        """The same mistake, told of the setting or option that names its place."""
        message = f"{self.where}: {self.message}" if self.where else self.message
        return UserError(message, where=where, hint=self.hint)


class Unfinished(UserError):
    """Something outside ended the work, a worker that was killed: what is done is kept, and the same call goes on."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for an unknown name: the known ones that it is close to, else the first dozen of all."""
    names = sorted(set(map(str, known)))
    close = _close(str(name), names) or _close_in_part(str(name), names)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"known: {', '.join(names[:_LISTED])}{more}" if names else "nothing is known here"


def _close(name: str, names: list[str]) -> list[str]:
    """The name that is meant, in whatever case it was written."""
    plain = {known.lower(): known for known in names}
    return [plain[known] for known in difflib.get_close_matches(name.lower(), plain, n=1, cutoff=0.6)]


def _close_in_part(name: str, names: list[str]) -> list[str]:
    """Names whose first word, or what stands behind their dot, is close: `gofer` is meant for `gopher_quality`."""

    def parts(known: str) -> list[str]:
        return [part for part in (known.split("_")[0], known.partition(".")[2]) if part]

    return [known for known in names if difflib.get_close_matches(name, parts(known), n=1, cutoff=0.7)][:3]
