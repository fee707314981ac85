"""Bits that say which personal data a place of a text may hold, and the words that its company is known by."""

from __future__ import annotations

AT, DOTS, COLONS, NUMBER, SSN, IBAN, LETTER, QQ, WECHAT, STREET, DOOR = (1 << bit for bit in range(11))
"""An e-mail address, an IPv4 and an IPv6 address, a number (phone, card, resident id, social security), one of social
security, an IBAN, an id that begins with a letter (Hong Kong, Taiwan), QQ and WeChat accounts, a number beside a
street, in a flat's or a box's name or behind `address`, a number behind a street (Chinese)."""
ALL_SIGNS = (1 << 11) - 1

CUES = {
    NUMBER: "pho tel cal mob cel fax dia wha tex rea ans mes 电 電 手 传 傳 致 拨 撥 联 聯",
    SSN: "ssn soc",
    QQ: "扣 加 群",
}
"""The first three bytes (lower case) of words in front of a number that say what it is; `qq` counts as well."""
CUES_BEHIND = "off fax mob cel hom wor"
STREETS = (
    "street st avenue ave road rd boulevard blvd lane ln drive dr court ct place pl square sq terrace crescent parkway "
    "pkwy highway hwy way gardens mews close rue quai allée chemin impasse"
)
"""What an English street's name ends with, and a French one begins with."""
NEAR = (
    "apt apartment suite ste unit flat aa ae ap box postbox postboks postfach u út utca útja tér str straße strasse "
    "platz weg allee ulice"
)
"""Directly in front of a number: flats, military post (`FPO AE 09123`), boxes, streets whose word stands last."""
FAR = (
    "address addresses live lives lived located reside resides residing rue avenue boulevard quai chaussée allée "
    "chemin via viale piazza piazzetta piazzale corso strada calle avda avenida av paseo plaza rua rúa praça travessa "
    "carrer camino ul ulica улица ул проспект λεωφόρος πλατεία οδός"
)
"""A few words in front of a number: cues, and streets whose word stands first."""
ENDINGS = "asse aße str latz weg llee vej veien vegen ägen atan gata gade katu ntie raat laan acht vegur ræti raut"
"""Endings of streets' names of one word; the last four bytes count."""
ROADS = "路 街 道 巷 弄 里 村 段 同 之"
"""What stands in front of a Chinese house number; the last two are the end of 胡同 and a sub-number's 之."""
