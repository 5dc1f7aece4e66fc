# SPDX-License-Identifier: MIT
"""What is special to tcp/demux: one port, many names, and no byte goes astray."""
import pytest
from program import BUILD, kind, parse, run

DEMUX = BUILD / "tcp" / "demux"


@pytest.mark.parametrize("clients", [2, 50])
def test_one_port_many_names(clients):
    ended = run(DEMUX, "--quick", "--clients", str(clients), "-o", "-")
    assert ended.returncode == 0, ended.stderr
    rows = parse(ended.stdout)
    for sample in kind(rows, "sample"):
        assert (sample["connections"], sample["names"]) == (clients, clients)
        assert sample["local_ports"] == 1
        assert sample["wrong_pieces"] == sample["udp_wrong_pieces"] == 0
        assert sample["same_name_errno"] and not sample["same_port_elsewhere_errno"]
    for variant in {sample["variant"] for sample in kind(rows, "sample")}:
        ports = [(row["local_port"], row["remote_port"]) for row in kind(rows, "connection")
                 if row["variant"] == variant]
        assert len(set(ports)) == len(ports) == clients
        assert len({local for local, _ in ports}) == 1
