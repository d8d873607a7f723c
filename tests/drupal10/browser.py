"""A visitor with a browser's cookies, who fills in forms."""

import html
import http.cookiejar
import re
import time
import urllib.error
import urllib.parse
import urllib.request

# A hang is a failure. Nothing here takes a tenth of it.
LIMIT = 300


class Visitor:
    def __init__(self, base):
        self.base = base
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        self.address = base

    def get(self, path, data=None):
        """The status, and the page; its address is kept."""
        try:
            with self.opener.open(urllib.parse.urljoin(self.base, path), data, timeout=LIMIT) as answer:
                self.address = answer.geturl()
                return answer.status, answer.read()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.read()

    def submit(self, path, button, fields=()):
        """Fills in a page's form that has a button of this name, and presses it. What is None is not ticked."""
        status, page = self.get(path)
        text = page.decode()
        assert status == 200, (status, text[:2000])
        form = next(form for form in re.findall(r"<form.*?</form>", text, re.S) if f'value="{button}"' in form)
        values = {}
        for tag in re.findall(r"<input[^>]*>", form):
            given = dict(re.findall(r'(\w+)="([^"]*)"', tag))
            kind, name = given.get("type"), html.unescape(given.get("name", ""))
            if kind == "submit" and html.unescape(given.get("value", "")) != button:
                continue
            if name and (kind not in ("checkbox", "radio") or " checked" in tag):
                values[name] = html.unescape(given.get("value", ""))
        for name, body in re.findall(r'<select[^>]*name="([^"]*)"[^>]*>(.*?)</select>', form, re.S):
            chosen = re.search(r'<option value="([^"]*)" selected', body) or re.search(r'<option value="([^"]*)"', body)
            values[name] = html.unescape(chosen.group(1)) if chosen else ""
        values.update(fields)
        values = {name: value for name, value in values.items() if value is not None}
        action = html.unescape(re.search(r'<form[^>]*action="([^"]*)"', form).group(1))
        return self.get(action, urllib.parse.urlencode(values).encode())

    def follow(self):
        """Waits for the end of the run whose page this is; its last page, as text."""
        job = self.address
        last = time.monotonic() + LIMIT
        while time.monotonic() < last:
            _, page = self.get(job)
            if b"bam-progress" not in page:
                return page.decode()
            time.sleep(0.1)
        raise AssertionError(f"{job} does not end")
