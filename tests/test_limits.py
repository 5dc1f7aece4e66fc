# SPDX-License-Identifier: MIT
"""What is special to polling/limits: counts follow the limits."""
import resource

import pytest
from program import BUILD, kind, parse, run

LIMITS = BUILD / "polling" / "limits"


def rows_of(*arguments, soft=None, hard=None):
    was = resource.getrlimit(resource.RLIMIT_NOFILE)
    if max(soft or 0, hard or 0) > was[1]:
        pytest.skip("the hard limit is lower here")

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft or was[0], hard or was[1]))
    ended = run(LIMITS, "--quick", "--trials", "2", "-o", "-", *arguments, preexec_fn=limit)
    assert ended.returncode == 0, ended.stderr
    return parse(ended.stdout)


def of(rows, variant):
    return [sample for sample in kind(rows, "sample") if sample["variant"] == variant]


@pytest.mark.parametrize("soft, hard", [(300, 2000), (1024, 2000), (300, 300), (2000, 2000)])
def test_counts(soft, hard):
    rows = rows_of("--variants", "found,at-1024,raised", soft=soft, hard=hard)
    for variant, limit in (("found", soft), ("at-1024", min(hard, 1024)), ("raised", hard)):
        sample, again = of(rows, variant)
        assert again["open_fds"] == sample["open_fds"]
        assert (sample["soft_limit"], sample["hard_limit"]) == (soft, hard)
        assert (sample["limit"], sample["open_fds"], sample["highest_fd"]) == (
            limit, limit, limit - 1)
        assert sample["errno"] == 24
    verdict, = kind(rows, "verdict")
    assert verdict["verdict"] == (
        "refuted" if hard < 1024 else "holds" if soft == 1024 else "depends")


def test_most_is_where_it_ends():
    rows = rows_of("--variants", "found", "--most", "2048", soft=3000, hard=3000)
    sample, _ = of(rows, "found")
    assert (sample["open_fds"], sample["errno"]) == (2048, 0)


def test_no_raise_without_privileges():
    sample, _ = of(rows_of("--variants", "above", soft=500, hard=500), "above")
    assert sample["unprivileged_errno"] in (-1, 1)  # not tried, or EPERM
    assert sample["above_nr_open_errno"] in (-1, 1)


def test_poll_has_no_fixed_size():
    sample, _ = of(rows_of("--variants", "poll", soft=300, hard=2000), "poll")
    assert (sample["fd"], sample["ready"], sample["fd_setsize"]) == (1024, 1, 1024)
    sample, _ = of(rows_of("--variants", "poll", soft=300, hard=300), "poll")
    assert sample["fd"] < 0 and sample["ready"] == 0
