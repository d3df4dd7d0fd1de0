"""A headless Chromium, driven through its DevTools protocol: just enough to use a page as a person does."""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any, cast

_PATIENCE_S = 60.0


class Tab:
    """One page."""

    def __init__(self, address: str) -> None:
        self._socket: Any = import_module("websocket").create_connection(address, timeout=_PATIENCE_S + 10)
        self._numbers = itertools.count(1)
        self.errors: list[str] = []
        """What scripts threw and did not catch."""
        self.ask("Runtime.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            said = json.loads(self._socket.recv())
            if said.get("method") == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(said["params"]["exceptionDetails"])[:2000])
            if said.get("id") == number:
                assert "error" not in said, said
                return cast("dict[str, Any]", said["result"])

    def value(self, expression: str) -> Any:
        """What an expression of the page's script gives; a promise is waited for."""
        done = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, f"{expression}\n{json.dumps(done['exceptionDetails'])[:2000]}"
        return done["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """What it gives, as soon as that is something. Fails with what the page shows when it never is."""
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            with suppress(AssertionError):  # the page is changing under our feet
                if found := self.value(expression):
                    return found
            time.sleep(0.05)
        self.picture("never-came")
        raise AssertionError(f"{expression}\n{self.value('document.body?.innerText')}\n{self.errors}")

    def click(self, words: str) -> None:
        """The button (or tab) that says so, once it can be pressed."""
        says_so = f"b.innerText.trim().toUpperCase() === {json.dumps(words.upper())}"
        found = f"[...document.querySelectorAll('button')].find((b) => {says_so} && !b.disabled)"
        self.wait_for(f"!!{found}")
        self.value(f"{found}.click()")

    def choose(self, name: str, value: str) -> None:
        """Set a field of the form as typing would: React listens to events, and looks at what the element held."""
        self.wait_for(f"!!document.querySelector('[name={name}]')")
        self.value(
            f"""(() => {{
              const field = document.querySelector('[name={name}]');
              const held = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), 'value');
              held.set.call(field, {json.dumps(value)});
              field.dispatchEvent(new Event(field.tagName === 'SELECT' ? 'change' : 'input', {{bubbles: true}}));
              return field.value;
            }})()"""
        )

    def picture(self, name: str) -> None:
        """What it looks like, for a person: into the folder that PROOFLOAD_PICTURES names, if it does."""
        if folder := os.environ.get("PROOFLOAD_PICTURES"):
            taken = base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])
            (Path(folder) / f"{name}.png").write_bytes(taken)

    def close(self) -> None:
        self._socket.close()


@contextmanager
def browsing(program: str, url: str, profile: Path) -> Iterator[Tab]:
    """A tab that shows `url`. The browser ends with the block."""
    command = [
        *(program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions"),
        *(f"--user-data-dir={profile}", "--window-size=1280,1000", "--remote-debugging-port=0"),
        *("--remote-allow-origins=*", "--disable-background-networking", "about:blank"),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as browser:
        try:
            port = _debugging_port(cast("IO[str]", browser.stderr))
            opened = urllib.request.Request(f"http://127.0.0.1:{port}/json/new?{url}", method="PUT")
            with urllib.request.urlopen(opened, timeout=_PATIENCE_S) as answer:
                address = json.load(answer)["webSocketDebuggerUrl"]
            tab = Tab(address)
            try:
                yield tab
            finally:
                tab.close()
        finally:
            browser.kill()


def _debugging_port(said: IO[str]) -> int:
    until = time.monotonic() + _PATIENCE_S
    for line in said:
        found = re.search(r"DevTools listening on ws://127\.0\.0\.1:(\d+)/", line)
        if found:
            return int(found[1])
        assert time.monotonic() < until, line
    raise AssertionError("the browser ended before it could be talked to")
