"""The forms of postal addresses outside China: street lines of many languages, boxes, military post, flats, towns.

A *line* is a street and a number, or what stands for it. A strong one is told by a street's word; a weak one, names
and a number, counts only in front of a flat or behind a cue such as `address:`. What is sure to belong to it joins it:
flats, and towns with a postcode or a country. Every part of a pattern is bounded, so that hostile text takes no longer
than other text; words that are much else beside (`Platz 4` is a rank, `u.` the German "and") need a flat or a town.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence


def _any(words: Sequence[str]) -> str:
    return f"(?:{'|'.join(map(re.escape, words))})"


_LETTERS = [chr(code) for code in (*range(0x41, 0x250), *range(0x370, 0x530), *range(0x1E00, 0x2000))]
_UPPER, _LOWER = "".join(filter(str.isupper, _LETTERS)), "".join(filter(str.islower, _LETTERS))
_LETTER = r"[^\W\d_\u2e80-\U0003ffff]"
_WORD = rf"[{_UPPER}]{_LETTER}{{0,19}}(?:['’\-]{_LETTER}{{1,15}}){{0,3}}"
_SMALL = (
    r"(?:d[aeiou]s?|de[lnr]|d[ae]ll[ae]|dei|degli|l[aeo]s?|el|van|het|von|zu[mr]?|am|im|an|auf|of|the|y|e|i|et|nad|na"
    r"|pod)"
)
_NAME = rf"(?:{_SMALL} ){{0,2}}(?:(?:[dl]|[a-z]{{0,3}}ll)['’])?{_WORD}"  # `D'Oak` is a word itself
_NAMES = rf"{_NAME}(?: {_NAME}){{0,3}}"
_FREE, _BEGIN, _END = r"(?<![\w.,/:\-$£€#])", r"(?<![\w.,/:\-$£€#+=])", r"(?![\w%°$£€]|[.,:/]\d|-\w)"
_HOUSE = rf"(?P<house>\d{{1,5}})(?:[A-Za-z]|[\-/]\d{{1,3}}[A-Za-z]?)?{_END}"

_ENGLISH_NAME = (
    rf"(?:[{_UPPER}][{_LOWER}]{{1,19}}(?:[A-Z][{_LOWER}]{{1,15}})?(?:['’][A-Za-z]{{1,9}})?|[A-Z]['’][A-Z][a-z]{{1,15}}"
    r"|\d{1,3}(?:st|nd|rd|th)|[NSEW]\.?|[NS][EW])"
)
_FULL = (
    "Street Avenue Road Boulevard Lane Drive Court Place Square Terrace Crescent Parkway Highway Way Gardens Mews"
).split()
_SHORT = "St Ave Rd Blvd Ln Dr Ct Pl Sq Pkwy Hwy".split()
_ENGLISH = re.compile(
    rf"{_FREE}(?P<house>\d{{1,5}})[A-Za-z]?(?:-\d{{1,4}})?(?P<name>(?: {_ENGLISH_NAME}){{1,4}} "
    rf"(?:{_any(_FULL)}\b|(?P<vague>Close)\b"
    rf"|{_any(_SHORT)}\b\.?+(?! ?(?!Apt|Suite|Ste|Unit|Flat|Floor|North|South|East|West)[A-Z][a-z])))"
    r"(?: (?:North|South|East|West|[NSEW]{1,2})\b\.?)?"
)
_COURT = re.compile(
    r" S\. Ct\.$"
    r"|(?:Supreme|District|Circuit|Superior|High|Federal|Crown|County|Appeals|First|Second|Third) (?:Court|Place)$"
)
_IBERIAN = "Calle Avda Avda. Avenida Rua Rúa Praça Travessa Carrer".split()  # house numbers beyond 1500 are common
_FRENCH_FIRST = "rue Rue avenue Avenue boulevard Boulevard quai Quai allée Allée chemin Chemin impasse Impasse".split()
_FIRST = (
    "rue Rue Via Viale Piazza Piazzale Piazzetta Corso Strada Av Av. Paseo Plaza Camino Chaussée Quai Allée Chemin "
    "Avenue Boulevard ul. Ul. ulica Ulica ул. Ул. улица Улица проспект Проспект Λεωφόρος Πλατεία Οδός"
).split()
_STREET_FIRST = re.compile(  # Rue de Virton 38, but also `Via Windows 10`, `Strada Statale 36`
    rf"(?<![\w\-'’])(?:(?P<iberian>{_any(_IBERIAN)})|(?P<vague>(?:Via|Strada)(?= [A-Z]))|{_any(_FIRST)}) "
    rf"(?:\d{{1,2}}\.? )?{_NAMES},? (?:n[°º.] ?)?{_HOUSE}"
)
_NUMBER_FIRST = re.compile(  # 12 bis, rue de la Paix
    rf"{_BEGIN}(?P<house>\d{{1,4}})(?: ?(?:bis|ter)|[A-D])?,? {_any(_FRENCH_FIRST)} {_NAMES}"
)
_ADJECTIVE = rf"[{_UPPER}][{_LOWER}]{{2,15}}er"  # Brucker, Berliner
_ENDINGS = (
    "straße strasse str. gasse allee katu ntie gatan gata gade vägen veien vegen vej straat laan gracht vegur "
    "stræti braut"
).split()
_VAGUE_ENDINGS = "platz weg".split()  # also `Parkplatz 12`, `Radweg 3`
_ENDING = re.compile(  # Hauptstrasse 31, but `Landstraße 1056` is a road, `Panzerbrigade 23` a brigade
    rf"(?<![\w\-])(?:{_ADJECTIVE} )?"
    r"(?!(?:Land|Bundes|Staats|Kreis|Reichs)stra(?:ss|ß)e|\w{0,20}(?:brig|Brig|Reneg)ade)"
    rf"[{_UPPER}]{_LETTER}{{2,24}}?(?:{_any(_ENDINGS)}|(?P<vague>{_any(_VAGUE_ENDINGS)})) {_HOUSE}"
)
_LAST = "út útja utca tér Str. Straße Strasse ulice".split()
_STREET_LAST = re.compile(  # Rákóczi út 13.
    rf"(?<![\w\-]){_NAME}(?: {_NAME}){{0,2}}(?: [{_LOWER}]{{3,12}})? (?:{_any(_LAST)}|(?P<vague>u\.)) {_HOUSE}"
)
_GERMAN_LAST = "Bundesstraße Bundesstrasse Platz Weg Allee".split()
_GERMAN = re.compile(rf"(?<![\w\-]){_ADJECTIVE} {_any(_GERMAN_LAST)} {_HOUSE}")  # `Platz 4` alone is a rank
_BOX = re.compile(r"(?<!\w)(?:(?i:P\.? ?O\.? Box)|Postbo(?:x|ks)|Postfach) \d{1,6}(?!\w)")

_GAP = r"(?:,? {1,2}| [/|•–\-] |[ ,]{0,2}(?:\r?\n[ \t>?|*#/]{0,8}){1,2}[ ,]{0,2})"
"""Between the parts of an address: a comma, the next line or the one after it, quoted or not."""
_FORCES = rf"{_GAP}[AFD]PO,? A[AEP],? \d{{5}}(?:-\d{{4}})?(?!\w)"
_MILITARY = re.compile(
    rf"(?<!\w)(?:(?:PSC|Unit|CMR) \d{{1,5}},? Box \d{{1,5}}|US[NSVCGH]{{1,3}} {_LETTER}{{2,20}}){_FORCES}",
    re.IGNORECASE,
)
_FLAT = (
    r"(?:(?i:Apt|Apartment|Suite|Ste|Unit|Flat|Room|Floor)\b\.? ?#?(?:[A-Za-z]?\d{1,5}[A-Za-z]?(?:-\d{1,4})?|[A-Z])"
    r"|# ?\d{1,5}[A-Z]?)(?!\w)"
)
_FLATS = re.compile(rf"(?:\.?{_GAP}{_FLAT}){{1,2}}")
_FLAT_BEHIND_WEAK = re.compile(r"(?i:\bapt\b\.?|\bapartment|\bsuite|\bste\b\.?) ?#?\d{2,5}[A-Za-z]?(?!\w)")
"""A flat that may stand behind a weak line."""
_PARTS = r"\d{1,5} (?:[^\W\d_]{1,20}['’.\-]{0,2} ?){1,5}(?<= )\d{1,4}[A-Za-z]?"
_WEAK_HOUSE = r"(?!(?:1[5-9]|20)\d\d\b)\d{1,5}[A-Za-z]?\.?"
_WEAK = rf"(?:\d{{1,5}},? )?{_NAMES},? {_WEAK_HOUSE}|{_WEAK_HOUSE},? {_NAMES}"
_BEFORE_FLAT = re.compile(rf"{_BEGIN}(?:{_WEAK}|{_PARTS}|{_NAMES} [{_LOWER}]{{1,5}}\.? {_WEAK_HOUSE}){_GAP}$")
_CUE = re.compile(
    r"(?i:\baddress(?:es)?(?:\s?:|[,?]? (?:[a-z]+ ){0,2}(?:is|are|was|with|at)\b(?:\s?:)?)"
    rf"|\b(?:live[sd]?|located|reside[sd]?|residing) at\b)\s{{1,3}}(?=\d|[{_UPPER}])"
)
_BEHIND_CUE = re.compile(
    r"(?!(?:Building|Chapter|Class|Floor|Gate|Hall|Highway|Interstate|Level|Line|Mile|Node|Number|Page|Pier|Port|Room"
    rf"|Route|Section|Table|Version|Windows)\b|\d+ [A-Z]{{1,4}}\b)(?:{_WEAK}){_END}"
    r"(?! (?:time|minute|hour|day|week|month|year)s\b)"
)

_COUNTRIES = (
    "Argentina, Australia, Austria, Belgium, Brazil, Bulgaria, Canada, Chile, China, Colombia, Croatia, Cyprus, "
    "Czechia, Czech Republic, Denmark, Deutschland, England, España, Estonia, Finland, France, Germany, Greece, "
    "Greenland, Hungary, Iceland, India, Indonesia, Ireland, Israel, Italia, Italy, Japan, Kenya, Latvia, "
    "Lithuania, Luxembourg, Malaysia, Malta, Mexico, Netherlands, New Zealand, Nigeria, Northern Ireland, Norway, "
    "Pakistan, Peru, Philippines, Poland, Polska, Portugal, Romania, Russia, Scotland, Serbia, Singapore, Slovakia, "
    "Slovenia, South Africa, South Korea, Spain, Suomi, Sverige, Sweden, Switzerland, Thailand, The Netherlands, "
    "Tunisia, Turkey, U.K., U.S.A., UK, USA, Ukraine, United Kingdom, United States, Uruguay, Venezuela, Vietnam, "
    "Wales, Österreich, Россия"
)
_COUNTRY = rf"(?:{_COUNTRIES.replace(', ', '|').replace('.', '[.]')})(?: \([^()\n]{{1,20}}\))?(?!\w)"
_PLACE = rf"(?:(?:St|Ste|Mt|Ft)\. )?{_NAMES}(?: \([^()\n]{{1,20}}\))?"
_POSTCODE = (
    r"(?:(?:[A-Z]{1,2}-)?(?!(?:1[5-9]|20)\d\d(?!\d))\d{4,6}(?:-\d{3,4})?|\d{3} \d{2}|\d{2}-\d{3}"
    r"|[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}|[A-Z]\d[A-Z] \d[A-Z]\d)(?![\w/]|[.,:\-]\d)"
)
_TOWN = re.compile(
    rf"(?:(?:{_GAP}{_PLACE}){{1,3}}?(?:{_GAP}[A-Z]{{1,3}})?{_GAP}{_POSTCODE}(?:{_GAP}{_COUNTRY})?"
    rf"|{_GAP}(?:[A-Z]{{2}},? \d{{5}}(?:-\d{{4}})?|[A-Z]{{1,2}}\d[A-Z\d]? \d[A-Z]{{2}})(?!\w)"
    rf"|{_GAP}{_POSTCODE}(?: [A-Z]{{2}})? {_PLACE}(?:{_GAP}{_COUNTRY})?"
    rf"|(?:{_GAP}{_PLACE}){{1,2}}?{_GAP}{_COUNTRY}(?:{_GAP}{_POSTCODE})?)"
)
_COUNTRY_BEHIND = re.compile(rf"{_GAP}{_COUNTRY}")
"""All that a line with its town may lack."""
_REGION = re.compile(rf"{_GAP}{_PLACE}{_GAP}[A-Z]{{2,3}}(?!\w)")
"""Only behind a flat: `GUÉRET LI`."""
_STATE = re.compile(r", [A-Z]{2} \d{5}")
_AMERICAN = re.compile(  # 5959 Staples, Corpus Christi, TX 78413
    rf"{_BEGIN}{_WEAK_HOUSE}(?: (?:{_ENGLISH_NAME}|{_WORD})\.?){{1,5}}(?:{_GAP}{_FLAT}){{0,2}}"
    rf"(?:,\s{{1,3}}|\s?\n\s{{0,8}}){_PLACE}, [A-Z]{{2}} \d{{5}}(?:-\d{{4}})?(?!\w)"
)
_CODE_TOWN = r"(?:(?:[A-Z]{1,2}-)\d{4,5}|\d{5}(?<!000)|\d{3} \d{2}|\d{2}-\d{3})"
_BEFORE_TOWN = re.compile(rf"(?:,|\n)[\s,]{{0,6}}{_CODE_TOWN} [{_UPPER}]")
_CONTINENTAL = re.compile(  # Seerose 1, CH-6204 Sempach; 12 place Bellecour, 69002 Lyon
    rf"(?:(?<![\w\-.]){_NAMES}\.? {_HOUSE}|{_BEGIN}\d{{1,4}}(?: ?(?:bis|ter))?,? (?:[{_LOWER}]{{3,12}} )?{_NAMES})"
    rf"(?:,\s{{1,3}}|\s?\n\s{{0,4}}){_CODE_TOWN} {_PLACE}"
)
_LEAD = re.compile(rf"{_FREE}(?!(?:1[5-9]|20)\d\d )\d{{1,5}} $")
"""A number in front of a line, which may be the house's."""
_LONGEST = 100
"""Characters of a line."""


