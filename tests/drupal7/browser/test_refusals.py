"""Who may do what, in a browser that is logged in: forged forms, foreign tokens, editors, strangers, names that climb."""

from browsersite import PAGES, BrowserTest, first_number

PATHS = ["", "/backup", "/upload", "/places", "/places/add", "/schedules", "/schedules/add", "/profiles", "/profiles/add", "/sources",
         "/sources/add", "/keys", "/settings", "/start", "/import", "/verify", "/replicate", "/drill", "/places/manual/edit",
         "/places/manual/try", "/places/manual/export", "/profiles/default/edit", "/backups/{}/restore", "/backups/{}/verify",
         "/backups/{}/delete", "/backups/{}/download", "/backups/{}/sidecar", "/backups/{}/drill", "/from", "/from/{}", "/from/{}/x"]
EDITOR = ["access content", "create article content", "access administration pages", "view the administration theme"]
# For each place of a page that a name goes into.
# Browsers and servers resolve a bare ".." by themselves.
CLIMBERS = ["..%2f..%2f..%2f..%2fetc%2fpasswd", "..%5c..%5cwindows", "%2fetc%2fpasswd", "..%00", "a%00b"]
ASKED = ["/backups/{}/restore", "/backups/{}/download", "/backups/{}/delete", "/places/{}/edit", "/places/{}/try", "/places/{}/export",
         "/places/{}/delete", "/schedules/{}/edit", "/schedules/{}/run", "/profiles/{}/edit", "/sources/{}/edit", "/job/{}",
         "/job/{}/status", "/job/{}/cancel", "/job/{}/confirm", "/from/{}", "/from/{}/x"]
GET = "return fetch(arguments[0], {credentials: 'same-origin', redirect: 'manual'}).then(function (a) { return a.text().then(" \
      "function (t) { return [a.status, t]; }); })"


class Refusals(BrowserTest):
    has_key = True

    def test_strangers_editors_and_forgeries_get_nowhere(self):
        page = self.person()
        page.go(f"{PAGES}/backup")
        page.click("Back up everything now", "input")
        self.job_ends(page)
        number = first_number(page)
        stranger = self.session()
        editor = self.person(EDITOR)
        for who in (stranger, editor):
            who.go("")
            for path in PATHS:
                with self.subTest(path):
                    status, text = who.run(GET, f"/{PAGES}{path.format(number)}")
                    self.assertEqual(status, 403, text[:500])
        self.climb(page)
        self.forge(page, number)
        self.assertEqual(self.web.log().count("PHP "), 0, self.web.log())
        self.assertEqual(len(self.stored()), 1)

    def climb(self, page):
        page.go(PAGES)
        for path in ASKED:
            for name in CLIMBERS:
                with self.subTest(path.format(name)):
                    status, text = page.run(GET, f"/{PAGES}{path.format(name)}")
                    self.assertNotIn("root:x:", text)
                    # Some servers refuse such addresses by themselves; others make them those of pages further up.
                    self.assertIn(status, (200, 400, 403, 404), text[:500])
                    self.assertNotRegex(text, r'<form[^>]* id="bam-(?!filter)', path)
        for query in ("source=../../etc", "place=../x", "since=../x", "page=../x", "sort=../x&order=../y", "source[]=x"):
            with self.subTest(query):
                status, text = page.run(GET, f"/{PAGES}?{query}")
                self.assertEqual(status, 200)
                self.assertNotIn("rror message", text)
        for query in ("id=../../../x&offset=0", "id[]=x&offset[]=0", "id=0123456789abcdef&offset=../x"):
            with self.subTest(query):
                status, text = page.run("return fetch(arguments[0], {method: 'POST', body: 'x', credentials: 'same-origin'}).then("
                                        "function (a) { return a.text().then(function (t) { return [a.status, t]; }); })",
                                        f"/{PAGES}/upload/piece?{query}&token=x")
                self.assertEqual(status, 403, text[:500])

    def forge(self, page, number):
        other = self.person()
        other.go(f"{PAGES}/backups/{number}/delete")
        foreign = other.run("return document.querySelector('#bam-delete-form [name=form_token]').value")
        for token in ("forged", foreign, ""):
            with self.subTest(token):
                page.go(f"{PAGES}/backups/{number}/delete")
                page.run("document.querySelector('#bam-delete-form [name=form_token]').value = arguments[0]", token)
                page.click("Erase", "input")
                page.wait_for("outdated")
                self.assertNotIn("/job/", page.url)
