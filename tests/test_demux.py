# SPDX-License-Identifier: MIT
"""What is special to tcp/demux: no byte goes astray, and what is certain of bind."""
import pytest
from program import BUILD, kind, parse, run

DEMUX = BUILD / "tcp" / "demux"


@pytest.fixture(scope="module")
def rows():
    ended = run(DEMUX, "--quick", "--clients", "50", "-o", "-")
    assert ended.returncode == 0, ended.stderr
    return parse(ended.stdout)


def cells(rows, held, options):
    found = [sample["bind"] for sample in kind(rows, "sample")
             if sample.get("held") == held and sample["options"] == options]
    assert found
    return set(found)


def test_one_port_many_names(rows):
    for sample in kind(rows, "sample"):
        if "names" not in sample:
            continue
        assert (sample["connections"], sample["names"], sample["local_ports"]) == (50, 50, 1)
        assert sample["wrong_pieces"] == sample["udp_wrong_pieces"] == 0
        assert sample["same_name_errno"] and not sample["same_port_elsewhere_errno"]
        assert sample["first_connections"] + sample["second_connections"] == 50
    ports = [(row["local_port"], row["remote_port"]) for row in kind(rows, "connection")]
    assert len(set(ports)) == len(ports) == 50
    assert len({local for local, _ in ports}) == 1


def test_what_is_certain_of_bind(rows):
    for held in ("bound", "listening"):
        for options in ("none", "reuseaddr-second", "reuseport-second"):
            assert cells(rows, held, options) == {"EADDRINUSE"}
        assert cells(rows, held, "reuseport-both") == {"ok"}
    assert cells(rows, "listening", "reuseaddr-both") == {"EADDRINUSE"}
    assert cells(rows, "other-address", "none") == cells(rows, "udp", "none") == {"ok"}


def test_two_clients_are_enough():
    assert run(DEMUX, "--quick", "--clients", "2").returncode == 0
