# SPDX-License-Identifier: MIT
"""Machines that are not like this one: what cannot be measured there is skipped, with the reason.

Each is made of this one, by a network namespace, a mount namespace, an affinity or a seccomp filter.
"""
import os
import shutil
import sys
from pathlib import Path

import pytest
from program import BUILD, kind, parse, run, verdicts

SECCOMP = Path(__file__).with_name("seccomp.py")


def in_network(setup):
    return ["unshare", "--net", "sh", "-c", f'ip link set lo up && {setup} || exit 88; exec "$@"', "sh"]


def without(folder):
    return ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {folder} || exit 88; exec "$@"', "sh"]


def tcp_by(congestion):
    return in_network(f"sysctl -qw net.ipv4.tcp_congestion_control={congestion}")


MACHINES = {
    "reno": tcp_by("reno"),
    "cubic": tcp_by("cubic"),
    "bbr": tcp_by("bbr"),
    "frames": in_network("ip link set lo mtu 1500"),
    "no-ipv6": in_network("sysctl -qw net.ipv6.conf.all.disable_ipv6=1"),
    "no-sysctl": without("/proc/sys"),
    "no-sys": without("/sys"),
    "one-cpu": ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))],
    "container": [sys.executable, SECCOMP],
}


def measure(machine, name, *arguments):
    """The rows of a quick run there; its controls held."""
    program = BUILD / name
    if not program.exists():
        pytest.skip(f"{name} is not built")
    if not shutil.which(MACHINES[machine][0]):
        pytest.skip(f"there is no {MACHINES[machine][0]}")
    ended = run(*MACHINES[machine], program, "--quick", "--output=-", *arguments)
    if not ended.stdout and ended.returncode in (1, 88):
        pytest.skip(f"no such machine can be made here: {ended.stderr.strip()}")
    assert ended.returncode in (0, 77), ended.stderr
    return parse(ended.stdout)


def reasons(rows):
    """{claim: why it was skipped}"""
    return {row["claim"]: row["sentence"] for row in kind(rows, "verdict")
            if row["verdict"] == "skipped"}


@pytest.mark.parametrize("congestion", ["reno", "cubic", "bbr"])
@pytest.mark.parametrize("name", ["tcp/short_send", "tcp/boundaries", "buffers/fill", "buffers/grow"])
def test_congestion_control(congestion, name):
    """It is in the rows, and changes no verdict."""
    rows = measure(congestion, name)
    assert rows[0]["sysctl"]["net.ipv4.tcp_congestion_control"] == congestion
    assert set(verdicts(rows).values()) <= {"holds", "depends", "unclear"}


def test_frames_on_loopback():
    """Large segments are what makes small buffers slow: where there are none, there is no cliff."""
    rows = measure("frames", "buffers/cliff")
    assert rows[0]["loopback_mtu_bytes"] == 1500
    assert verdicts(rows)["buf-cliff"] in ("holds", "unclear")


@pytest.mark.parametrize("name", ["tcp/bind", "tcp/demux", "tcp/listen", "tcp/multicast"])
def test_no_ipv6(name):
    """Nothing needs it but what is about it."""
    skipped = reasons(measure("no-ipv6", name))
    assert set(skipped) == ({"net-dual-stack"} if name == "tcp/bind" else set())
    assert all("this machine has no IPv6" in reason for reason in skipped.values())


def test_a_server_without_ipv6():
    ended = run(*MACHINES["no-ipv6"], BUILD / "echo" / "echo-server", "--bind", "::1", "--port", "0")
    if ended.returncode == 1:
        pytest.skip(f"no such machine can be made here: {ended.stderr.strip()}")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "echo-server: [::1]:0: Cannot assign requested address\n"


@pytest.mark.parametrize("name", ["buffers/options", "buffers/grow", "tcp/backlog", "tcp/listen"])
def test_no_sysctl(name):
    """What cannot be read is null, not a number that somebody made up."""
    assert set(measure("no-sysctl", name)[0]["sysctl"].values()) <= {None}


def test_no_sys():
    rows = measure("no-sys", "race/sharing")
    assert "cpu_quota_cpus" not in rows[0]


def test_no_cgroups():
    assert "can be made here" in reasons(measure("no-sys", "race/quota"))["sys-quota"]


@pytest.mark.parametrize("name, claims", [
    ("race/speedup", ("race-concurrency-parallelism", "gil-one-at-a-time")), ("echo/threading", ("srv-nm-efficient",))])
def test_one_cpu(name, claims):
    """What is about several CPUs is not judged."""
    rows = measure("one-cpu", name)
    assert rows[0]["cpus_allowed"].isdecimal()
    for claim in claims:
        assert "CPU" in reasons(rows)[claim]


def test_one_cpu_and_no_other():
    """Nothing is said of two CPUs, and what can be told on one is."""
    rows = measure("one-cpu", "tcp/setup")
    assert not any(sample["variant"] in ("tcp-new", "udp") for sample in kind(rows, "sample"))
    verdict, = kind(rows, "verdict")
    assert verdict["verdict"] in ("holds", "unclear") and "two" not in verdict["sentence"]


@pytest.mark.parametrize("name, claim, word", [
    ("tcp/handshake", "tcp-handshake", "not allowed"),
    ("tcp/retransmit", "tcp-retransmit", "not allowed"),
    ("buffers/udp_loss", "buf-udp-loses", "not allowed"),
    ("echo/async", "srv-async-efficient", "io_uring")])
def test_a_container(name, claim, word):
    """Without namespaces and io_uring, as Docker's default profile has it."""
    rows = measure("container", name)
    assert word in reasons(rows)[claim]
