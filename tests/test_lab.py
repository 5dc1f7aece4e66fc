# SPDX-License-Identifier: MIT
"""scripts/lab: hosts that reach each other and nothing else, late and slowly, and nothing is left of them."""
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import lab as labs
import pytest
from lab import SCRIPT
from program import environment, finish, left_behind, run, start

DELAY_S, RATE_BITS, BURST_BYTES = 0.02, 8_000_000, 4096
QUIET_S = 0.5  # for so long nothing comes: retransmissions of what is lost begin after 0.2 s

# Programs for hosts; the first prints its port and answers whatever comes.
ECHO = """
import socket
with socket.create_server(("", 0)) as server:
    print(server.getsockname()[1], flush=True)
    peer, _ = server.accept()
    while data := peer.recv(1):
        peer.sendall(data)
"""
TALK = """
import socket, sys
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])))
peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for line in sys.stdin:
    peer.sendall(b"x")
    print(peer.recv(1) == b"x", flush=True)
"""
ROUND_TRIPS = """
import socket, sys, time
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])))
for _ in range(5):
    begin = time.monotonic()
    peer.sendall(b"x")
    peer.recv(1)
    print(time.monotonic() - begin)
"""
CONNECT = """
import errno, socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])))
except OSError as error:
    print(errno.errorcode[error.errno])
"""
WAIT = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("begun", flush=True)
signal.sigwait({signal.SIGTERM})
print("ended")
"""
COUNT = """
import socket, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
    end.bind(("", 0))
    print(end.getsockname()[1], flush=True)
    count, last = 0, 0
    while data := end.recv(2000):
        if data == b"end":
            break
        count, last = count + len(data), time.monotonic()
print(count, last)
"""
FLOOD = """
import socket, sys, time
end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end.connect((sys.argv[1], int(sys.argv[2])))
begin = time.monotonic()
print(begin)
while time.monotonic() < begin + 0.5:
    end.send(bytes(1400))
while True:  # one of them arrives
    end.send(b"end")
    time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def lab():
    delay, rate = f"{DELAY_S * 1000:.0f}ms", f"{RATE_BITS // 1000}kbit"
    with labs.opened("--hosts", "3", "--delay", delay, "--rate", rate) as hosts:
        yield hosts


def python(lab, host, program, *arguments, **options):
    return lab.run(host, [sys.executable, "-c", program, *arguments], **options)


def first_line(process):
    return process.stdout.readline().strip()


def test_hosts_have_names_and_addresses(lab):
    assert lab.hosts == ["h1", "h2", "h3"]
    for host in lab.hosts:
        shown = finish(lab.run(host, ["getent", "hosts", *lab.hosts])).stdout
        assert [line.split() for line in shown.splitlines()] == [[lab.address(name), name] for name in lab.hosts]


@pytest.mark.parametrize("here, there", [("h1", "h3"), ("h2", "h1"), ("h2", "h2")])
def test_a_round_trip_takes_twice_the_delay(lab, here, there):
    server = python(lab, there, ECHO)
    ended = finish(python(lab, here, ROUND_TRIPS, there, first_line(server)))
    assert (ended.returncode, ended.stderr, finish(server).returncode) == (0, "", 0)
    times_s = [float(line) for line in ended.stdout.splitlines()]
    assert len(times_s) == 5 and (here == there or min(times_s) >= 2 * DELAY_S)


def test_no_way_out(lab):
    """Not to other networks, and not to the machine itself."""
    with socket.create_server(("127.0.0.1", 0)) as machine:
        for address, port, error in (("203.0.113.1", 9, "ENETUNREACH"),
                                     ("127.0.0.1", machine.getsockname()[1], "ECONNREFUSED")):
            assert finish(python(lab, "h1", CONNECT, address, str(port))).stdout == f"{error}\n"


def test_the_rate_is_kept(lab):
    """From the first byte sent to the last one received no more than the rate and the burst."""
    counter = python(lab, "h2", COUNT)
    flood = python(lab, "h1", FLOOD, "h2", first_line(counter))
    begin = float(first_line(flood))
    count, last = finish(counter).stdout.split()
    flood.kill()
    finish(flood)
    assert 0 < int(count) <= RATE_BITS / 8 * (float(last) - begin) + BURST_BYTES


def test_a_host_that_is_off_is_silent(lab):
    """Its peer gets neither an answer nor an error; when it is on again what was lost is sent again."""
    server = python(lab, "h3", ECHO)
    client = python(lab, "h1", TALK, "h3", first_line(server), stdin=subprocess.PIPE)

    def ask():
        client.stdin.write("\n")
        client.stdin.flush()

    ask()
    assert first_line(client) == "True"
    lab.off("h3")
    ask()
    assert not select.select([client.stdout, client.stderr], [], [], QUIET_S)[0]
    lab.on("h3")
    assert first_line(client) == "True"
    assert finish(client).returncode == finish(server).returncode == 0


def test_no_such_host(lab):
    for words in (["run", "h4", "true"], ["off", "h4"], ["on", "../h1"]):
        ended = run(SCRIPT, *words, env=environment(LAB_PID=str(lab.pid)))
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr == f"lab: there is no host '{words[1]}' (see --help)\n"


def test_ssh():
    """From one host to another, without a question."""
    with labs.opened("--ssh") as two:
        where = ["readlink", "/proc/self/ns/net"]
        ended = finish(two.run("h1", ["ssh", "-F", two.ssh_config, "h2", *where]))
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout == finish(two.run("h2", where)).stdout != finish(two.run("h1", where)).stdout


