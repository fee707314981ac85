"""English words that tokenizers treat specially: contractions, abbreviations with a full stop, units after a number.

The lists state facts of English spelling; together they let `tilth.text.words` find the same words as spaCy's English
tokenizer, which the FineWeb and Gopher filters of datatrove use, on almost all running text.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")  # Gopher's (arXiv:2112.11446, A.1.1)

SPECIAL = 1 << 20  # the entry is a special word, cut into the pieces below
UNIT_TAG = 1 << 21  # a unit of measurement: taken off a number
SIEVE_BITS = 16

_ABBREVIATIONS = (
    "Mt. Ak. Ala. Apr. Ariz. Ark. Aug. Calif. Colo. Conn. Dec. Del. Feb. Fla. Ga. Ia. Id. Ill. Ind. Jan. Jul. "
    "Jun. Kan. Kans. Ky. La. Mar. Mass. Mich. Minn. Miss. N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr. Nev. Nov. Oct. "
    "Okla. Ore. Pa. S.C. Sep. Sept. Tenn. Va. Wash. Wis. a.m. Adm. Bros. co. Co. Corp. D.C. Dr. e.g. E.g. E.G. "
    "Gen. Gov. i.e. I.e. I.E. Inc. Jr. Ltd. Md. Messrs. Mo. Mont. Mr. Mrs. Ms. p.m. Ph.D. Prof. Rep. Rev. Sen. "
    "St. vs. v.s. ä. ö. ü."
)
_WHOLE = (
    "and/or w/o o'clock O'clock ma'am Ma'am 'em 'll 'nuff 's 'S 're 'd 'cause 'Cause 'cos 'Cos 'coz 'Coz 'cuz "
    "'Cuz 'bout lovin' Lovin' havin' Havin' doin' Doin' goin' Goin' nothin' Nothin' nuthin' Nuthin' ol' Ol' "
    "somethin' Somethin' '' C++"
)
_EMOTICONS = (
    "(*_*) (-8 (-: (-; (-_-) (._.) (: (; (= (>_<) (^_^) (o: (¬_¬) (ಠ_ಠ) )-: ): -_- -__- ._. 0.0 0.o 0_0 0_o 8) 8-) 8-D "
    "8D :'( :') :'-( :'-) :( :(( :((( :() :) :)) :))) :* :-( :-(( :-((( :-) :-)) :-))) :-* :-/ :-0 :-3 :-> :-D :-O :-P "
    ":-X :-] :-o :-p :-x :-| :-} :/ :0 :1 :3 :> :D :O :P :X :] :o :o) :p :x :| :} ;) ;-) ;-D ;D ;_; <.< </3 <3 <33 "
    "<333 =( =) =/ =3 =D =[ =] =| >.< >.> >:( >:o @_@ O.O O.o O_O O_o V.V V_V XD XDD [-: [: [= ]= ^_^ ^__^ ^___^ o.0 "
    "o.O o.o o_0 o_O o_o v.v v_v xD xDD ಠ_ಠ ಠ︵ಠ"
)
_CUT = (  # the pieces, divided by |
    "y'|all y|all not|'ve not|ve Not|'ve Not|ve can|not Can|not gon|na Gon|na got|ta Got|ta let|'s Let|'s c'm|on "
    "C'm|on I|'m I|m i|'m i|m I|'m|a I|m|a i|'m|a i|m|a how|'d|'y How|'d|'y"
)
UNITS = (
    "km km² km³ m m² m³ dm dm² dm³ cm cm² cm³ mm mm² mm³ ha µm nm yd in ft kg g mg µg t lb oz m/s km/h kmh mph "
    "hPa Pa mbar mb MB kb KB gb GB tb TB T G M K %"
).split()
_NOT_SPECIAL = "ill Ill its Its hell Hell shell Shell shed Shed were Were well Well whore Whore"


class WordTable(NamedTuple):
    """An open-addressing table from the hash of a word to its entry.

    `keys` uint64 [slots] (0: free), `entries` uint32 [slots]: three pieces of 6 bits each (their characters) and tags.
    `sieve` uint64 [1024]: the bit that the upper SIEVE_BITS of a hash name is set where a word of the table has them.
    """

    keys: np.ndarray
    entries: np.ndarray
    sieve: np.ndarray


def special_words() -> dict[str, tuple[str, ...]]:
    """Every special word with its pieces."""
    cuts: list[tuple[str, ...]] = [tuple(item.split("|")) for item in _CUT.split()]

    def contract(words: str, *endings: str) -> None:
        for word in words.split():
            for spelled in (word, word.title()):
                for ending in endings:
                    pieces = tuple(ending.split("|"))
                    cuts.append((spelled, *pieces))
                    cuts.append((spelled, *(piece.replace("'", "") if piece != "n't" else "nt" for piece in pieces)))

    contract("i you he she it we they", "'ll", "'ll|'ve", "'d", "'d|'ve")
    contract("i you we they", "'ve")
    contract("you we they", "'re")
    contract("he she it", "'s")
    contract("who what when where why how there that this", "'s")
    contract("who what when where why how there that this these those", "'ll", "'ll|'ve", "'d", "'d|'ve")
    contract("who what when where why how there these those", "'re", "'ve")
    contract("ca could do does did had may might must need ought sha should wo would", "n't", "n't|'ve")
    contract("could might must should would", "'ve")
    contract("ai are is was were have has dare", "n't")
    cuts += [(str(hour), half) for hour in range(1, 13) for half in ("a.m.", "am", "p.m.", "pm")]
    cuts += [(word,) for word in (*_ABBREVIATIONS.split(), *_WHOLE.split(), *_EMOTICONS.split())]
    cuts += [("°", unit, ".") for unit in "CFKcfk"]
    cuts += [(word,) for word in ("‘s", "‘S", "\\n", "\\t", '\\")')]
    cuts += [(f"{letter}.",) for letter in "abcdefghijklmnopqrstuvwxyz"]
    words = {"".join(pieces): pieces for pieces in cuts}
    for word in _NOT_SPECIAL.split():
        words.pop(word, None)
    curly = {word.replace("'", "’"): tuple(p.replace("'", "’") for p in pieces) for word, pieces in words.items()}
    return words | curly


def shapes(words: Iterable[str]) -> np.ndarray:
    """int64 [2, 129]: how long the words are that begin with a character, and those that end with it: bit n stands for
    n characters. By ASCII characters, all others together.
    """
    found = np.zeros((2, 129), np.int64)
    for word in words:
        for row, character in zip(found, (word[0], word[-1]), strict=True):
            row[min(ord(character), 128)] |= 1 << len(word)
    return found


@functools.cache
def stop_words() -> np.ndarray:
    """uint64: the hashes of STOP_WORDS."""
    import pyarrow as pa

    from tilth.text.hashing import word_hashes

    return word_hashes(pa.array(STOP_WORDS, pa.large_string()))


@functools.cache
def word_table() -> WordTable:
    """The special words and the units of measurement, by their hashes."""
    import pyarrow as pa

    from tilth.text.hashing import word_hashes

    entries: dict[str, int] = {}
    for word, pieces in special_words().items():
        lengths = sum(len(piece) << (6 * i) for i, piece in enumerate(pieces))
        entries[word] = SPECIAL | lengths
    for unit in UNITS:
        entries[unit] = entries.get(unit, 0) | UNIT_TAG
    slots = 1 << (2 * len(entries)).bit_length()
    table = WordTable(np.zeros(slots, np.uint64), np.zeros(slots, np.uint32), np.zeros(1 << SIEVE_BITS - 6, np.uint64))
    for key, entry in zip(word_hashes(pa.array(list(entries), pa.large_string())), entries.values(), strict=True):
        slot = int(key) & (slots - 1)
        while table.keys[slot]:
            slot = (slot + 1) & (slots - 1)
        table.keys[slot], table.entries[slot] = key, entry
        bit = int(key) >> (64 - SIEVE_BITS)
        table.sieve[bit >> 6] |= np.uint64(1 << (bit & 63))
    return table
