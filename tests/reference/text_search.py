"""Slow, obvious twins of the MinHash, n-gram, hash, flag and script kernels."""

from __future__ import annotations

import unicodedata

import numpy as np
from opencc import OpenCC
from tests.reference.text_words import units

MASK = (1 << 64) - 1
_SIMPLIFIED = [OpenCC(standard).convert for standard in ("hk2s", "tw2s", "t2s")]
PRIME, SEED = 0x9E3779B97F4A7C15, 0xCBF29CE484222325


def mix(value: int) -> int:
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def unit_hash(unit: str) -> int:
    value = SEED
    for character in unit:
        value = ((value ^ ord(character)) * PRIME) & MASK
    return mix(value)


def shingles(text: str, ngram: int) -> list[int]:
    """64-bit hashes of the n-grams of a text that has units."""
    hashes = [unit_hash(unit) for unit, _, _ in units(text)]
    grams = [hashes[i : i + ngram] for i in range(len(hashes) - ngram + 1)] or [hashes]
    result = []
    for gram in grams:
        value = 0
        for item in gram:
            value = (value * PRIME + item) & MASK
        result.append(mix(value))
    return result


def signature(text: str, hashes: int, ngram: int) -> list[int]:
    draws = np.random.Generator(np.random.PCG64(0x711711)).integers(0, 2**32, (3, hashes), np.uint32)
    draws[:2] |= 1
    a, b, c = draws.tolist()
    found = shingles(text, ngram)
    return [min((a[k] * (x & 0xFFFFFFFF) + b[k] * (x >> 32) + c[k]) & 0xFFFFFFFF for x in found) for k in range(hashes)]


def murmur3(data: bytes) -> tuple[int, int]:
    """MurmurHash3 x64 128, seed 0, after its description."""
    c1, c2 = 0x87C37B91114253D5, 0x4CF5AD432745937F

    def rotate(value: int, bits: int) -> int:
        return ((value << bits) | (value >> (64 - bits))) & MASK

    def finish(value: int) -> int:
        value = ((value ^ (value >> 33)) * 0xFF51AFD7ED558CCD) & MASK
        value = ((value ^ (value >> 33)) * 0xC4CEB9FE1A85EC53) & MASK
        return value ^ (value >> 33)

    h1 = h2 = 0
    whole = len(data) // 16 * 16
    for at in range(0, whole, 16):
        k1, k2 = int.from_bytes(data[at : at + 8], "little"), int.from_bytes(data[at + 8 : at + 16], "little")
        h1 ^= (rotate((k1 * c1) & MASK, 31) * c2) & MASK
        h1 = ((rotate(h1, 27) + h2) * 5 + 0x52DCE729) & MASK
        h2 ^= (rotate((k2 * c2) & MASK, 33) * c1) & MASK
        h2 = ((rotate(h2, 31) + h1) * 5 + 0x38495AB5) & MASK
    k1, k2 = int.from_bytes(data[whole : whole + 8], "little"), int.from_bytes(data[whole + 8 :], "little")
    h2 ^= (rotate((k2 * c2) & MASK, 33) * c1) & MASK
    h1 ^= (rotate((k1 * c1) & MASK, 31) * c2) & MASK
    h1, h2 = h1 ^ len(data), h2 ^ len(data)
    h1 = (h1 + h2) & MASK
    h2 = (h2 + h1) & MASK
    h1, h2 = finish(h1), finish(h2)
    h1 = (h1 + h2) & MASK
    return h1, (h2 + h1) & MASK


def hits(items: list[str], texts: list[str], words: int, characters: int) -> list[tuple[int, int, int, int, float]]:
    """(row, item, start, end, coverage) by comparing every n-gram with every place."""
    found = []
    for row, text in enumerate(texts):
        here = _one_script(units(text))
        document = [unit for unit, _, _ in here]
        for number, item in enumerate(items):
            wanted = [unit for unit, _, _ in _one_script(units(item))]
            chinese = 2 * sum(_alone(unit) for unit in wanted) > len(wanted)
            longest = characters if chinese else words
            n = min(longest, len(wanted))
            if 2 * n < longest or not n:
                continue
            spans, seen = grown(document, wanted, n, -(-n // 3))
            k = -(-n // 3)
            covered = {i + j for i in range(len(wanted) - k + 1) if tuple(wanted[i : i + k]) in seen for j in range(k)}
            found += [(row, number, here[low][1], here[high - 1][2], len(covered) / len(wanted)) for low, high in spans]
    return found


def _one_script(found: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """With simplified characters for traditional ones, each alone: words of several characters have none."""
    return [(_simplified(unit) if len(unit) == 1 else unit, start, end) for unit, start, end in found]


def _simplified(character: str) -> str:
    for convert in _SIMPLIFIED:
        character = convert(character)
    return character


def grown(document: list[str], item: list[str], n: int, k: int) -> tuple[list[list[int]], set[tuple[str, ...]]]:
    """Spans of units around the item's n-grams, grown over its k-grams as long as any is within n units; and those."""

    def grams(of: list[str], size: int) -> list[tuple[str, ...]]:
        return [tuple(of[i : i + size]) for i in range(len(of) - size + 1)]

    whole, parts = set(grams(item, n)), set(grams(item, k))
    shared = [(at, gram) for at, gram in enumerate(grams(document, k)) if gram in parts]
    spans: list[list[int]] = []
    seen = set()
    for first, gram in enumerate(grams(document, n)):
        if gram not in whole:
            continue
        low, high, before = first, first + n, None
        while before != (low, high):
            before = low, high
            near = [(at, part) for at, part in shared if at - high <= n and low - (at + k) <= n]
            seen |= {part for _, part in near}
            low, high = min([low, *(at for at, _ in near)]), max([high, *(at + k for at, _ in near)])
        if spans and low <= spans[-1][1]:
            spans[-1][1] = max(high, spans[-1][1])
        else:
            spans.append([low, high])
    return spans, seen


def _alone(unit: str) -> bool:
    from tests.reference.text_words import has

    from tilth.text import unicode

    return has(unit[0], unicode.UNIT)


def may_need_repair(text: str) -> bool:
    """What the cheap test must never miss: controls, invisible characters, anything not in NFC."""
    controls = any(unicodedata.category(c) in ("Cc", "Cf") and c not in "\n\t" for c in text)
    return controls or "\ufffd" in text or unicodedata.normalize("NFC", text) != text


def script(character: str) -> str:
    """The script of a letter, by the first word of its name."""
    first = unicodedata.name(character, "").split(" ")[0].split("-")[0]
    return {"CJK": "han", "HIRAGANA": "kana", "KATAKANA": "kana"}.get(first, first.lower())