# --- how it ends ----------------------------------------------------------------------------------

def command(text, *options, **more):
    """scripts/lab with a shell's command."""
    return start(SCRIPT, *options, "--", "sh", "-c", text, **more)


def checked(ended):
    if ended.returncode == 77:
        pytest.skip(ended.stderr.strip())
    return ended


@pytest.mark.parametrize("text, status", [("exit 7", 7), ("kill -s KILL $$", 128 + signal.SIGKILL),
                                          ('"$LAB" run h2 sh -c "exit 5"', 5)])
def test_its_status_is_the_commands(text, status):
    ended = checked(finish(command(text)))
    assert (ended.returncode, ended.stderr) == (status, "")


def test_a_signal_is_passed_on():
    process = start(SCRIPT, "--", sys.executable, "-c", WAIT)
    if first_line(process):
        process.send_signal(signal.SIGTERM)
    ended = checked(finish(process))
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGTERM, "ended\n", "")


def namespaces():
    """The mount and network namespaces of all processes."""
    found = set()
    for kind in ("mnt", "net"):
        for link in Path("/proc").glob(f"[0-9]*/ns/{kind}"):
            try:
                found.add(os.readlink(link))
            except OSError:  # it has ended, or is not ours
                continue
    return found


@pytest.mark.parametrize("how", ["status", signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL],
                         ids=lambda how: getattr(how, "name", how))
def test_nothing_is_left(how, tmp_path):
    """No process of the command's either: in a session of its own, on another host, or in a namespace of its own."""
    def machine():
        return os.listdir("/sys/class/net"), os.path.exists("/run/lab"), Path("/etc/hosts").read_bytes()

    before = machine()
    process = command('"$LAB" run h2 sh -c "setsid sleep 1000 & readlink /proc/self/ns/net"\n'
                      "unshare -n setsid sleep 1000 & (trap '' INT TERM HUP; exec setsid sleep 1000) &\n"
                      "readlink /proc/self/ns/net /proc/self/ns/mnt; echo; "
                      + ("exit 3" if how == "status" else "exec sleep 1000"),  # a shell would say who was killed
                      env=environment(TMPDIR=str(tmp_path)))
    inside = list(iter(lambda: first_line(process), ""))
    if how != "status" and inside:
        process.send_signal(how)
    ended = checked(finish(process))  # until nobody has its output open
    assert (ended.returncode, ended.stderr) == (3 if how == "status" else -how, "")
    assert len(set(inside)) == 3 and not namespaces().intersection(inside)
    assert not left_behind(process) and machine() == before and not list(tmp_path.iterdir())


def test_a_user_makes_hosts():
    """Who is not root is so only there."""
    if os.geteuid() != 0:
        pytest.skip("all other tests are of it")
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    python3 = shutil.which("python3", path="/usr/bin:/bin")
    if not python3 or run("test", "-r", SCRIPT, **nobody).returncode:
        pytest.skip("no python3 that everybody may use, or no way to this folder")
    ended = checked(run(python3, SCRIPT, "--delay", "1ms", "--rate", "10mbit", "--", "sh", "-c",
                        'id -u; "$LAB" off h2; "$LAB" on h2; "$LAB" run h2 ip -br addr show dev eth0', **nobody))
    assert (ended.returncode, ended.stderr) == (0, "")
    user, card = ended.stdout.splitlines()
    assert user == "0" and "192.0.2.2/24" in card


def test_where_no_hosts_are_allowed():
    """One line, which says why, and status 77."""
    limits = "echo 0 >/proc/sys/user/max_net_namespaces && exec \"$@\""
    ended = run("unshare", "--user", "--map-root-user", "sh", "-c", limits, "sh", SCRIPT, "--", "true")
    if ended.returncode != 77 and "lab: " not in ended.stderr:
        pytest.skip(f"not even a user namespace: {ended.stderr.strip()}")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (77, "", 1)
    assert ended.stderr.startswith("lab: skipped: namespaces are not allowed here (")


# --- what it is asked -----------------------------------------------------------------------------

@pytest.mark.parametrize("words, says", [
    ([], "which command"), (["--"], "which command"), (["true"], "true"), (["--hosts", "1", "--", "true"], "--hosts"),
    (["--hosts", "33", "--", "true"], "--hosts"), (["--rate", "20", "--", "true"], "'20'"),
    (["--rate", "0mbit", "--", "true"], "--rate"), (["--rate", "101gbit", "--", "true"], "100 gbit"),
    (["--delay", "1h", "--", "true"], "--delay"), (["--delay", "61s", "--", "true"], "60 s"),
    (["--no-such", "--", "true"], "--no-such"), (["--", "no-such-command"], "no-such-command"),
    (["run"], "run"), (["run", "h1"], "run"), (["off"], "off"), (["on", "h1", "h2"], "on"),
    (["run", "h1", "true"], "LAB_PID"), (["off", "h1"], "LAB_PID")],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_bad_words_are_refused(words, says):
    ended = run(SCRIPT, *words)
    if "no-such-command" in words:
        checked(ended)  # only a host has it not
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert ended.stderr.startswith("lab: ") and says in ended.stderr


@pytest.mark.parametrize("pid", ["none", "-1", "999999999"])
def test_a_lab_that_is_not_there(pid):
    ended = run(SCRIPT, "run", "h1", "true", env=environment(LAB_PID=pid))
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert "LAB_PID" in ended.stderr or pid in ended.stderr
