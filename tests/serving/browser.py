"""A headless Chromium, driven by its DevTools protocol over a pipe: JSON messages, each ended by a zero byte.

https://chromedevtools.github.io/devtools-protocol; nothing but the browser itself is needed.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_PATIENCE = 60.0
"""Seconds without a message after which a hanging browser fails the test; nothing waits for them otherwise."""
_START = """
import fcntl, os, sys
commands, events = (fcntl.fcntl(int(handle), fcntl.F_DUPFD_CLOEXEC, 10) for handle in sys.argv[1:3])
os.dup2(commands, 3)
os.dup2(events, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""The browser reads from handle 3 and writes to handle 4."""


def find_browser() -> str | None:
    """The program of a Chromium on this machine."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


class Browser:
    """One browser with one page. Clicks and keys are real events at real places: what is covered cannot be clicked."""

    def __init__(self, program: str, profile: Path, *, width: int = 1200, height: int = 800) -> None:
        inside_reads, self._to = os.pipe()
        self._from, inside_writes = os.pipe()
        options = [
            "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-first-run",
            "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions", "--disable-background-networking",
            "--disable-sync", "--disable-component-update", "--hide-scrollbars", "--force-color-profile=srgb",
            "--lang=en-GB", *(["--no-sandbox"] if os.geteuid() == 0 else []),
        ]  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, str(inside_reads), str(inside_writes), program, *options],
            pass_fds=(inside_reads, inside_writes),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(inside_reads)
        os.close(inside_writes)
        self._held, self._last, self._session = b"", 0, ""
        self.requested: list[str] = []
        """Every address that the page has asked for."""
        self.complaints: list[str] = []
        """What its console says, and errors that nobody caught."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def close(self) -> None:
        """End the browser; what does not end by itself is ended."""
        try:
            self._session = ""
            self.call("Browser.close")
            self._process.wait(10)
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._to)
            os.close(self._from)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._last:
            self._note(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._held:
            if not select.select([self._from], [], [], _PATIENCE)[0]:
                raise TimeoutError(f"the browser has said nothing for {_PATIENCE:.0f} seconds")
            data = os.read(self._from, 1 << 16)
            if not data:
                raise RuntimeError("the browser has ended")
            self._held += data
        message, self._held = self._held.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        told = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requested.append(told["request"]["url"])
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(told["exceptionDetails"]))
            case "Log.entryAdded":
                self.complaints.append(told["entry"]["text"])
            case "Runtime.consoleAPICalled":
                self.complaints.append(json.dumps(told["args"]))

    # ---- what a user does

    def open(self, address: str) -> None:
        """Show this page."""
        self.call("Page.navigate", url=address)
        self.wait_for("document.readyState === 'complete'")

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        """Another size of the page, in CSS pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def prefer(self, **features: str) -> None:
        """Media features: prefer(prefers_color_scheme="dark")."""
        named = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", features=named)

    def click(self, selector: str) -> None:
        """Press the mouse in the middle of an element."""
        x, y = self.value(
            f"(() => {{ const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def fill(self, selector: str, text: str) -> None:
        """Text in place of what a field has."""
        self.click(selector)
        self.value("document.activeElement.select()")
        self.type(text)

    def type(self, text: str) -> None:
        """Text into what has the focus, as an input method gives it."""
        self.call("Input.insertText", text=text)

    def press(self, key: str, text: str = "") -> None:
        """One key, such as Enter (text "\\r") or Tab."""
        code = {"Enter": 13, "Tab": 9, "Escape": 27}[key]
        for kind in ("keyDown", "keyUp"):
            said = {"text": text} if kind == "keyDown" and text else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **said)

    # ---- what a user sees

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives in the page, promises awaited."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(f"{expression}: {json.dumps(found['exceptionDetails'])}")
        return found["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Until a JavaScript expression is true; a TimeoutError shows the page's text where it stays false."""
        look = f"const look = () => ({condition}) ? done(true) : setTimeout(look, 10); look();"
        limit = f"setTimeout(() => done(false), {_PATIENCE * 500:.0f});"
        if not self.value(f"new Promise((done) => {{ {look} {limit} }})"):
            raise TimeoutError(f"{condition} stayed false; the page says: {self.value('document.body.innerText')}")

    def picture(self, file: Path) -> None:
        """What is seen, as a PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
