"""The real server on a real port, asked by OpenAI's own client."""

from __future__ import annotations

import http.client
import itertools
import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.serving.helpers import parrot_server, server_process, tokenizer, wait_until

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
openai = pytest.importorskip("openai")

QUESTIONS = ["Hello, field!", "你好，世界", "🙂🌾👩‍🌾", "Tell me about wheat 小麦.", "<|end|><|user|>"]


@pytest.fixture(scope="module")
def port(run: Path) -> Iterator[int]:
    """A server of the run's three models in a process of its own."""
    with server_process(run) as (_, number):
        yield number


@pytest.fixture(scope="module")
def client(port: int) -> Any:
    return openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0, timeout=60)


def request(port: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Plain HTTP, for what OpenAI's client would not send."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    data = body if isinstance(body, str | None) else json.dumps(body)
    connection.request(method, path, data, {"Content-Type": "application/json"})
    response = connection.getresponse()
    text = response.read().decode()
    return response.status, json.loads(text) if text.startswith(("{", "[")) else text


def chat(client: Any, question: str, **options: Any) -> Any:
    settings = {"model": "sft", "temperature": 1.0, "seed": 7, "max_tokens": 24} | options
    return client.chat.completions.create(messages=[{"role": "user", "content": question}], **settings)


def streamed(client: Any, question: str, **options: Any) -> tuple[str, str, list[str]]:
    pieces, reason = [], ""
    for chunk in chat(client, question, stream=True, **options):
        if chunk.choices:
            pieces.append(chunk.choices[0].delta.content or "")
            reason = chunk.choices[0].finish_reason or reason
    return "".join(pieces), reason, pieces


def test_models_and_health(client: Any, port: int) -> None:
    assert [model.id for model in client.models.list()] == ["base", "sft", "dpo"]
    assert client.models.retrieve("sft").id == "sft"
    status, health = request(port, "GET", "/health")
    assert (status, health["status"]) == (200, "ok")


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_stream_joins_to_the_whole_answer(client: Any, question: str) -> None:
    whole = chat(client, question)
    text, reason, pieces = streamed(client, question)
    assert text == whole.choices[0].message.content
    assert reason == whole.choices[0].finish_reason
    assert len(pieces) > 2
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    assert reason == "stop" or whole.usage.completion_tokens == 24


def test_the_answer_is_the_engines(client: Any, run: Path) -> None:
    from tilth.model import Sampling
    from tilth.serving.models import load_model
    from tilth.tokens.conversation import Turn

    model = load_model("sft", run / "models" / "sft")
    prompt = model.needs_chat().prompt([Turn("user", QUESTIONS[1])])
    asked = model.engine.submit(prompt, max_new=24, stop=model.needs_chat().stop, sampling=Sampling(1.0), seed=7)
    (result,) = model.engine.run([asked])
    answer = chat(client, QUESTIONS[1])
    assert answer.choices[0].message.content == model.tokenizer.decode(result.tokens)
    assert answer.usage.prompt_tokens == len(prompt)
    assert answer.usage.completion_tokens == len(result.tokens)


def test_many_at_once_are_answered_as_alone(client: Any) -> None:
    jobs = [
        (question, {"model": model, "temperature": heat, "seed": seed, "top_p": 0.9})
        for seed, question in enumerate(QUESTIONS)
        for model, heat in (("sft", 1.0), ("dpo", 0.7), ("sft", 0.0))
    ]
    alone = [streamed(client, question, **options)[0] for question, options in jobs]
    with ThreadPoolExecutor(len(jobs)) as pool:
        together = list(pool.map(lambda job: streamed(client, job[0], **job[1])[0], jobs))
    assert together == alone


def test_completions_continue_texts(client: Any) -> None:
    settings: dict[str, Any] = {"model": "base", "max_tokens": 12, "temperature": 0.8, "seed": 1}
    prompts = ["The field", "田里"]
    alone = [client.completions.create(prompt=prompt, **settings) for prompt in prompts]
    both = client.completions.create(prompt=prompts, **settings)
    assert [choice.text for choice in both.choices] == [answer.choices[0].text for answer in alone]
    assert both.usage.completion_tokens == sum(answer.usage.completion_tokens for answer in alone)
    texts = ["", ""]
    used = None
    for chunk in client.completions.create(
        prompt=prompts, stream=True, stream_options={"include_usage": True}, **settings
    ):
        for choice in chunk.choices:
            texts[choice.index] += choice.text
        used = chunk.usage or used
    assert texts == [choice.text for choice in both.choices]
    assert used.total_tokens == both.usage.total_tokens
    ids = client.completions.create(prompt=[5, 6, 7], **settings)
    assert ids.usage.prompt_tokens == 3


def test_stop_strings_end_the_answer(client: Any) -> None:
    free = chat(client, QUESTIONS[0], temperature=0).choices[0].message.content
    stop = free[len(free) // 2 :][:2]
    answer = chat(client, QUESTIONS[0], temperature=0, stop=stop).choices[0]
    assert answer.finish_reason == "stop"
    assert answer.message.content == free[: free.index(stop)]
    text, reason, _ = streamed(client, QUESTIONS[0], temperature=0, stop=["never", stop])
    assert (text, reason) == (free[: free.index(stop)], "stop")


def test_without_a_seed_answers_differ(client: Any) -> None:
    answers = {chat(client, QUESTIONS[0], seed=None, temperature=2.0).choices[0].message.content for _ in range(4)}
    assert len(answers) > 1


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("chat/completions", {"model": "stf", "messages": []}, 404, "did you mean 'sft'"),
        ("chat/completions", {"model": "sft", "messages": []}, 400, "nothing to answer"),
        ("chat/completions", {"model": "sft"}, 400, "'messages' is missing"),
        ("chat/completions", {"model": "sft", "messages": [{"role": "usr", "content": "x"}]}, 400, "'user'"),
        ("chat/completions", {"model": "sft", "messages": [{"role": "user", "content": 1}]}, 400, "expected text"),
        ("chat/completions", {"model": "base", "messages": [{"role": "user", "content": "x"}]}, 400, "no chat"),
        ("chat/completions", {"model": "sft", "messages": [{"role": "user", "content": "x" * 999}]}, 400, "context"),
        ("completions", {"model": "base", "prompt": "x", "temprature": 1}, 400, "temperature"),
        ("completions", {"model": "base", "prompt": "x", "n": 3}, 400, "request: n: this would change the answer"),
        ("completions", {"model": "base", "prompt": "x", "n": True}, 400, "leave it out, or give 1"),
        ("completions", {"model": "base", "prompt": "x", "echo": True}, 400, "request: echo: this would change"),
        ("completions", {"model": "base", "prompt": "x", "tools": []}, 400, "unknown setting 'tools'"),
        ("chat/completions", {"model": "sft", "tools": [{}]}, 400, "tools: this would change the answer and is not s"),
        ("chat/completions", {"model": "sft", "web_search_options": {}}, 400, "not supported (leave it out)"),
        ("chat/completions", {"model": "sft", "logit_bias": {"5": 1}}, 400, "logit_bias"),
        ("chat/completions", {"model": "sft", "response_format": {"type": "json_object"}}, 400, "response_format"),
        ("completions", {"model": "base", "prompt": "x", "max_tokens": 0}, 400, "max_tokens"),
        ("completions", {"model": "base", "prompt": "x", "temperature": -1}, 400, "temperature"),
        ("completions", {"model": "base", "prompt": [99999]}, 400, "vocabulary"),
        ("completions", {"model": "base", "prompt": []}, 400, "prompt"),
        ("completions", "{not json", 400, "not valid JSON"),
        ("completions", [1], 400, "JSON object"),
        ("embeddings", {}, 404, "Not Found"),
    ],
)  # fmt: skip
def test_bad_requests_are_told_in_openais_form(port: int, path: str, body: Any, status: int, says: str) -> None:
    found, answer = request(port, "POST", f"/v1/{path}", body)
    assert found == status
    assert set(answer) == {"error"}
    assert says in answer["error"]["message"]