_STREETS = (
    (_STREET_FIRST, [f"{word} " for word in _IBERIAN + _FIRST]),
    (_NUMBER_FIRST, [f" {word} " for word in _FRENCH_FIRST]),
    (_ENDING, [f"{word} " for word in _ENDINGS + _VAGUE_ENDINGS]),
    (_STREET_LAST, [f" {word} " for word in [*_LAST, "u."]]),
    (_GERMAN, [f" {word} " for word in _GERMAN_LAST]),
)
"""Patterns, and of each what no match is without: to look for that first is ten times as fast."""
_ENGLISH_HINTS = [f" {word}" for word in [*_FULL, "Close", *_SHORT]]
_FLAT_HINTS = "Apt apt APT partment PARTMENT Suite suite SUITE Ste ste STE".split()
_CUE_HINTS = "ddress DDRESS live Live LIVE located Located LOCATED resid Resid RESID".split()
_WITHOUT_STREET = (
    (_BOX, ["Box ", "box ", "BOX ", "Postboks ", "Postfach ", "Postbox "]),
    (_MILITARY, ["PO A", "PO, A", "po a", "po, a"]),
)


def western_addresses(text: str, core: int) -> list[tuple[int, int]]:
    """Start and end of each address, in rising order and without overlap."""
    found: list[tuple[int, int]] = []
    for start, end, sure, joins in sorted(_lines(text, core), key=lambda line: line[:2]):
        whole = _whole(text, core, start, end, sure, joins)
        if not whole:
            continue
        if found and whole[0] < found[-1][1]:
            whole = (found[-1][0], max(found.pop()[1], whole[1]))
        found.append(whole)
    return found


