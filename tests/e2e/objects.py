"""Object storage on the loopback interface: moto for S3 and wsgidav for WebDAV, both from PyPI, each with what it holds to itself."""

import atexit
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.request

from bamtest import TOP

KEY, SECRET, BUCKET = "AKIAEXAMPLE", "a secret of S3", "backups"
# Evaluates what it is told, a line each, with clients that it keeps: to load Amazon's library takes half a second.
LIBRARY = """
import boto3, functools, json, sys
BUCKET = %r

@functools.lru_cache(maxsize=None)
def client_of(endpoint, key, secret, name):
    return boto3.client(name, endpoint_url=endpoint, region_name='us-east-1', aws_access_key_id=key, aws_secret_access_key=secret)

for line in sys.stdin:
    expression, endpoint, key, secret = json.loads(line)
    try:
        client, iam = client_of(endpoint, key, secret, 's3'), client_of(endpoint, key, secret, 'iam')
        told = {'value': eval(expression, {'BUCKET': BUCKET, 'client': client, 'iam': iam})}
    except Exception as error:
        told = {'error': repr(error)}
    print(json.dumps(told, default=str), flush=True)
""" % BUCKET


@functools.lru_cache(maxsize=None)
def library(bin):
    """Amazon's own library, in a process of its own, for all tests of this one."""
    process = subprocess.Popen([os.path.join(bin, "python3"), "-c", LIBRARY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    # It ends with its input.
    atexit.register(lambda: (process.stdin.close(), process.wait()))
    return process


def programs():
    """The folder that the servers' programs are in. Skips the test where they cannot be had."""
    found = subprocess.run([os.path.join(TOP, "tests/object-servers")], capture_output=True, text=True)
    if found.returncode:
        raise unittest.SkipTest(f"no servers of object storage: {found.stderr.strip()}")
    return found.stdout.strip()


class Server:
    """Runs until close()."""

    def __init__(self):
        self.bin = programs()
        self.top = tempfile.mkdtemp(prefix="bam-objects-")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = None
        self.start()

    def path(self, name):
        return os.path.join(self.top, name)

    def start(self):
        with open(self.path("log"), "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.top, start_new_session=True)
        last = time.monotonic() + 120
        while True:
            with socket.socket() as there:
                if not there.connect_ex(("127.0.0.1", self.port)):
                    return
            if self.process.poll() is not None or time.monotonic() > last:
                raise RuntimeError(f"{self.command()[0]} did not start: {self.log()}")
            time.sleep(0.05)

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.top, ignore_errors=True)

    def log(self):
        with open(self.path("log"), errors="replace") as log:
            return log.read()


class S3(Server):
    """moto, looked into with Amazon's own library. It asks for keys, signatures and what is allowed from `allow` on; not for
    signatures of listings, where it takes a slash that is written out for another address than S3 does."""

    def command(self):
        start = ("from moto.iam.access_control import IAMRequestBase as Asked\ncheck = Asked.check_signature\n"
                 "Asked.check_signature = lambda self: 'list-type=2' in self._path or check(self)\n"
                 f"from moto.server import main\nmain(['-H', '127.0.0.1', '-p', '{self.port}'])\n")
        return [os.path.join(self.bin, "python3"), "-c", start]

    def allow(self, *actions):
        """A key and its secret, which may do this and nothing else."""
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
        made = self.ask("[iam.create_user(UserName='bam')['User']['UserName'], "
                        f"iam.put_user_policy(UserName='bam', PolicyName='p', PolicyDocument={json.dumps(policy)!r}) and None, "
                        "iam.create_access_key(UserName='bam')['AccessKey']][2]")
        # From here on moto checks every request.
        request = urllib.request.Request(f"{self.endpoint}/moto-api/reset-auth", data=b"0", method="POST",
                                         headers={"Content-Type": "text/plain"})
        urllib.request.urlopen(request).close()
        return made["AccessKeyId"], made["SecretAccessKey"]

    def start(self):
        super().start()
        self.ask("client.create_bucket(Bucket=BUCKET)")

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def ask(self, expression, key=KEY, secret=SECRET):
        """The value of an expression about `client`, made with an S3 client that is not ours."""
        process = library(self.bin)
        process.stdin.write(json.dumps([expression, self.endpoint, key, secret]) + "\n")
        process.stdin.flush()
        told = json.loads(process.stdout.readline() or '{"error": "it has ended"}')
        if "error" in told:
            raise AssertionError(f"{expression}: {told['error']}")
        return told["value"]

    def keys(self):
        listed = "[o['Key'] for p in client.get_paginator('list_objects_v2').paginate(Bucket=BUCKET) for o in p.get('Contents', [])]"
        return sorted(self.ask(listed))

    def unfinished(self):
        return self.ask("[u['Key'] for u in client.list_multipart_uploads(Bucket=BUCKET).get('Uploads', [])]")

    def abandon(self):
        """Forgets what is not finished."""
        self.ask("[client.abort_multipart_upload(Bucket=BUCKET, Key=u['Key'], UploadId=u['UploadId']) and None "
                 "for u in client.list_multipart_uploads(Bucket=BUCKET).get('Uploads', [])]")

    def copy(self, bucket, to):
        """All of a bucket into another, which is made."""
        self.ask(f"[client.create_bucket(Bucket={to!r}) and None] + "
                 f"[client.copy_object(Bucket={to!r}, Key=o['Key'], CopySource={{'Bucket': {bucket!r}, 'Key': o['Key']}}) and None "
                 f"for p in client.get_paginator('list_objects_v2').paginate(Bucket={bucket!r}) for o in p.get('Contents', [])]")


class WebDav(Server):
    """wsgidav with a folder, which is looked into directly."""

    def __init__(self, folder=None):
        self.folder = folder
        super().__init__()

    def command(self):
        return [os.path.join(self.bin, "wsgidav"), "--config", self.path("config.yaml")]

    def start(self):
        self.folder = self.folder or self.path("shared")
        os.makedirs(self.folder, exist_ok=True)
        with open(self.path("config.yaml"), "w") as file:
            file.write(f"host: 127.0.0.1\nport: {self.port}\nprovider_mapping: {{'/': {self.folder}}}\n"
                       "http_authenticator: {accept_basic: true, accept_digest: false, default_to_digest: false}\n"
                       f"simple_dc: {{user_mapping: {{'*': {{{KEY}: {{password: '{SECRET}'}}}}}}}}\n"
                       "lock_storage: false\nproperty_manager: false\nlogging: {enable: true}\n")
        super().start()

    @property
    def url(self):
        return f"http://{KEY}@127.0.0.1:{self.port}"
