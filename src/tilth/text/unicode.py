"""What each code point is, as tables that kernels index: built from `unicodedata` at first use, then kept.

A table covers planes 0 to 3 (262,144 entries), which hold every letter and ideograph; code points above (tags,
private use) are class 0. The tables follow the Unicode version of the running Python.
"""

from __future__ import annotations

import functools
import string
import unicodedata

import numpy as np

SIZE = 0x40000

ALPHABETIC = 1  # general category L*: what str.isalpha says
NUMBER = 2  # category N*
MARK = 4  # category M*
SPACE = 8  # what str.isspace says
BREAK = 16  # where str.splitlines cuts
PUNCTUATION = 32  # a word made of these alone is no word for the Gopher rules
TERMINAL = 64  # ends a sentence, in any script (Unicode property Sentence_Terminal, nearly)
UPPER = 128
LOWER = 256
UNIT = 512  # stands alone as one unit of text: Han and kana
HAN = 1024
WIDE = 2048  # punctuation of Chinese and Japanese, full-width forms included
SYMBOL = 4096  # category S*
CUT = 8192  # punctuation that a word tokenizer takes off the ends of a word
TRADITIONAL = 16384  # Big5 has it, GB 2312 has not
SIMPLIFIED = 32768  # GB 2312 has it, Big5 has not

RARE = 1  # traits: a Han character that neither GB 2312 nor Big5 has among its frequent ones
FUNCTION = 2  # a Han character that is, or mostly is, a grammatical word
GARBLED = 4  # what stands in Chinese text that was decoded wrongly

# Grammatical characters of modern and classical Chinese in both scripts: particles, pronouns, prepositions,
# conjunctions, adverbs, auxiliaries. Prose is full of them, lists of names and keywords are not.
_FUNCTION = (
    "的了是在和不有这這为為以及与與也就都而他她它我你们們个個说說要可能于於被把从從向但又或如因所其之者此将將已没"
    "沒无無并並很更最着著让讓使由当當则則乃且矣焉哉乎何曰吾尔爾汝彼亦皆莫非未若虽雖即既遂故夫盖蓋至那哪什么麼吗嗎"
    "呢啊还還只再才却卻便应應该須须必每各另同给給按据據依凡除到对對会會"
)

# The punctuation that cc_net (Wenzek et al., 2020, arXiv:1911.00359) strips and that later pipelines took over; the
# full-width digit one is among it by an old slip, kept so that decisions agree.
_WEB_PUNCTUATION = "!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»"

# Sentence_Terminal characters outside ASCII, with the full stops and danda of scripts that web pipelines know.
_TERMINAL = (
    "2047-2049 203C 203D 2E2E 2E3C 2E53 2E54 3002 FE52 FE56 FE57 FF01 FF0E FF1F FF61 0589 061D-061F 06D4 0700-0702 "
    "07F9 0837 0839 083D 083E 0964 0965 104A 104B 1362 1367 1368 166E 1735 1736 17D4-17D6 17D9 17DA 1803 1809 1944 "
    "1945 1AA8-1AAB 1B5A 1B5B 1B5E 1B5F 1B7D 1B7E 1C3B 1C3C 1C7E 1C7F A4FF A60E A60F A6F3 A6F7 A876 A877 A8CE A8CF "
    "A92F A9C8 A9C9 AA5D-AA5F AAF0 AAF1 ABEB 10A56 10A57 10F55-10F59 10F86-10F89 11047 11048 110BE-110C1 11141-11143 "
    "111C5 111C6 111CD 111DE 111DF 11238 11239 1123B 1123C 112A9 1144B 1144C 115C2 115C3 115C9-115D7 11641 11642 "
    "1173C-1173E 11944 11946 11A42 11A43 11A9B 11A9C 11C41 11C42 11EF7 11EF8 11F43 11F44 16A6E 16A6F 16AF5 16B37 16B38 "
    "16B44 16E98 1BC9F 1DA88"
)

# Quotes, brackets and separators of many scripts that are taken off a word one by one (beside ASCII punctuation).
_CUT = "…·¿؟¡。？！，、；：～।،۔؛٪”“`‘´’‚„»«「」『』（）〔〕【】《》〈〉⟦⟧—–"

_HAN = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF), (0x3005, 0x3007))
_KANA = ((0x3041, 0x3096), (0x309D, 0x309F), (0x30A1, 0x30FA), (0x30FC, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9D))


