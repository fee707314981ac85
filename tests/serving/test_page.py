"""The chat page's script, run by Node on a document of plain objects: what of it can be tested without a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tilth import serving

PAGE = Path(serving.__file__).with_name("page.html")


def test_the_page_talks_escapes_and_compares() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node here to run the page's script")
    program = Path(__file__).with_name("page.js")
    done = subprocess.run([node, program, PAGE], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    seen, asked = told["seen"], told["asked"]
    assert "Ask something" in seen["empty"]
    assert seen["models"] == ["base (continues texts)", "sft"]
    assert seen["first"] == "Hello <i>|sft|<b>你好🙂</b>|ended at the limit"
    path, body = asked[0]
    assert path == "/v1/chat/completions"
    assert body["messages"] == [{"role": "user", "content": "Hello <i>"}]
    assert (body["model"], body["temperature"], body["top_p"], body["max_tokens"]) == ("sft", 0.5, 0.9, 20)
    assert [message["content"] for message in asked[1][1]["messages"]] == ["Hello <i>", "<b>你好🙂</b>", "再来"]
    assert seen["second"].startswith(seen["first"])
    assert seen["wrong"].endswith("the prompt is too long")
    assert seen["kept"] == "too long"
    columns = [
        "base (continues texts)",
        " grew well",
        "ended at the limit",
        "sft",
        "<b>你好🙂</b>",
        "ended at the limit",
    ]
    assert seen["both"].split("|") == ["The field", *columns]
    assert [path for path, _ in asked[3:]] == ["/v1/completions", "/v1/chat/completions"]
    assert asked[3][1]["prompt"] == "The field"
    assert seen["chinese"] == "你的消息"
    assert "并排" in seen["fresh"]


def test_the_page_has_every_word_in_both_languages() -> None:
    page = PAGE.read_text(encoding="utf-8")
    words = [page.split(f"\n  {language}: {{")[1].split("\n  }")[0] for language in ("en", "zh")]
    english, chinese = (set(re.findall(r'(\w+): "', part)) for part in words)
    assert english == chinese
    assert set(re.findall(r'data-say="(\w+)"', page)) <= english
    assert set(re.findall(r'word\("(\w+)"\)', page)) <= english
