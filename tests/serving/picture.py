"""The picture of the chat page in docs/serving.md, of a finished run's models side by side:

.venv/bin/python -m tests.serving.picture runs/quickstart docs/images/chat.png
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.serving.browser import Browser, find_browser
from tests.serving.helpers import server_process

QUESTIONS = ["What is 27 + 45?", "小明有 12 本书，朋友又送来 9 本书。小明现在一共有多少本书？"]


def main(run: Path, picture: Path) -> None:
    """Ask the questions, the likeliest token each time, and keep what is seen."""
    program = find_browser()
    if program is None:
        sys.exit("there is no Chromium here")
    with server_process(run) as (_, port), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, Path(profile))
        browser.open(f"http://127.0.0.1:{port}/")
        browser.wait_for("document.querySelectorAll('#model option').length > 1")
        browser.click("#all")
        browser.click("#settings summary")
        browser.fill("#temperature", "0")
        browser.fill("#limit", "64")
        for question in QUESTIONS:
            browser.click("#question")
            browser.type(question)
            browser.press("Enter", "\r")
            browser.wait_for("document.querySelector('#stop').hidden && !document.querySelector('.busy')")
        picture.parent.mkdir(parents=True, exist_ok=True)
        browser.picture(picture)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
