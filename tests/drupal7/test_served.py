"""Whether the web server hands out a folder: not every answer without it says that it does not."""

import functools
import http.server
import json
import os
import threading

from drupalsite import php
from modulesite import ModuleTest


class Site(http.server.SimpleHTTPRequestHandler):
    """Hands out the docroot, and answers for backups with what the test sets; for all of it where it is another server."""

    refuses, all_of_it = 404, False

    def do_GET(self):
        if self.all_of_it or self.path.endswith(".gz"):
            if not self.refuses:
                return super().do_GET()
            self.send_response(self.refuses)
            self.send_header("Location", "https://127.0.0.1:9/")
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


class Served(ModuleTest):
    def served(self, folder, **how):
        handler = type("Asked", (Site,), how)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=self.root)) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{server.server_port}"
            try:
                return json.loads(self.php(
                    f"$GLOBALS['base_url'] = $GLOBALS['base_root'] = {php(url)}; module_load_include('inc', 'bam', 'bam.served'); "
                    f"print json_encode(bam_served(DRUPAL_ROOT . '/{folder}'));"))
            finally:
                server.shutdown()

    def test_only_this_sites_own_server_in_good_health_proves_that_a_folder_is_closed(self):
        for refuses, all_of_it, sure in ((404, False, True), (403, False, True), (301, False, False), (503, False, False),
                                         (429, False, False), (404, True, False), (301, True, False)):
            with self.subTest(refuses=refuses, all_of_it=all_of_it):
                answer = self.served("backups", refuses=refuses, all_of_it=all_of_it)
                self.assertEqual(answer, {"url": None, "sure": sure})
        answer = self.served("backups", refuses=None)
        self.assertRegex(answer["url"], "/backups/$")
        self.assertFalse(os.path.exists(os.path.join(self.root, "backups")), "nothing is left of the questions")
