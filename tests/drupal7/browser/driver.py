"""A real browser: Debian's Chromium, driven through chromedriver by the W3C's WebDriver protocol, which is JSON over HTTP."""

import atexit
import base64
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
# A hang is a failure. On a machine with nothing else to do nothing here takes a hundredth of it.
LIMIT = 600


def missing():
    """The program that is not there, or None."""
    return None if CHROMIUM and DRIVER else ("chromium" if not CHROMIUM else "chromium-driver")


_driver = None


def driver():
    """The running driver; the first caller starts it."""
    global _driver
    if _driver is None:
        top = tempfile.mkdtemp(prefix="bam-chromium-")
        atexit.register(shutil.rmtree, top, ignore_errors=True)
        _driver = Driver(top)
        atexit.register(_driver.close)
    return _driver


class WrongAnswer(Exception):
    """What the driver could not do."""


class Driver:
    """Runs until close(); each session() is a browser of its own, without cookies."""

    def __init__(self, top):
        self.top = top
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = open(os.path.join(top, "chromedriver.log"), "wb")
        self.process = subprocess.Popen([DRIVER, f"--port={self.port}"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        start_new_session=True, env={**os.environ, "HOME": top, "TMPDIR": top})
        last = time.monotonic() + 60
        while True:
            try:
                if self.ask("GET", "/status")["ready"]:
                    return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > last:
                    raise
            time.sleep(0.05)

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(answer, dict) and "error" in answer:
            raise WrongAnswer(f"{answer['error']}: {answer['message'].splitlines()[0]}")
        return answer

    def session(self, base, width=1100, height=900):
        options = {"binary": CHROMIUM, "args": [*FLAGS, f"--window-size={width},{height}"]}
        made = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}})
        return Page(self, f"/session/{made['sessionId']}", base)

    def close(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()


class Page:
    """What a person does with a browser. Places on a page are named by what is written there, or by CSS."""

    def __init__(self, driver, path, base):
        self.driver, self.path, self.base = driver, path, base

    def ask(self, method, path, body=None):
        return self.driver.ask(method, self.path + path, body)

    def go(self, path):
        self.ask("POST", "/url", {"url": path if path.startswith("http") else self.base + path})

    @property
    def url(self):
        return self.ask("GET", "/url")

    @property
    def text(self):
        """The page as one reads it, in one line."""
        return " ".join(self.run("return document.body ? document.body.innerText : ''").split())

    def run(self, script, *arguments):
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def find_all(self, css):
        return [found[ELEMENT] for found in self.ask("POST", "/elements", {"using": "css selector", "value": css})]

    def find(self, css):
        found = self.find_all(css)
        if not found:
            raise WrongAnswer(f"no {css} at {self.url}: {self.text[:3000]}")
        return found[0]

    def has(self, css):
        return bool(self.find_all(css))

    def click(self, words, where="a, button, input[type=submit], summary"):
        """Clicks on the link or button that says just this, the first that can be seen."""
        element = self.run(
            "var words = arguments[0]; return Array.prototype.filter.call(document.querySelectorAll(arguments[1]), function (e) {"
            "return (e.value || e.textContent).trim() === words && e.getClientRects().length; })[0] || null", words, where)
        if element is None:
            raise WrongAnswer(f"nothing to click on says {words!r} at {self.url}: {self.text[:3000]}")
        self.press(element[ELEMENT])

    def press(self, element):
        self.run("arguments[0].scrollIntoView({block: 'center'})", {ELEMENT: element})
        self.ask("POST", f"/element/{element}/click", {})

    def tick(self, css, on=True):
        element = self.find(css)
        if self.ask("GET", f"/element/{element}/selected") != on:
            self.press(element)

    def type(self, css, text):
        element = self.find(css)
        self.ask("POST", f"/element/{element}/clear", {})
        if text:
            self.ask("POST", f"/element/{element}/value", {"text": text})

    def choose_file(self, css, *paths):
        self.ask("POST", f"/element/{self.find(css)}/value", {"text": "\n".join(paths)})

    def choose(self, css, value):
        self.press(self.find(f'{css} option[value="{value}"]'))

    def keys(self, text):
        """Presses keys, one after the other, wherever the focus is."""
        presses = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": presses}]})

    def wait(self, condition, what="this"):
        """Waits until the page is as it should be; pages reload themselves meanwhile."""
        last = time.monotonic() + LIMIT
        while True:
            try:
                if condition():
                    return
            except WrongAnswer as passing:
                if not any(word in str(passing) for word in ("stale element", "no such", "javascript error", "detached", "aborted")):
                    raise
            if time.monotonic() > last:
                raise AssertionError(f"{what} never came to be at {self.url}: {self.text[:3000]}")
            time.sleep(0.1)

    def wait_for(self, words):
        self.wait(lambda: words in self.text, repr(words))

    def picture(self, path):
        """The whole page as a PNG."""
        width = self.run("return window.innerWidth")
        self.resize(width, 100)
        height = self.run("return document.documentElement.scrollHeight")
        self.ask("POST", "/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}})
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.ask("GET", "/screenshot")))
        self.ask("POST", "/goog/cdp/execute", {"cmd": "Emulation.clearDeviceMetricsOverride", "params": {}})

    def resize(self, width, height=900):
        """As a telephone has it: windows of desktops are never so narrow."""
        self.ask("POST", "/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}})

    def close_tab(self):
        """Closes the tab and opens another one, with the same cookies."""
        new = self.ask("POST", "/window/new", {"type": "tab"})["handle"]
        self.ask("DELETE", "/window")
        self.ask("POST", "/window", {"handle": new})

    def cookies(self):
        return {cookie["name"]: cookie["value"] for cookie in self.ask("GET", "/cookie")}

    def close(self):
        self.ask("DELETE", "")
