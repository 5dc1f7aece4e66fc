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


def of(samples, variant, field):
    found = [sample[field] for sample in samples if sample["variant"] == variant and field in sample]
    assert found
    return found


def test_a_bound_socket_is_not_bound_again(samples):
    assert set(of(samples, "twice", "again_bind")) == {"EINVAL"}
    assert set(of(samples, "twice", "kept_port")) == {1}
    assert set(of(samples, "fresh", "again_bind")) == {"ok", "EADDRINUSE"}  # the latter: of its own port


def test_who_answers(samples):
    """How many each process answers is chance: the second one of fork may have none, if it is slow."""
    for variant in ("reuseport", "forked", "alone"):
        assert set(of(samples, variant, "unanswered_connections")) == {0}
    assert sum(of(samples, "reuseport", "second_answers")) > 0
    assert set(of(samples, "alone", "second_answers")) == {0}


def test_both_families(samples):
    """[::] is IPv4's, too, if IPV6_V6ONLY is not set."""
    if not any(sample["variant"] == "dual" for sample in samples):
        pytest.skip("this machine has no IPv6")
    assert set(of(samples, "dual", "second_bind")) == {"EADDRINUSE"}
    assert set(of(samples, "v6only", "second_bind")) == {"ok"}
    assert set(of(samples, "dual", "v4_client")) == {"ok"}
    assert set(of(samples, "v6only", "v4_client")) == {"ECONNREFUSED"}