def test_fields_that_change_nothing_are_accepted(client: Any) -> None:
    both: dict[str, Any] = {
        "n": 1,
        "frequency_penalty": 0,
        "presence_penalty": 0.0,
        "logit_bias": {},
        "logprobs": False,
        "user": "someone",
        "extra_body": {"metadata": {"why": "a test"}, "store": False, "safety_identifier": "x", "service_tier": "auto"},
    }
    talk: dict[str, Any] = {
        "response_format": {"type": "text"},
        "tools": [],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "top_logprobs": None,
        "modalities": ["text"],
        "verbosity": "medium",
    }
    assert chat(client, QUESTIONS[0], **both, **talk).choices == chat(client, QUESTIONS[0]).choices
    text: dict[str, Any] = {"model": "base", "prompt": "The field", "seed": 1}
    given = client.completions.create(**text, **both, best_of=1, echo=False, suffix="")
    assert given.choices == client.completions.create(**text).choices


def test_openais_client_raises_its_own_errors(client: Any) -> None:
    with pytest.raises(openai.NotFoundError):
        chat(client, "x", model="nowhere")
    with pytest.raises(openai.BadRequestError, match="context holds"):
        chat(client, "x" * 999)


def test_half_a_character_is_no_mistake(port: int) -> None:
    for path, key in (("completions", "prompt"), ("completions", "stop"), ("chat/completions", "messages")):
        said: Any = [{"role": "user", "content": "x\ud83d"}] if key == "messages" else "x\ud83d"
        body = {"model": "sft", "prompt": "x", "max_tokens": 3, key: said}
        if key == "messages":
            del body["prompt"]
        assert request(port, "POST", f"/v1/{path}", json.dumps(body))[0] == 200
    status, answer = request(port, "POST", "/v1/completions", json.dumps({"model": "\ud83d", "prompt": "x"}))
    assert (status, answer["error"]["code"]) == (404, "model_not_found")


