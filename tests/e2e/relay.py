"""What stands between bam and a server, and counts."""

import contextlib
import socket
import threading


class Relay:
    """Hands on what goes to and from a port of this machine, and counts the bytes that come back."""

    def __init__(self, port):
        self.port, self.came, self.lock = port, 0, threading.Lock()
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.own = self.listening.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listening.accept()
                far = socket.create_connection(("127.0.0.1", self.port))
                threading.Thread(target=self.carry, args=(near, far, False), daemon=True).start()
                threading.Thread(target=self.carry, args=(far, near, True), daemon=True).start()

    def carry(self, source, sink, back):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if back:
                    with self.lock:
                        self.came += len(data)
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
