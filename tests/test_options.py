# SPDX-License-Identifier: MIT
"""What is special to buffers/options: every kind is asked for every size, a listener for a few."""
from functools import partial

from program import BUILD, kind, quick_rows

OPTIONS = BUILD / "buffers" / "options"
KINDS = {"tcp", "udp", "unix-stream", "unix-dgram", "pipe"}
rows_of = partial(quick_rows, OPTIONS)


def test_sizes():
    """Every kind is asked for the same sizes, each once, and a bigger one never gets less."""
    samples = kind(rows_of(), "sample")
    asked = {}
    for sample in sorted(samples, key=lambda s: s["asked_bytes"]):
        asked.setdefault(sample["variant"], []).append(sample)
    assert [s["asked_bytes"] for s in asked.pop("tcp-accepted")] == [0, 32768, 65536]
    assert set(asked) == KINDS
    sizes = [[s["asked_bytes"] for s in of_kind] for of_kind in asked.values()]
    assert all(one == sizes[0] and len(set(one)) == len(one) for one in sizes)
    assert {0, 1, 65536, 2 ** 31 - 1} <= set(sizes[0])
    for name in KINDS - {"pipe"}:
        for field in ("granted_sndbuf_bytes", "granted_rcvbuf_bytes"):
            granted = [s[field] for s in asked[name] if s["asked_bytes"]]
            assert granted == sorted(granted) and granted[0] > 0


def test_a_pipe_alone_says_nothing_of_sockets():
    rows = rows_of("--variants", "pipe")
    assert [row["verdict"] for row in kind(rows, "verdict")] == ["skipped"] * 3
    assert not any(s["granted_rcvbuf_bytes"] or s["forced_sndbuf_bytes"]
                   for s in kind(rows, "sample"))


def test_an_accepted_socket_has_what_its_listener_was_granted():
    """As much as a fresh socket that is asked for the same."""
    granted = {(s["variant"], s["asked_bytes"]): (s["granted_sndbuf_bytes"], s["granted_rcvbuf_bytes"])
               for s in kind(rows_of("--variants", "tcp,tcp-accepted"), "sample")}
    for asked in (32768, 65536):
        assert granted["tcp-accepted", asked] == granted["tcp", asked]
    assert min(granted["tcp-accepted", 0]) > 0