def test_a_client_that_leaves_is_forgotten(client: Any, port: int) -> None:
    def active() -> int:
        return int(request(port, "GET", "/health")[1]["active"])

    stream = chat(client, QUESTIONS[0], stream=True, model="dpo", max_tokens=None, temperature=0)
    for _ in itertools.islice(stream, 300):
        pass
    assert active() == 1
    stream.close()
    wait_until(lambda: active() == 0)
    body = {"model": "dpo", "messages": [{"role": "user", "content": QUESTIONS[0]}], "temperature": 0}
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    wait_until(lambda: active() == 1)
    connection.close()
    wait_until(lambda: active() == 0)


def test_the_page_is_one_file(port: int) -> None:
    status, page = request(port, "GET", "/")
    assert status == 200
    assert page.startswith("<!doctype html>")
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


@pytest.mark.parametrize("text", ["The wheat grew. 小麦长得很好，农民高兴！", "🙂👩\u200d🌾🌾 ok 龘龘", "a\n\n  b\t田"])
def test_chinese_english_and_emoji_come_in_whole_characters(run: Path, text: str) -> None:
    """A model that says what we want, over a real connection: what it may not do is cut a character."""
    with parrot_server(run / "models" / "sft", text) as port:
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0, timeout=60)
        given, reason, pieces = streamed(client, "?", model=None, max_tokens=None, temperature=0)
        whole = chat(client, "?", model="parrot", max_tokens=None, temperature=0)
    assert given == whole.choices[0].message.content == text
    assert reason == whole.choices[0].finish_reason == "stop"
    assert len(pieces) > len(text) // 4
    assert not any("\ufffd" in piece for piece in pieces)
    assert whole.usage.completion_tokens == len(tokenizer().encode(text))


def test_ctrl_c_ends_the_answers_and_then_the_server(run: Path) -> None:
    with server_process(run / "model") as (server, number):
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{number}/v1", api_key="none", max_retries=0, timeout=60)
        stream = chat(client, QUESTIONS[0], model=None, stream=True, max_tokens=None, temperature=0)
        next(iter(stream))
        server.send_signal(signal.SIGINT)
        with pytest.raises(openai.APIError, match="the server is leaving"):
            for _ in stream:
                pass
        _, errors = server.communicate(timeout=60)
        assert (server.returncode, errors) == (0, "")


def test_a_failing_step_fails_its_requests_and_not_the_server(run: Path) -> None:
    from tilth.model import Sampling
    from tilth.serving.models import load_model
    from tilth.serving.worker import FAILED, Job, Piece, Worker

    model = load_model("sft", run / "models" / "sft")
    worker = Worker([model])
    worker.start()
    done, pieces = threading.Event(), list[Piece]()

    def deliver(piece: Piece) -> None:
        pieces.append(piece)
        if piece.reason:
            done.set()

    whole = model.engine.decoder.logits
    for broken in (True, False):
        model.engine.decoder.logits = None if broken else whole  # type: ignore[assignment, method-assign]
        done.clear()
        worker.submit(Job(model, [1, 2], 5, (), [], Sampling(), 0, deliver))
        assert done.wait(60)
        assert (pieces[-1].reason == FAILED) == broken
    worker.close()
