"""Whether people who see little, or use no mouse, can use the pages: axe-core finds nothing that core's own pages don't have."""

import os
import subprocess

from browsersite import ANY, PAGES, BrowserTest, first_number

OURS = ["", "/backup", "/upload", "/places", "/places/add", "/places/manual/edit", "/places/manual/try", "/places/manual/export",
        "/schedules", "/schedules/add", "/profiles", "/profiles/add", "/profiles/default/edit", "/sources", "/sources/add", "/keys",
        "/settings", "/start", "/import", "/from", "/verify", "/replicate", "/drill", "/backups/{}/restore", "/backups/{}/verify",
        "/backups/{}/delete"]
# Lists, forms, confirmations and tables of core, in the same theme.
CORES = ["admin/config", "admin/config/system/site-information", "admin/content", "admin/people", "admin/people/create",
         "admin/structure/types", "admin/structure/block", "admin/config/media/image-styles", "admin/reports/dblog", "admin/modules",
         "admin/config/people/accounts", "admin/structure/taxonomy/add"]
CORE_RIGHTS = ["administer site configuration", "access content overview", "administer nodes", "administer users",
               "administer content types", "administer blocks", "administer image styles", "access site reports", "administer modules",
               "administer taxonomy"]
RUN = "var done = arguments[arguments.length - 1]; axe.run(document).then(function (r) { done(r.violations.map(function (v) {" \
      "return [v.id, v.help, v.nodes.map(function (n) { return n.html.slice(0, 200); })]; })); })"


def axe(top):
    """The script, taken from npm; None where that cannot be had."""
    try:
        subprocess.run(["npm", "install", "--silent", "--no-save", "--ignore-scripts", "--prefix", top, "axe-core@4"], check=True,
                       capture_output=True, timeout=300, cwd=top)
    except (OSError, subprocess.SubprocessError):
        return None
    with open(os.path.join(top, "node_modules/axe-core/axe.min.js"), encoding="utf-8") as file:
        return file.read()


class Accessible(BrowserTest):
    has_key = True

    def test_people_who_see_little_or_use_no_mouse_or_a_telephone_can_use_the_pages(self):
        page = self.person([*ANY, *CORE_RIGHTS])
        page.go(f"{PAGES}/backup")
        page.click("Back up everything now", "input")
        page.wait(lambda: "/job/" in page.url, "the page of the job")
        number = None
        for look in (self.axe_finds_nothing_that_pages_of_core_do_not_have, self.what_a_row_offers_is_reached_by_keys,
                     self.every_row_of_a_narrow_table_says_what_its_cells_are, self.narrow_pages_are_read_without_scrolling_sideways):
            with self.subTest(look.__name__):
                number = look(page, number) or number

    def axe_finds_nothing_that_pages_of_core_do_not_have(self, page, _):
        folder = os.path.join(self.top, "npm")
        os.mkdir(folder)
        script = axe(folder)
        if script is None:
            self.skipTest("axe-core cannot be had from npm")
        found = {"the page of a running job": self.look(page, script)}
        self.job_ends(page)
        found["the page of a job"] = self.look(page, script)
        known = set()
        for path in CORES:
            page.go(path)
            known |= {rule for rule, _, _ in self.look(page, script)}
        number = first_number(page)
        for path in OURS:
            page.go(PAGES + path.format(number))
            found[path] = self.look(page, script)
        page.go(f"{PAGES}/backups/{number}/restore")
        page.click("Show what would change", "input")
        page.wait_for("The name of the site")
        found["the question"] = self.look(page, script)
        ours = [(path, *violation) for path, violations in found.items() for violation in violations if violation[0] not in known]
        self.assertEqual(ours, [])
        return number

    def look(self, page, script):
        page.run(script)
        return page.ask("POST", "/execute/async", {"script": RUN, "args": []})

    def what_a_row_offers_is_reached_by_keys(self, page, _):
        page.go(f"{PAGES}/places")
        page.run("document.querySelector('.bam-table a').focus()")
        said = "return document.activeElement.textContent.trim()"
        seen = [page.run(said)]
        tab, enter = "\ue004", "\ue007"
        page.keys(tab)
        seen.append(page.run(said))
        page.keys(enter + tab)
        seen.append(page.run(said))
        self.assertEqual(seen, ["Edit", "More", "Try"])
        page.keys(enter)
        page.wait(lambda: "/try" in page.url, "the page of the place")

    def narrow_pages_are_read_without_scrolling_sideways(self, page, number):
        number = number or first_number(page)
        page.resize(375)
        self.assertEqual(page.run("return window.innerWidth"), 375)
        page.go(PAGES)
        self.assertEqual(page.run("return document.querySelector('meta[name=viewport]').content"), "width=device-width, initial-scale=1")
        covered = page.run("return Array.prototype.filter.call(document.querySelectorAll('ul.primary a'), function (e) {"
                           "var r = e.getBoundingClientRect(); var hit = document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2);"
                           "return !hit || !(e === hit || e.contains(hit)); }).map(function (e) { return e.textContent; })")
        self.assertEqual(covered, [], "tabs that cannot be touched")
        found = {}
        for path in OURS:
            page.go(PAGES + path.format(number))
            found[path] = page.run("return Array.prototype.filter.call(document.querySelectorAll('#content *, #page *'), function (e) {"
                                   "return e.getClientRects().length && e.getBoundingClientRect().right > window.innerWidth + 1 &&"
                                   "!e.closest('.element-invisible, .tabs, #branding, thead, details:not([open]) > ul'); }).slice(0, 3).map("
                                   "function (e) { return e.outerHTML.slice(0, 160) + ' ' + e.getBoundingClientRect().right; })")
        self.assertEqual({path: wide for path, wide in found.items() if wide}, {})

    def every_row_of_a_narrow_table_says_what_its_cells_are(self, page, _):
        page.resize(375)
        for path in ("/places", "/profiles", "/sources", "/schedules", "/start"):
            with self.subTest(path):
                page.go(PAGES + path)
                self.assertTrue(page.has(".bam-table td[data-label]") or path == "/schedules")
                bare = page.run("return Array.prototype.filter.call(document.querySelectorAll('.bam-table tbody td:not([colspan]):not(:empty)'), "
                                "function (e) { return !getComputedStyle(e, '::before').content.replace(/none|normal|\"/g, ''); })"
                                ".map(function (e) { return e.outerHTML; })")
                self.assertEqual(bare, [])