@functools.cache
def classes() -> np.ndarray:
    """uint16 [SIZE]: the bits above for every code point below SIZE."""
    table = np.zeros(SIZE, np.uint16)
    by_category = {"L": ALPHABETIC, "N": NUMBER, "M": MARK, "S": SYMBOL}
    for code in range(0x20000):  # planes 2 and 3 hold ideographs only
        character = chr(code)
        category = unicodedata.category(character)
        bits = by_category.get(category[0], 0)
        if category == "So":
            bits |= CUT
        if character.isupper():
            bits |= UPPER
        elif character.islower():
            bits |= LOWER
        if character.isspace():
            bits |= SPACE
        table[code] = bits
    for first, last in _HAN:
        table[first : last + 1] |= UNIT | HAN | ALPHABETIC
    for first, last in _KANA:
        table[first : last + 1] |= UNIT
    for first, last in ((0x3001, 0x3003), (0x3008, 0x3011), (0x3014, 0x301F), (0xFF01, 0xFF0F), (0xFF1A, 0xFF20)):
        table[first : last + 1] |= WIDE
    for text, bit in (
        ("，。、；：？！（）《》〈〉【】「」『』～．﹏", WIDE),
        ("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029", BREAK),
        (_WEB_PUNCTUATION, PUNCTUATION),
        (".?!", TERMINAL | PUNCTUATION),
        (_CUT + string.punctuation.translate(str.maketrans("", "", "$%+-./=@\\^|~")), CUT),
    ):
        for character in text:
            table[ord(character)] |= bit
    table[[*range(9), 11, 12, *range(13, 32), *range(127, 160)]] |= PUNCTUATION
    for span in _TERMINAL.split():
        low, _, high = span.partition("-")
        table[int(low, 16) : int(high or low, 16) + 1] |= TERMINAL | PUNCTUATION
    _mark_variants(table)
    table.flags.writeable = False
    return table


def _mark_variants(table: np.ndarray) -> None:
    """Tell simplified from traditional characters by the national character sets, which list one of the two."""
    ideographs = "".join(map(chr, range(0x4E00, 0xA000)))
    in_set = {}
    for charset in ("gb2312", "big5"):
        known = ideographs.encode(charset, "ignore").decode(charset)
        in_set[charset] = np.zeros(len(ideographs), bool)
        in_set[charset][[ord(c) - 0x4E00 for c in known]] = True
    table[0x4E00:0xA000][in_set["big5"] & ~in_set["gb2312"]] |= TRADITIONAL
    table[0x4E00:0xA000][in_set["gb2312"] & ~in_set["big5"]] |= SIMPLIFIED


@functools.cache
def traits() -> np.ndarray:
    """uint8 [SIZE]: RARE, FUNCTION and GARBLED for every code point below SIZE.

    The frequent characters are level 1 of both national sets (GB 2312-80: 3,755; Big5: 5,401). GARBLED are the
    replacement character, private use, C1 controls and the accented letters of Latin-1, which is what UTF-8 read as
    Latin-1 or Windows-1252 begins its characters with.
    """
    table = np.zeros(SIZE, np.uint8)
    for first, last in _HAN:
        table[first : last + 1] = RARE
    table[[0x3005, 0x3007]] = 0
    levels = (("gb2312", range(0xB0, 0xD8)), ("big5", range(0xA4, 0xC7)))
    for charset, leads in levels:
        pairs = b"".join(bytes((lead, trail)) for lead in leads for trail in (*range(0x40, 0x7F), *range(0xA1, 0xFF)))
        known = [ord(c) for c in pairs.decode(charset, "ignore") if ord(c) >= 0x3400]
        table[known] &= 0xFF ^ RARE
    table[[ord(c) for c in _FUNCTION]] = FUNCTION
    table[0x80:0xA0] = table[0xC0:0x100] = table[0xE000:0xF900] = table[0xFFFD] = GARBLED
    table[[0xD7, 0xF7]] = 0
    table.flags.writeable = False
    return table


@functools.cache
def lower() -> np.ndarray:
    """uint32 [SIZE]: the lower-case letter of every code point (the first one where lower-casing gives two)."""
    table = np.arange(SIZE, dtype=np.uint32)
    for code in range(0x20000):
        table[code] = ord(chr(code).lower()[0])
    table.flags.writeable = False
    return table


@functools.cache
def one_script() -> np.ndarray:
    """uint32 [SIZE]: as `lower`, and of a traditional Chinese character the simplified one, by OpenCC's tables for Hong
    Kong (衞), Taiwan (著) and in general.

    Character by character, so that 乾 and 幹 are 干 wherever they stand: no text to print, one to compare.
    """
    from opencc import OpenCC

    table = lower().copy()
    codes = [code for first, last in _HAN for code in range(first, last + 1)]
    text = "\n".join(map(chr, codes))
    for standard in ("hk2s", "tw2s", "t2s"):
        text = OpenCC(standard).convert(text)
    table[codes] = [*map(ord, text.split("\n"))]
    table.flags.writeable = False
    return table
