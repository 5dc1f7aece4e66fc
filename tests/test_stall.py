# SPDX-License-Identifier: MIT
"""stall: a slow link is not taken for a slow receiver."""
import os

import pytest
from program import BUILD, environment, parse, run

STALL = BUILD / "buffers" / "stall"


def slow(tmp_path, **env):
    """The samples of the slow link, and what the run said; skipped where there can be no link."""
    ended = run(STALL, "--quick", "--trials", "3", "--variants", "sleep,slow", "-o", "rows.jsonl", cwd=tmp_path,
                env=environment(**env))
    assert ended.returncode == 0, ended.stderr
    rows = parse((tmp_path / "rows.jsonl").read_text(encoding="utf-8"))
    samples = [row for row in rows if row["row"] == "sample" and row["variant"] == "slow"]
    if not samples:
        assert "left out" in ended.stdout
        if "not allowed" in " ".join(ended.stdout.split()):
            pytest.skip("no network namespaces here")
    return samples, ended.stdout


def test_the_link_is_to_blame(tmp_path):
    samples, said = slow(tmp_path)
    if not samples:
        pytest.skip(said)
    for sample in samples:
        assert sample["blocked_calls"] > 0
        assert sample["network_ns"] > sample["blocked_ns"] / 2 > sample["rwnd_limited_ns"]


def test_a_long_path_hides_no_tool(tmp_path):
    there, _ = slow(tmp_path)
    folders = [f"/nowhere/at/all/{number}" for number in range(100)]
    hidden, _ = slow(tmp_path, PATH=":".join(folders + [os.environ["PATH"]]))
    assert len(hidden) == len(there)


def test_the_end_of_the_stream_is_no_byte():
    """The kernel counts a FIN that is not acknowledged as a byte of the send queue."""
    rows = parse(run(STALL, "--quick", "--variants", "sleep", "--sndbuf", "0", "--rcvbuf", "0", "-o", "-").stdout)
    held = [row["held_bytes"] for row in rows if row["row"] == "sample"]
    assert held and max(held) <= rows[0]["params"]["total_bytes"]
