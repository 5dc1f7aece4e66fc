# SPDX-License-Identifier: MIT
"""What is special to buffers/options: a size that was asked for stays, and its books balance."""
from program import BUILD, kind, parse, run

OPTIONS = BUILD / "buffers" / "options"
KINDS = {"tcp", "udp", "unix-stream", "unix-dgram", "pipe"}


def rows_of(*arguments):
    ended = run(OPTIONS, "--quick", "-o", "-", *arguments)
    assert ended.returncode == 0, ended.stderr
    return parse(ended.stdout)


def test_sizes():
    """Every kind is asked for the same sizes, each once, and a bigger one never gets less."""
    samples = kind(rows_of("--variants", ",".join(sorted(KINDS))), "sample")
    asked = {}
    for sample in sorted(samples, key=lambda s: s["asked_bytes"]):
        asked.setdefault(sample["variant"], []).append(sample)
    assert set(asked) == KINDS
    sizes = [[s["asked_bytes"] for s in of_kind] for of_kind in asked.values()]
    assert all(one == sizes[0] and len(set(one)) == len(one) for one in sizes)
    assert {0, 1, 65536, 2 ** 31 - 1} <= set(sizes[0])
    for name in KINDS - {"pipe"}:
        for field in ("granted_sndbuf_bytes", "granted_rcvbuf_bytes"):
            granted = [s[field] for s in asked[name] if s["asked_bytes"]]
            assert granted == sorted(granted) and granted[0] > 0


def test_transfers():
    rows = rows_of("--variants", "grow,fixed")
    for sample in kind(rows, "sample"):
        assert sample["missing_bytes"] == sample["misplaced_bytes"] == 0
        assert sample["received_bytes"] > 0
        if sample["variant"] == "fixed":
            for buffer in ("sndbuf", "rcvbuf"):
                assert sample[f"begin_{buffer}_bytes"] == sample[f"end_{buffer}_bytes"]
        looks = [row for row in kind(rows, "size") if row["variant"] == sample["variant"]]
        assert looks[0]["at_ns"] == 0
        assert looks[-1]["sndbuf_bytes"] == sample["end_sndbuf_bytes"]
        assert [row["at_ns"] for row in looks] == sorted(row["at_ns"] for row in looks)
    assert {row["verdict"] for row in kind(rows, "verdict")} == {"skipped"}
