# SPDX-License-Identifier: MIT
"""What is special to buffers/udp_load: every datagram is accounted for."""
from program import BUILD, kind, parse, run

UDP_LOAD = BUILD / "buffers" / "udp_load"


def test_loads():
    ended = run(UDP_LOAD, "--quick", "-o", "-", "--rate", "5000")
    assert ended.returncode == 0, ended.stderr
    rows = parse(ended.stdout)
    offered = {load["variant"]: load["offered_per_s"] for load in kind(rows, "sample")}
    assert offered == {"load-0.5": 2500, "load-1.05": 5250, "load-1.2": 6000, "load-1.5": 7500,
                       "load-2": 10000, "load-10": 50000}
    for load in kind(rows, "sample"):
        assert 0 <= load["receiver_drops"] and load["unaccounted_datagrams"] >= 0
        assert load["sent_datagrams"] > 0 and load["elapsed_ns"] > 0
        assert load["rate_per_s"] == 5000
