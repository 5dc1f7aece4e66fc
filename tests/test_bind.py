# SPDX-License-Identifier: MIT
"""What is special to tcp/bind: what is certain, and that no connection is lost between two."""
import pytest
from program import BUILD, kind, parse, run

BIND = BUILD / "tcp" / "bind"


@pytest.fixture(scope="module")
def samples():
    ended = run(BIND, "--quick", "--clients", "50", "-o", "-")
    assert ended.returncode == 0, ended.stderr
    return kind(parse(ended.stdout), "sample")


def cells(samples, held, options):
    found = [sample["bind"] for sample in samples
             if sample.get("held") == held and sample["options"] == options]
    assert found
    return set(found)


def test_what_is_certain_of_bind(samples):
    for held in ("bound", "listening"):
        for options in ("none", "reuseaddr-second", "reuseport-second"):
            assert cells(samples, held, options) == {"EADDRINUSE"}
        assert cells(samples, held, "reuseport-both") == {"ok"}
    assert cells(samples, "listening", "reuseaddr-both") == {"EADDRINUSE"}
    assert cells(samples, "other-address", "none") == cells(samples, "udp", "none") == {"ok"}


def test_every_connection_has_one_listener(samples):
    spread = [sample for sample in samples if "connections" in sample]
    assert len(spread) == 2
    for sample in spread:
        assert sample["first_connections"] + sample["second_connections"] == 50
        assert 7 * 6 - sample["unreached_cells"] == len(
            [s for s in samples if "held" in s and s["trial"] == sample["trial"]])


def test_two_clients_are_enough():
    assert run(BIND, "--quick", "--clients", "2").returncode == 0
