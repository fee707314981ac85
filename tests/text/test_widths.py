"""Full-width forms against NFKC, which knows them too."""

from __future__ import annotations

import unicodedata

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.text.hostile import array
from tilth.text import narrow

CHARACTERS = st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("０９ＡＺａｚ＠．－＋＿，：［a1号"))


@settings(deadline=None, max_examples=200)
@given(st.lists(st.text(CHARACTERS), max_size=4))
@example(["", "０", "Ａ", "ｚ", "＠", "．－＋＿", "［／：｀｛", "a１\U0001f600Ｂ．"])
def test_letters_digits_and_a_few_marks_become_ascii_in_their_places(items: list[str]) -> None:
    found = narrow(array(items, slice_from=1)).to_pylist()
    for text, other in zip(items, found, strict=True):
        wide = {c for c in text if "０" <= c <= "９" or "＠" <= c <= "Ｚ" or "ａ" <= c <= "ｚ"}
        narrowed = [unicodedata.normalize("NFKC", c) if c in wide or c in "．－＋＿" else c for c in text]
        assert other == ("".join(narrowed) if wide else text)
