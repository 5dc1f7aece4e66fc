# SPDX-License-Identifier: MIT
"""Two hosts for GNU parallel, which are this one behind an sshd of the test's own."""
import contextlib
import os
import shutil
import signal
import socket
import subprocess

import pytest
from program import until

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
needs_hosts = pytest.mark.skipif(not (SSHD and shutil.which("ssh") and shutil.which("parallel")),
                                 reason="GNU parallel, ssh or sshd is missing")


def key(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@contextlib.contextmanager
def hosts(folder):
    """Two hosts, which are this one: one and two of folder/ssh, ssh's configuration, and of folder/hosts, a line each."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = key(folder / "own")
    (folder / "sshd").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nListenAddress 127.0.0.2\nHostKey {key(folder / 'host')}\nUsePAM no\n"
        f"AuthorizedKeysFile {own}.pub\nStrictModes no\nPidFile none\nPermitRootLogin yes\nAllowTcpForwarding no\n")
    (folder / "ssh").write_text(
        f"Host one\n  HostName 127.0.0.1\nHost two\n  HostName 127.0.0.2\nHost *\n  Port {port}\n  IdentityFile {own}\n"
        "  IdentitiesOnly yes\n  UserKnownHostsFile /dev/null\n  StrictHostKeyChecking no\n  LogLevel ERROR\n")
    (folder / "hosts").write_text("one\ntwo\n")
    server = [SSHD, "-D", "-e", "-f", folder / "sshd"]
    if os.geteuid() == 0:  # it wants an empty folder of that name, which only an installed service has
        mount = 'mount -t tmpfs none /run && mkdir /run/sshd && exec "$@"'
        server = ["unshare", "--mount", "sh", "-c", mount, "sh", *server]
    with subprocess.Popen(server, stderr=subprocess.PIPE, start_new_session=True) as process:
        try:
            until(lambda: subprocess.run(["ssh", "-F", folder / "ssh", "two", "true"], stderr=subprocess.DEVNULL,
                                         check=False).returncode == 0 or process.poll() is not None, "listen")
            if process.poll() is not None:
                pytest.skip(f"sshd does not start here: {process.stderr.read().decode().strip()}")
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
