"""What stands between bam and a server, and counts."""

import contextlib
import socket
import threading


class Relay:
    """Hands on what goes to and from a port of this machine, or a socket, and counts the bytes that come back. From
    `cut_after` bytes on, to and fro, every line is dropped, and so is each that is tried later."""

    def __init__(self, port, cut_after=None):
        self.port, self.came, self.lock = port, 0, threading.Lock()
        self.passed, self.cut_after = 0, cut_after
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.own = self.listening.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listening.accept()
                if isinstance(self.port, int):
                    far = socket.create_connection(("127.0.0.1", self.port))
                else:
                    far = socket.socket(socket.AF_UNIX)
                    far.connect(self.port)
                threading.Thread(target=self.carry, args=(near, far, False), daemon=True).start()
                threading.Thread(target=self.carry, args=(far, near, True), daemon=True).start()

    def carry(self, source, sink, back):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                with self.lock:
                    self.came += len(data) if back else 0
                    self.passed += len(data)
                    if self.cut_after is not None and self.passed > self.cut_after:
                        break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def counted(self, work):
        """What `work` gives, and the bytes that came for it."""
        with self.lock:
            before = self.came
        done = work()
        with self.lock:
            return done, self.came - before

    def close(self):
        self.listening.close()