def _lines(text: str, core: int) -> Iterator[tuple[int, int, bool, re.Pattern[str]]]:
    """Start and end of each line, whether it counts alone (a vague word and a number that may be a year need more), and
    what may join it.
    """
    for match in _found(_ENGLISH, _ENGLISH_HINTS, text, core):
        if not _COURT.search(match["name"]):
            yield *match.span(), _is_sure(match), _TOWN
    for pattern, hints in _STREETS:
        for match in _found(pattern, hints, text, core):
            yield *match.span(), _is_sure(match), _TOWN
    for pattern, hints in _WITHOUT_STREET:
        for match in _found(pattern, hints, text, core):
            yield *match.span(), True, _TOWN
    for sign, pattern in (_STATE, _AMERICAN), (_BEFORE_TOWN, _CONTINENTAL):
        if sign.search(text, core):
            for match in pattern.finditer(text, core):
                yield *match.span(), True, _COUNTRY_BEHIND
    done = core
    for flat in _found(_FLAT_BEHIND_WEAK, _FLAT_HINTS, text, core):
        if line := _BEFORE_FLAT.search(text, max(done, flat.start() - _LONGEST), flat.start()):
            yield line.start(), flat.end(), True, _TOWN
        done = flat.end()  # no line holds another's flat
    for cue in _found(_CUE, _CUE_HINTS, text, core):
        if line := _BEHIND_CUE.match(text, cue.end()):
            yield *line.span(), True, _TOWN


def _found(pattern: re.Pattern[str], hints: Sequence[str], text: str, core: int) -> Iterator[re.Match[str]]:
    if any(hint in text for hint in hints):
        yield from pattern.finditer(text, core)


def _is_sure(match: re.Match[str]) -> bool:
    """Unlike `In 1929 Wall Street fell` and `Parkplatz 12`."""
    groups = match.groupdict()
    year = 1500 <= int(match["house"]) <= 2099 and not groups.get("iberian")
    return not year and not groups.get("vague")


def _whole(text: str, core: int, start: int, end: int, sure: bool, joins: re.Pattern[str]) -> tuple[int, int] | None:
    """The address that a line is part of."""
    if lead := _LEAD.search(text, max(core, start - 6), start):
        start = lead.start()
    alone = end
    if flats := _FLATS.match(text, end):
        end = flats.end()
    if town := joins.match(text, end) or (flats and _REGION.match(text, end)):
        end = town.end()
    return (start, end) if sure or end > alone else None
