"""Text that breaks text programs, for hypothesis."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import strategies as st

PIECES = [
    "the", "The", "of", "and", "to", "be", "that", "have", "with", "cat", "Dogs", "don't", "Can’t", "it's", "Mr.",
    "U.S.", "e.g.", "a.m.", "10km", "50%", "$5", "5$.", "3.14", "1,000", "foo.Bar", "foo,bar", "well-known",
    "and/or", "x=y", "a--b", "http://a.com/b-c?d=e", "www.tilth.org", "me@host.org", "(see", "end).", "“quoted”",
    "'tis", "...", "....", "…", "……", "!?", "#", "##", "-", "•", "—", "--", "{", "}", "[1]", "[edit]",
    "[citation needed]", "lorem ipsum", "JavaScript", "use cookies", "今天", "天气", "很好", "，", "。", "！",
    "；", "【广告】", "用GPU训练", "繁體字", "国", "カタカナ", "ひらがな", "한국어", "привет", "مرحبا", "ไทย",
    "é", "e\u0301", "İ", "ß", "ﬁ", "Ⅷ", "²", "½", "😀", "👨\u200d👩\u200d👧", "🇨🇳", "𠀀", "\U000e0001",
    "\U0010ffff", "\ue000", " ", "  ", "\n", "\n\n", "\n \n", "\r\n", "\r", "\t", "\x00", "\x0b", "\x1c", "\x85",
    "\u2028", "\u3000", "\ufeff", "\u200a", "\u200b", "\ufffd", ". ", ", ", "a", "b", "Z.", "x" * 70, "S", "12.", "+5",
    "A+", "C++", "0A$", "25º.", "°C.", "A$5.", "US$", "'im.", "of—.", "ends.  ...",
    ":)", "8)", "):", "him--Mr.", "a-goin'", "'em.", "Ã´", "can't)", "<3", ":-(", "~", "|", "\\",
]  # fmt: skip

text = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=60).map(" ".join),
    st.lists(st.sampled_from(["the cat sat. ", "天气好。", "the ", "cat ", "\n", "\n\n"]), max_size=60).map("".join),
)
texts = st.lists(text, max_size=5)


def array(items: list[str], slice_from: int = 0) -> pa.LargeStringArray:
    """A large_string array of the items, as a slice of a longer one."""
    return pa.array(["before"] * slice_from + items + ["after"] * slice_from, pa.large_string())[
        slice_from : slice_from + len(items)
    ]
