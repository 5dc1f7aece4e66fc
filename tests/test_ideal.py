# SPDX-License-Identifier: MIT
"""What is special to echo/ideal: other work is done, curves are whole, ranks follow from intervals."""
import pytest
from program import BUILD, kind, quick_rows, verdict_of

PROGRAM = BUILD / "echo" / "ideal"
CRITERIA = ("fewest_sleeps", "work_ns", "threads", "server_cpu_ns", "memory_bytes")


@pytest.fixture(scope="module")
def least():
    return quick_rows(PROGRAM, "--first", "3", "--connections", "8", "--held", "9", "--rate", "2000",
                      "--idle", "100", "--trials", "7")


def test_books(least):
    for sample in kind(least, "sample"):
        assert 0 < sample["work_ns"] <= sample["work_elapsed_ns"]
        assert sample["rate_per_s"] == 2000 and sample["open_requests"] > 0
        assert sample["open_p50_ns"] <= sample["open_p99_ns"] <= sample["open_max_ns"]
        assert sample["idle_connections"] == 100 and sample["idle_rate_per_s"] >= 0


def test_curves(least):
    """A curve a trial, which ends with the longest latency."""
    samples = {(s["trial"], s["variant"]): s for s in kind(least, "sample")}
    curves = {}
    for point in kind(least, "curve"):
        curves.setdefault((point["trial"], point["variant"]), []).append(point)
    assert curves.keys() == samples.keys()
    for key, curve in curves.items():
        longest = samples[key]["open_max_ns"]
        assert [p["at_most_ns"] for p in curve] == sorted(p["at_most_ns"] for p in curve)
        assert curve[-1]["beyond_ppm"] == 0
        assert curve[-1]["at_most_ns"] == pytest.approx(longest, rel=0.01, abs=2000)


def test_ranks(least):
    """A rank is one more than how many are better: none ranks below all that are not."""
    verdict, = kind(least, "verdict")
    ranks = {name: text.split(",") for name, text in verdict["numbers"].items()
             if name in least[0]["variants"]}
    calm = [s for s in kind(least, "sample") if "disturbed" not in s]
    if verdict["verdict"] == "unclear":
        pytest.skip("too disturbed to rank")
    assert all(len(of) == len(CRITERIA) for of in ranks.values())
    for at, field in enumerate(CRITERIA):
        assert min(int(of[at]) for of in ranks.values()) == 1
        if field in ("threads", "memory_bytes"):
            best = {name for name, of in ranks.items() if of[at] == "1"}
            by_median = sorted(ranks, key=lambda name: sorted(
                s[field] for s in calm if s["variant"] == name)[3])
            assert by_median[0] in best


def test_one_model_is_compared_with_none():
    rows = quick_rows(PROGRAM, "--variants", "epoll", "--rate", "2000", "--trials", "7")
    assert verdict_of(rows) == "unclear" and "idle_connections" not in kind(rows, "sample")[0]
