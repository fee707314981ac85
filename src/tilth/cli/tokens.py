"""`tilth tokenizer`."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tilth.base.errors import UserError
from tilth.cli.options import JsonOption, path

if TYPE_CHECKING:
    from tilth.tokens.tokenizer import Tokenizer

TokenizerArgument = Annotated[
    Path, typer.Argument(metavar="TOKENIZER", parser=path, help="A folder with tokenizer.json.")
]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    tokenizer = typer.Typer(help="Look into a tokenizer.", no_args_is_help=True, rich_markup_mode=None)
    tokenizer.command("encode")(encode)
    tokenizer.command("inspect")(inspect)
    app.add_typer(tokenizer, name="tokenizer")


def encode(
    folder: TokenizerArgument,
    text: Annotated[str | None, typer.Argument(help="The text; without it, standard input.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how a text is cut into pieces.

    Example:

        tilth tokenizer encode runs/quickstart/model "天气很好, 12 apples"
    """
    from tilth.tokens.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(folder)
    given = _given(text)
    ids = tokenizer.encode(given)
    pieces = [readable_piece(tokenizer, i) for i in ids]
    if as_json:
        print(json.dumps({"ids": ids, "pieces": pieces}, ensure_ascii=False))
        return
    print("|".join(pieces))
    print(f"{len(ids)} tokens, {len(given.encode()) / max(1, len(ids)):.2f} bytes a token")


def _given(text: str | None) -> str:
    """The text of the command line, else of standard input."""
    where = "standard input" if text is None else "TEXT"
    data = sys.stdin.buffer.read() if text is None else text.encode("utf-8", "surrogateescape")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"byte 0x{data[error.start]:02x} at {error.start}"
        hint = "convert it first, for example with iconv -f GB18030 -t UTF-8"
        raise UserError(f"the text is not UTF-8: {found}", where=where, hint=hint) from None


def readable_piece(tokenizer: Tokenizer, piece: int) -> str:
    """The text of a piece; bytes that are no whole character as `<e6>`."""
    text = tokenizer.decode([piece], keep_special=True)
    spelled = str(tokenizer.inner.id_to_token(piece))
    if "\ufffd" not in text:
        return text
    if len(spelled) == 6 and spelled.startswith("<0x"):  # a byte as sentencepiece's models spell it
        return f"<{spelled[3:5].lower()}>"
    values = _byte_alphabet()
    if not all(character in values for character in spelled):
        return text
    escaped = bytes(values[character] for character in spelled).decode("utf-8", "surrogateescape")
    return "".join(f"<{ord(c) - 0xDC00:02x}>" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in escaped)


@functools.cache
def _byte_alphabet() -> dict[str, int]:
    """The byte that each character of a byte-level vocabulary stands for: GPT-2's alphabet.

    Printable Latin-1 characters stand for themselves, the other bytes, in order, for the characters from 256 on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


def inspect(folder: TokenizerArgument, as_json: JsonOption = False) -> None:
    """Show a tokenizer's size, marks and special tokens, and prove it lossless on hostile texts.

    Example:

        tilth tokenizer inspect runs/quickstart/model
    """
    from tilth.tokens.quality import check_lossless
    from tilth.tokens.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(folder)
    facts = {
        "vocabulary": tokenizer.vocabulary_size,
        "bos": tokenizer.bos,
        "eos": tokenizer.eos,
        "pad": tokenizer.pad,
        "special": tokenizer.special_ids(),
        "lossless_on_hostile_texts": check_lossless(tokenizer, []),
    }
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
        return
    for name, value in facts.items():
        print(f"{name:<26} {value}")
