"""The chat page in a real browser, talking to the real server."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving.browser import Browser, find_browser
from tests.serving.helpers import parrot_server, server_process, wait_until

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

QUESTIONS = ["Hello, field! What grows here?", "你好，田里种了什么？"]
MARKUP = """<img src=x onerror="window.ran=1"><script>window.ran=1</script> & <b>"田"</b>"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        pytest.skip("there is no Chromium here to open the page with")
    browser = Browser(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def port(run: Path) -> Iterator[int]:
    with server_process(run) as (_, number):
        yield number


@pytest.fixture
def page(browser: Browser, port: int) -> Iterator[Browser]:
    """The page, freshly opened; it asks nobody but its server, and nothing in it fails."""
    visit(browser, port)
    yield browser
    browser.resize(1200, 800)
    assert {address.split("/")[2] for address in browser.requested} == {f"127.0.0.1:{port}"}
    assert browser.complaints == []


def visit(browser: Browser, port: int) -> None:
    browser.requested.clear()
    browser.complaints.clear()
    browser.open(f"http://127.0.0.1:{port}/")
    browser.wait_for("document.querySelectorAll('#model option').length > 0")


def ask(page: Browser, question: str, **settings: Any) -> None:
    if settings:
        page.click("#settings summary")
    for name, value in settings.items():
        page.fill(f"#{name}", str(value))
    page.click("#question")
    page.type(question)
    page.press("Enter", "\r")


def finished(page: Browser) -> None:
    page.wait_for("document.querySelector('#stop').hidden && !document.querySelector('.busy')")


def texts(page: Browser, selector: str) -> list[str]:
    """What stands in these elements."""
    return page.value(f"[...document.querySelectorAll('{selector}')].map((one) => one.textContent)")


def boxes(page: Browser, selector: str) -> list[tuple[float, float]]:
    return [
        tuple(corner)
        for corner in page.value(
            f"[...document.querySelectorAll('{selector}')].map((one) => one.getBoundingClientRect())"
            ".map((box) => [box.left, box.top])"
        )
    ]


def told(port: int, path: str, body: dict[str, Any] | None = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    kind = {"Content-Type": "application/json"}
    connection.request("POST" if body else "GET", path, json.dumps(body) if body else None, kind)
    return json.loads(connection.getresponse().read())


SETTINGS = {"temperature": 1, "topp": 0.9, "limit": 24, "seed": 7}
BODY = {"temperature": 1, "top_p": 0.9, "max_tokens": 24, "seed": 7}


def said_by(port: int, model: str, messages: list[str]) -> str:
    """What the server answers when it is asked without a browser."""
    if model == "base":
        answer = told(port, "/v1/completions", {"model": model, "prompt": messages[-1], **BODY})
        return answer["choices"][0]["text"]
    turns = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(messages)]
    answer = told(port, "/v1/chat/completions", {"model": model, "messages": turns, **BODY})
    return answer["choices"][0]["message"]["content"]


def test_a_conversation_in_two_languages(page: Browser, port: int) -> None:
    ask(page, QUESTIONS[1], **SETTINGS)
    finished(page)
    ask(page, QUESTIONS[0])
    finished(page)
    assert texts(page, ".user") == [QUESTIONS[1], QUESTIONS[0]]
    first = said_by(port, "dpo", [QUESTIONS[1]])
    second = said_by(port, "dpo", [QUESTIONS[1], first, QUESTIONS[0]])
    assert texts(page, ".answer .text") == [first, second]
    page.click("#language")
    assert page.value("document.documentElement.lang") == "zh"
    assert texts(page, "#send, #all") == ["并排比较", "发送"]
    assert len(texts(page, ".answer")) == 2


def test_every_stage_answers_side_by_side(page: Browser, port: int) -> None:
    page.click("#all")
    for number, question in enumerate(QUESTIONS, 1):
        ask(page, question, **SETTINGS)
        finished(page)
        assert texts(page, "h2") == ["base (continues texts)", "sft", "dpo"] * number
    base, sft, dpo = texts(page, ".answer .text")[:3]
    assert [base, sft, dpo] == [said_by(port, model, QUESTIONS[:1]) for model in ("base", "sft", "dpo")]
    assert all(texts(page, ".answer .text"))
    corners = boxes(page, ".answer")[:3]
    assert len({left for left, _ in corners}) == 3
    assert len({top for _, top in corners}) == 1, "the columns stand in one row"
    page.resize(390, 844, phone=True)
    corners = boxes(page, ".answer")[:3]
    assert len({left for left, _ in corners}) == 1, "one below the other on a phone"
    assert page.value("document.documentElement.scrollWidth") == 390


def test_an_answer_grows_and_can_be_stopped(page: Browser, port: int) -> None:
    length = "document.querySelector('.answer .text').textContent.length"
    ask(page, QUESTIONS[1], temperature=0, limit=100_000)
    page.wait_for(f"document.querySelector('.busy') && {length} > 50")
    page.wait_for(f"document.querySelector('.busy') && {length} > {page.value(length)}")
    page.click("#stop")
    finished(page)
    assert texts(page, ".answer .note") == ["stopped"]
    wait_until(lambda: told(port, "/health")["active"] == 0)
    assert page.value(length) > 50
    ask(page, QUESTIONS[0], limit=5)
    finished(page)
    assert len(texts(page, ".answer")) == 2


def test_enter_in_an_input_method_and_shift_enter_send_nothing(page: Browser) -> None:
    page.click("#question")
    page.call("Input.imeSetComposition", text="nihao", selectionStart=5, selectionEnd=5)
    page.call("Input.dispatchKeyEvent", type="keyDown", key="Process", windowsVirtualKeyCode=229)
    page.value("""document.querySelector("#question").dispatchEvent(
        new KeyboardEvent("keydown", {key: "Enter", isComposing: true, bubbles: true, cancelable: true}))""")
    page.type("你好")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", text="\r", windowsVirtualKeyCode=13, modifiers=8)
    page.type("世界")
    assert page.value("document.querySelector('#question').value") == "你好\n世界"
    assert texts(page, ".user") == []


def test_markup_is_text(browser: Browser, run: Path) -> None:
    with parrot_server(run / "models" / "sft", MARKUP) as port:
        visit(browser, port)
        ask(browser, MARKUP)
        finished(browser)
        assert texts(browser, ".user") == texts(browser, ".answer .text") == [MARKUP]
        assert browser.value("document.querySelectorAll('main img, main script, main b').length") == 0
        assert browser.value("window.ran === undefined")
        assert not any(address.endswith("/x") for address in browser.requested)
        assert browser.complaints == []


def test_nothing_typed_is_lost_when_the_server_goes_away(browser: Browser, run: Path) -> None:
    typed = "document.querySelector('#question').value"
    with server_process(run) as (server, port):
        visit(browser, port)
        ask(browser, QUESTIONS[1], temperature=0, limit=100_000)
        browser.wait_for("document.querySelector('.answer .text').textContent.length > 50")
        server.kill()
        finished(browser)
        (begun,) = texts(browser, ".answer .text")
        assert len(begun) > 50
        assert texts(browser, ".answer .wrong") == ["the connection was lost"]
    for _ in range(2):
        assert browser.value(typed) == QUESTIONS[1]
        browser.press("Enter", "\r")
        finished(browser)
        assert texts(browser, ".user") == [QUESTIONS[1]], "another try stands in place of the first"
        assert texts(browser, ".answer .wrong") == ["the connection was lost"]
    with parrot_server(run / "models" / "dpo", "我又回来了。", name="dpo", port=port):
        browser.click("#send")
        finished(browser)
        assert texts(browser, ".answer .text") == ["我又回来了。"]
        assert browser.value(typed) == ""


def test_a_page_without_its_models_says_so_and_tries_again(browser: Browser, port: int) -> None:
    browser.call("Network.setBlockedURLs", urls=["*/v1/models"])
    browser.open(f"http://127.0.0.1:{port}/")
    browser.wait_for("document.querySelector('#notice').textContent")
    ask(browser, QUESTIONS[0], limit=5)
    finished(browser)
    assert texts(browser, "#notice") == ["The server does not answer. Sending tries again."]
    assert browser.value("document.querySelector('#question').value") == QUESTIONS[0]
    browser.call("Network.setBlockedURLs", urls=[])
    browser.click("#send")
    finished(browser)
    assert len(texts(browser, ".answer .text")) == 1
    assert texts(browser, "#notice") == [""]
