"""Database servers that let everybody in, and then answer without end."""

import socketserver
import struct
import threading

GREETING = b"\x0a5.5.5-10.11.6-MariaDB\x00" + bytes(4) + b"abcdefgh\x00\xff\xf7\x08\x02\x00\xff\x80\x15" + bytes(10) + \
    b"ijklmnopqrst\x00mysql_native_password\x00"
OK = b"\0\0\0\x02\0\0\0"
END = b"\xfe\0\0\x02\0"
# How much of it is sent in one go.
MANY = 1 << 16


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True

    def __init__(self, handler, lie):
        super().__init__(("127.0.0.1", 0), handler)
        self.lie, self.asked = lie, 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def close(self):
        self.shutdown()
        self.server_close()


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            self.talk()
        except OSError:
            # It has hung up.
            pass

    def receive(self, length):
        got = b""
        while len(got) < length:
            more = self.request.recv(length - len(got))
            if not more:
                raise ConnectionError
            got += more
        return got

    def for_ever(self, what):
        """Until it hangs up."""
        what *= max(1, MANY // len(what))
        while True:
            self.request.sendall(what)


class Mysql(Handler):
    def talk(self):
        self.send(0, GREETING)
        self.packet()
        self.send(2, OK)
        while True:
            asked = self.packet()
            if asked[:1] == b"\x01":
                return
            if asked[:1] == b"\x03" and asked[1:].lstrip()[:4].upper() in (b"SELE", b"SHOW"):
                self.server.asked += 1
                self.answer()
            else:
                self.send(1, OK)

    def packet(self):
        length = self.receive(4)
        return self.receive(int.from_bytes(length[:3], "little"))

    def send(self, number, text):
        self.request.sendall(self.packed(number, text))

    def packed(self, number, text):
        return len(text).to_bytes(3, "little") + bytes([number % 256]) + text

    def answer(self):
        name = b"\x03def\0\0\0\x01a\0\x0c\x08\0\xff\xff\xff\0\xfd\0\0\0\0\0"
        self.request.sendall(self.packed(1, b"\x01") + self.packed(2, name) + self.packed(3, END))
        if self.server.lie == "rows":
            # Numbered from 0 to 255, over and over.
            rows = b"".join(self.packed(number + 4, b"\x09some text") for number in range(256))
            self.for_ever(rows)
        if self.server.lie == "long rows":
            for number in range(1 << 20):
                self.send(4 + number, b"\xfd" + (1 << 20).to_bytes(3, "little") + b"x" * (1 << 20))
        # One row of a gibibyte, in the longest packets that there are.
        for number in range(64):
            self.request.sendall(b"\xff\xff\xff" + bytes([4 + number]) + (b"\xfe" + (1 << 30).to_bytes(8, "little") if not number else b"x" * 9))
            self.request.sendall(b"x" * (0xffffff - 9))
        self.for_ever(b"x")


class Pgsql(Handler):
    def talk(self):
        while True:
            length, code = struct.unpack(">II", self.receive(8))
            self.receive(length - 8)
            if code not in (80877103, 80877104):
                break
            # Neither TLS nor GSSAPI.
            self.request.sendall(b"N")
        if self.server.lie == "greeting":
            self.for_ever(b"R" + struct.pack(">I", 1 << 30))
        if self.server.lie == "notices":
            self.for_ever(self.message(b"N", b"SWARNING\0C01000\0Mmuch\0\0"))
        self.request.sendall(self.message(b"R", bytes(4)) + b"".join(
            self.message(b"S", b"%s\0%s\0" % fact) for fact in ((b"server_version", b"15.0"), (b"client_encoding", b"UTF8"),
                                                              (b"standard_conforming_strings", b"on"))))
        while True:
            self.request.sendall(self.message(b"Z", b"I"))
            kind = self.receive(1)
            asked = self.receive(struct.unpack(">I", self.receive(4))[0] - 4)
            if kind == b"X":
                return
            if asked.lstrip()[:6].upper() == b"SELECT":
                self.server.asked += 1
                self.answer()
            self.request.sendall(self.message(b"C", b"SET\0"))

    def message(self, kind, body):
        return kind + struct.pack(">I", len(body) + 4) + body

    def answer(self):
        self.request.sendall(self.message(b"T", b"\0\x01a\0" + struct.pack(">IHIhih", 0, 0, 25, -1, -1, 0)))
        if self.server.lie == "rows":
            self.for_ever(self.message(b"D", b"\0\x01\0\0\0\x09some text"))
        # One row of a gibibyte.
        self.request.sendall(b"D" + struct.pack(">IHI", (1 << 30) - 1, 1, (1 << 30) - 11))
        self.for_ever(b"x")


MYSQL = ["rows", "long rows", "a long row"]
PGSQL = ["greeting", "notices", "rows", "a long row"]
