"""Boilerplate lines: page furniture that text extraction leaves behind, in English and Chinese.

The English list follows C4 (Raffel et al., 2020, arXiv:1910.10683, section 2.2), but asks for more than one word:
C4 drops every line with "javascript", which takes the sentences out of a JavaScript tutorial.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from tilth.base.errors import UserError
from tilth.corpus.document import texts_of
from tilth.corpus.settings import LinesSettings
from tilth.corpus.steps import Edit, EditLog, Place, edit_rows

if TYPE_CHECKING:
    import pyarrow as pa

_PATTERNS = {
    "javascript": (
        r"(?:enable|activate|turn on|requires?|disabled?|without) javascript"
        r"|javascript (?:is|has been|must be|seems to be) (?:disabled|enabled|required|turned off)"
        r"|browser does not support javascript|请(?:启用|开启|打开) ?javascript"
    ),
    "cookies": (
        r"(?:uses?|accept|by) cookies|use of cookies|cookie (?:policy|settings|notice|preferences|consent)"
        r"|本网站使用 ?cookies?"
    ),
    "placeholder": r"lorem ipsum dolor",
    "policy": (
        r"^\W*(?:(?:privacy policy|terms (?:of (?:use|service)|and conditions|& conditions)|all rights reserved"
        r"|contact us|about us|site ?map|skip to (?:main )?content|back to top)\W*)+$"
        r"|^(?:©|\(c\) |copyright\b).{0,100}all rights reserved\W*$"
        r"|by (?:signing up|subscribing|continuing|using this site),? you agree to"
    ),
    "subscribe": (
        r"(?:subscribe to|sign up for) (?:our|the) (?:\w+ )?newsletter"
        r"|^\W*(?:share|tweet|pin|e-?mail|print) (?:this|on (?:facebook|twitter|linkedin|pinterest|whatsapp))\W*$"
        r"|^\W*(?:click here|read more|continue reading|load more|show more|log in|sign in)\W*$"
    ),
    "版权": (
        r"^\W*(?:版权所有|©).{0,60}$|^.{0,40}(?:版权所有|保留所有权利|翻版必究)\W*$"
        r"|ICP[备证]\s*\d+号|公网安备\s*\d+"
    ),
    "转载": (
        r"(?:转载|轉載)(?:请|請)(?:注明|註明|联系)"
        r"|未经(?:本?[站网]|作者|书面)?(?:授权|许可|允许).{0,12}转载"
    ),
    "关注": (
        r"(?:扫码|扫描|长按|识别).{0,12}(?:二维码|关注)|(?:扫码|微信)(?:关注|添加)|关注.{0,12}(?:微信|公众号|官方微博)"
        r"|^\W*(?:点赞|分享到|一键三连).{0,20}$"
    ),
    "导航": (
        r"^\W*(?:上一[篇页章]|下一[篇页章]|返回(?:顶部|首页|目录|列表)|责任编辑|编辑|阅读原文|加载更多|查看更多|点击加载)"
        r"\s*(?:[:：].{0,60})?\W*$"
        r"|点击(?:此处|这里)?(?:查看|阅读|进入|下载)(?:更多|全文|原文|详情|大图)|登录后(?:查看|评论|下载|回复)"
    ),
}


class LinesStep(Edit):
    """Removes boilerplate lines with their line end. Only short lines are looked at; all removals are logged."""

    def __init__(self, name: str, settings: LinesSettings) -> None:
        super().__init__(name)
        self.settings = settings
        self._own = [_compile(pattern) for pattern in settings.patterns]
        self._kinds = [(kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _PATTERNS.items()]

    def edit(self, table: pa.Table) -> tuple[pa.Table, EditLog]:
        """Lines without any of the telling words are passed over by a vectorised test."""
        return edit_rows(table, self._suspects(texts_of(table)), self.clean)

    def _suspects(self, texts: pa.LargeStringArray) -> np.ndarray:
        """Rows with at least one boilerplate line."""
        import pyarrow as pa
        import pyarrow.compute as pc

        rows = np.arange(len(texts)) if self._own else np.flatnonzero(_matches(texts))
        lines = pc.split_pattern(texts.take(pa.array(rows)), pattern="\n")
        flat = lines.flatten()
        asked = (pc.utf8_length(flat).to_numpy() <= self.settings.longest) & (_matches(flat) | bool(self._own))
        places = np.flatnonzero(asked)
        found = [self._kind(line.strip()) is not None for line in flat.take(pa.array(places)).to_pylist()]
        return rows[np.unique(pc.list_parent_indices(lines).to_numpy()[places[np.array(found, bool)]])]

    def clean(self, text: str) -> tuple[str, list[Place]]:
        """The text without its boilerplate lines, and where they stood (with their line ends)."""
        pieces: list[str] = []
        places: list[Place] = []
        start = 0
        for line in text.split("\n"):
            end = min(start + len(line) + 1, len(text))
            kind = self._kind(line.strip()) if len(line) <= self.settings.longest else None
            if kind:
                places.append((kind, start, end))
            else:
                pieces.append(text[start:end])
            start = end
        return ("".join(pieces), places) if places else (text, [])

    def _kind(self, line: str) -> str | None:
        if not line:
            return None
        if any(pattern.search(line) for pattern in self._own):
            return "own"
        if _CODE.search(line):
            return None
        chinese = sum(1 for character in line if character >= "\u2e80") * 2 > len(line)
        if chinese and len(line) > _LONGEST_CHINESE:
            return None
        return next((kind for kind, pattern in self._kinds if pattern.search(line)), None)


_CODE = re.compile(r"[=;{}<>\\`]|^(?:[*#%\"']|//|--|/\*)")
"""What stands in source code and mark-up and hardly ever in page furniture: a line taken out would break a program."""
_LONGEST_CHINESE = 50
"""Characters; a longer line is a sentence that speaks of the thing."""

_WORDS = "|".join(
    (
        "javascript|cookies?|lorem ipsum|privacy policy|terms (?:of|and|&)|rights reserved|(?:contact|about) us",
        "site ?map|skip to|back to top|you agree to|newsletter|(?:share|tweet|pin|print|mail) (?:this|on)",
        "click here|read more|continue reading|(?:load|show) more|(?:log|sign) in",
        "版权所有|©|保留所有权利|翻版必究|ICP|公网安备|转载|轉載|扫码|扫描|长按|识别|微信|公众号|微博|点赞|分享到|一键三连",
        "上一[篇页章]|下一[篇页章]|返回|责任编辑|编辑|阅读原文|加载|查看更多|点击|登录后|未经",
    )
)
"""One of these stands in every line that a pattern takes: a fast test of whole documents."""


def _matches(texts: pa.LargeStringArray) -> np.ndarray:
    import pyarrow.compute as pc

    return pc.match_substring_regex(texts, _WORDS, ignore_case=True).to_numpy(zero_copy_only=False)


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UserError(f"corpus.lines.patterns: not a regular expression: {pattern!r} ({error})") from None
