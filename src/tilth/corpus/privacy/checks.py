"""Check digits and rules of issue: what tells a number that names somebody from any other number of its form."""

from __future__ import annotations

_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_TAIWAN_LETTERS = "ABCDEFGHJKLMNPQRSTUVXYWZIO"
"""The letter of a place, by its number from 10 on."""

IBAN_LENGTHS = {
    country: int(entry[2:])
    for entry in (
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
        "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 "
        "LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 "
        "PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 "
        "YE30"
    ).split()
    for country in (entry[:2],)
}
"""Characters of an IBAN, by country (SWIFT's IBAN registry)."""

_VOID_SSN = ("078051120", "219099999")
"""Numbers that were printed in advertisements and declared void by the Social Security Administration."""


def resident_id_holds(number: str) -> bool:
    """The check digit of an 18-digit Chinese resident id (GB 11643-1999, ISO 7064 MOD 11-2)."""
    total = sum(int(digit) * weight for digit, weight in zip(number[:17], _RESIDENT_WEIGHTS, strict=True))
    return "10X98765432"[total % 11] == number[17].upper()


def hong_kong_id_holds(letters: str, digits: str, check: str) -> bool:
    """The check digit of a Hong Kong identity card: one or two letters, six digits, and 0 to 9 or A."""
    values = [36 if letter == " " else ord(letter) - 55 for letter in letters.rjust(2)] + [int(d) for d in digits]
    total = sum(value * weight for value, weight in zip(values, range(9, 1, -1), strict=True))
    return (total + (10 if check == "A" else int(check))) % 11 == 0


def taiwan_id_holds(number: str) -> bool:
    """The check digit of a Taiwanese identity or residence number: a letter and nine digits."""
    place = _TAIWAN_LETTERS.index(number[0]) + 10
    values = [place // 10, place % 10, *(int(digit) for digit in number[1:])]
    weights = (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) % 10 == 0


def luhn_holds(digits: str) -> bool:
    """The check digit of bank cards (Luhn, ISO/IEC 7812-1 annex B)."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def iban_holds(number: str) -> bool:
    """Length by country and check digits of an IBAN without spaces (ISO 13616, ISO 7064 MOD 97-10)."""
    if IBAN_LENGTHS.get(number[:2].upper()) != len(number):
        return False
    return int("".join(str(int(character, 36)) for character in number[4:] + number[:4])) % 97 == 1


def ssn_issued(digits: str) -> bool:
    """Whether nine digits can be a social security number (no area 000, 666 or 900 to 999, no group 00, no serial 0000;
    20 CFR 422.103 and the randomisation of 2011) and are none of those that were declared void."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    whole = area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"
    return whole and digits not in _VOID_SSN
