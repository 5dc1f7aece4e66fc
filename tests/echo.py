# SPDX-License-Identifier: MIT
"""An echo server under test: started, looked at from outside by /proc, ended; and clients of it."""
import os
import re
import signal
import socket
import struct
import tempfile
import time
from pathlib import Path

from program import BUILD, TIMEOUT, environment, left_behind, open_files, run, session, start, until

SERVER = BUILD / "echo" / "echo-server"
SAN = os.environ.get("SAN", "")
OWN_THREADS = 3 if SAN == "thread" else 2  # for signals, the first one, and a sanitizer's
TICKS = os.sysconf("SC_CLK_TCK")


def forking():
    """Forked processes start a thread each: ThreadSanitizer wants to be asked."""
    return environment(TSAN_OPTIONS="die_after_fork=0")


def has_ipv6():
    """Whether loopback has ::1."""
    try:
        with socket.socket(socket.AF_INET6) as free:
            free.bind(("::1", 0))
    except OSError:
        return False
    return True


def models():
    """Every model of --list, and why this machine cannot run it, or None."""
    found = {}
    for line in run(SERVER, "--list").stdout.splitlines() if SERVER.exists() else []:
        missing = re.match(r" +not on this machine: (.*)", line)
        if missing:
            found[[*found][-1]] = missing[1]
        else:
            found[line.split()[0]] = None
    return found


class Server:
    """echo-server on a free port; a context in which it must end well."""

    def __init__(self, *arguments, preload=None, **options):
        self.out, self.err = (tempfile.TemporaryFile("w+", encoding="utf-8") for _ in range(2))
        self.process = start(SERVER, "--port", "0", *arguments, stdout=self.out, stderr=self.err,
                             env={**forking(), **({"LD_PRELOAD": str(preload)} if preload else {})}, **options)
        until(lambda: "\n" in self.printed() or self.process.poll() is not None, "first line")
        assert self.process.poll() is None, self.said()
        self.first = self.printed().splitlines()[0]
        host, port = re.search(r"listens on (\S+):(\d+)$", self.first).groups()
        self.address = host.strip("[]"), int(port)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is not None:
            return
        if kind:  # the test has failed already
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        else:
            self.end()

    @staticmethod
    def _text(file):
        return os.pread(file.fileno(), 1 << 20, 0).decode()

    def printed(self):
        return self._text(self.out)

    def said(self):
        return self._text(self.err)

    def await_end(self, complaint=""):
        """It ends with status 0, leaves no process behind, and prints nothing else to stderr."""
        try:
            self.process.wait(TIMEOUT)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
        status, said = self.process.returncode, re.sub(complaint, "", self.said())
        assert (status, said) == (0, ""), f"status {status}, said: {said}"
        assert not left_behind(self.process)

    def end(self, number=signal.SIGTERM, complaint=""):
        self.process.send_signal(number)
        self.await_end(complaint)

    # --- clients

    def connect(self, timeout=TIMEOUT, source=None):
        client = socket.socket()
        if source:
            client.bind((source, 0))
        client.settimeout(timeout)
        client.connect(self.address)
        return client

    # --- what /proc knows of it and of its processes

    def processes(self):
        """{pid: fields of stat} of its session."""
        return session(self.process.pid)

    def zombies(self):
        return [pid for pid, fields in self.processes().items() if fields[0] == "Z"]

    def children(self):
        return {pid for pid, fields in self.processes().items()
                if fields[0] != "Z" and int(fields[1]) == self.process.pid}

    def workers(self):
        return {pid for pid, fields in self.processes().items()
                if fields[0] != "Z" and pid != self.process.pid}

    def cpu_s(self):
        return sum(int(f[11]) + int(f[12]) for f in self.processes().values()) / TICKS

    def rss(self):
        """Bytes of its own: pages that it shares with its processes are counted once."""
        total = 0
        for pid in self.processes():
            try:
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += sum(map(int, re.findall(r"^Pss: +(\d+)", rollup, re.MULTILINE)))
        return total << 10

    def descriptors(self):
        return sum(len(open_files(pid)) for pid in self.processes())


def receive(client, length):
    """So many bytes, or those before the end."""
    got = bytearray(length)
    at = 0
    while at < length:
        n = client.recv_into(memoryview(got)[at:])
        if n == 0:
            break
        at += n
    return bytes(got[:at])


def receive_all(client):
    return b"".join(iter(lambda: client.recv(1 << 16), b""))


def echoes(client, message=b"hello"):
    client.sendall(message)
    assert receive(client, len(message)) == message


def reset(client):
    """Closes by RST, which leaves no TIME_WAIT."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def stuff(client):
    """Sends without reading until nothing is taken any more; returns the bytes sent."""
    client.setblocking(False)
    sent, last = 0, time.monotonic()
    while time.monotonic() - last < 0.2:
        try:
            sent += client.send(bytes(1 << 18))
            last = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)
    client.settimeout(TIMEOUT)
    return sent
