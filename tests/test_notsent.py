# SPDX-License-Identifier: MIT
"""What is special to buffers/notsent: with TCP_NOTSENT_LOWAT less waits to be sent, and all arrives either way."""
import pytest
from program import BUILD, kind, parse, run, verdict_of

NOTSENT = BUILD / "buffers" / "notsent"


def rows_of(*arguments):
    ended = run(NOTSENT, "--quick", "-o", "-", *arguments)
    assert ended.returncode in (0, 77), ended.stderr
    if ended.returncode == 77:
        pytest.skip("there are no namespaces here")
    return parse(ended.stdout)


def test_buffers():
    rows = rows_of()
    params = rows[0]["params"]
    for sample in kind(rows, "sample"):
        assert sample["received_bytes"] == params["total_bytes"]
        assert 0 <= sample["unsent_bytes"] <= sample["ahead_bytes"] <= sample["granted_sndbuf_bytes"]
        assert sample["buffer_ns"] == sample["granted_sndbuf_bytes"] * 10**9 // params["rate_bytes_per_s"]
        assert sample["late_ns"] > 0
        if sample["variant"].endswith("-lowat"):
            assert sample["unsent_bytes"] < params["lowat_bytes"]
    assert verdict_of(rows) in ("depends", "unclear")


@pytest.mark.parametrize("variant", ["large", "large-lowat", "small"])
def test_one_way_alone_says_nothing(variant):
    assert verdict_of(rows_of("--trials", "1", "--variants", variant)) == "skipped"
