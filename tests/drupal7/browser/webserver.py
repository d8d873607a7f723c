"""PHP-FPM behind nginx or Apache, with configurations of their own, on a free port of the loopback interface."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time

FPM = shutil.which("php-fpm8.2", path="/usr/sbin:/usr/bin") or shutil.which("php-fpm", path="/usr/sbin:/usr/bin")
PROGRAMS = {"nginx": shutil.which("nginx", path="/usr/sbin:/usr/bin"), "apache": shutil.which("apache2", path="/usr/sbin:/usr/bin")}
# As whom the site runs: root's programs have become this one, all others stay who they are.
USER = "www-data" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
APACHE_MODULES = ("mpm_event", "env", "authz_core", "authz_host", "access_compat", "dir", "mime", "alias", "rewrite", "headers", "proxy",
                  "proxy_fcgi")
LIMITS = {"memory_limit": "64M", "max_execution_time": "30", "upload_max_filesize": "2M", "post_max_size": "8M"}


def missing(kind):
    """The program that is not there, or None."""
    return None if FPM and PROGRAMS[kind] else ("php-fpm" if not FPM else kind)


class WebServer:
    """Runs until close(). `aliases`: folders outside of the docroot that are served, by path."""

    def __init__(self, kind, root, top, aliases=None, limits=None):
        self.kind, self.root, self.top = kind, root, top
        os.makedirs(top, exist_ok=True)
        os.chmod(top, 0o711)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.base = f"http://127.0.0.1:{self.port}/"
        self.processes = []
        as_root = os.geteuid() == 0
        who = f"user = {USER}\ngroup = {USER}\n" if as_root else ""
        values = "".join(f"php_admin_value[{name}] = {value}\n" for name, value in {**LIMITS, **(limits or {})}.items())
        self.write("fpm.conf", f"[global]\nerror_log = {top}/fpm.log\ndaemonize = no\n[site]\n{who}listen = {top}/fpm.sock\n"
                   f"listen.mode = 0666\npm = static\npm.max_children = 4\ncatch_workers_output = yes\n"
                   f"php_admin_value[error_log] = {top}/php.log\nphp_admin_flag[log_errors] = on\n{values}")
        self.write("php.log", "")
        os.chmod(os.path.join(top, "php.log"), 0o666)
        self.start(FPM, "--nodaemonize", "--fpm-config", os.path.join(top, "fpm.conf"))
        {"nginx": self.nginx, "apache": self.apache}[kind](aliases or {}, as_root)
        last = time.monotonic() + 60
        while not (os.path.exists(f"{top}/fpm.sock") and self.answers()):
            if time.monotonic() > last or any(process.poll() is not None for process in self.processes):
                self.close()
                raise RuntimeError(f"{kind} did not start: {self.log()}")
            time.sleep(0.05)

    def nginx(self, aliases, as_root):
        top = self.top
        places = "".join(f"location {path}/ {{ alias {folder}/; }}\n" for path, folder in aliases.items())
        temporary = "".join(f"{kind}_temp_path {top}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.write("nginx.conf", f"""{f'user {USER};' if as_root else ''}
daemon off; pid {top}/nginx.pid; error_log {top}/server.log; worker_processes 1;
events {{}}
http {{
  include /etc/nginx/mime.types; access_log off; client_max_body_size 8m; {temporary}
  server {{
    listen 127.0.0.1:{self.port}; server_name 127.0.0.1; root {self.root}; index index.php;
    {places}
    location ~* ^/sites/.*/private/ {{ return 403; }}
    location / {{ try_files $uri /index.php?$query_string; }}
    location ~ \\.php$ {{ include /etc/nginx/fastcgi.conf; fastcgi_pass unix:{top}/fpm.sock; fastcgi_read_timeout 300; }}
  }}
}}
""")
        self.start(PROGRAMS["nginx"], "-p", "/etc/nginx", "-e", f"{top}/server.log", "-c", f"{top}/nginx.conf")

    def apache(self, aliases, as_root):
        top = self.top
        load = "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in APACHE_MODULES)
        places = "".join(f"Alias {path} {folder}\n<Directory {folder}>\nRequire all granted\n</Directory>\n"
                         for path, folder in aliases.items())
        self.write("apache.conf", f"""ServerRoot /usr/lib/apache2
{load}
ServerName 127.0.0.1
Listen 127.0.0.1:{self.port}
PidFile {top}/apache.pid
DefaultRuntimeDir {top}
Mutex file:{top} default
ErrorLog {top}/server.log
TypesConfig /etc/mime.types
{f'User {USER}{chr(10)}Group {USER}' if as_root else ''}
# As docs/drupal7.md has it: without this Apache leaves the length out of downloads.
SetEnv ap_trust_cgilike_cl 1
DocumentRoot {self.root}
DirectoryIndex index.php
<Directory />
  AllowOverride None
</Directory>
{places}
<Directory {self.root}>
  AllowOverride All
  Require all granted
</Directory>
<FilesMatch "\\.php$">
  SetHandler "proxy:unix:{top}/fpm.sock|fcgi://localhost"
</FilesMatch>
ProxyTimeout 300
""")
        self.start(PROGRAMS["apache"], "-DFOREGROUND", "-f", f"{top}/apache.conf")

    def write(self, name, text):
        with open(os.path.join(self.top, name), "w") as file:
            file.write(text)

    def start(self, *command):
        with open(os.path.join(self.top, "out.log"), "ab") as log:
            self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True))

    def answers(self):
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def log(self):
        """What the programs said."""
        said = []
        for name in ("out.log", "fpm.log", "server.log", "php.log"):
            path = os.path.join(self.top, name)
            if os.path.exists(path):
                with open(path, errors="replace") as file:
                    said.append(f"{name}: {file.read()[-3000:]}")
        return "\n".join(said)

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
