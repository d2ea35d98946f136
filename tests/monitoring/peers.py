# SPDX-License-Identifier: MIT
"""The two ends of connections: backends that can be told to misbehave, and clients that go on coming."""
import contextlib
import socket
import struct
import threading


def close_by_reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Backend:
    """Answers each message with a line: after a delay, or by a reset. It may stop and start again on its port."""

    def __init__(self):
        self.delay = 0.0
        self.resets = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self._ended = threading.Event()
        self._accept()

    def _accept(self):
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def _serve(self, listener):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection):
        with contextlib.suppress(OSError), connection:
            while connection.recv(4096):
                if self.resets:
                    close_by_reset(connection)
                    return
                if self.delay:
                    self._ended.wait(self.delay)
                connection.sendall(b"answer\n")

    def stop(self):
        """New connections are refused."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()

    def restart(self):
        host, port = self.address.split(":")
        self._listener = socket.create_server((host, int(port)))
        self._accept()


class Clients:
    """Come one after the other, some a second, until stopped; each asks once and takes what it gets."""

    def __init__(self, port, pause=0.1):
        self.answered = 0
        self._port = port
        self._pause = pause
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._come, daemon=True)
        self._thread.start()

    def _come(self):
        while not self._stopped.wait(self._pause):
            with contextlib.suppress(OSError):
                with socket.create_connection(("127.0.0.1", self._port), timeout=5) as client:
                    client.sendall(b"question\n")
                    self.answered += client.recv(4096) == b"answer\n"

    def stop(self):
        self._stopped.set()
        self._thread.join(10)


@contextlib.contextmanager
def kept_open(port, count):
    """So many connections, which ask once and stay."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            client.sendall(b"question\n")
        yield
