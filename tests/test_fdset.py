# SPDX-License-Identifier: MIT
"""What is special to polling/fdset: what is overwritten, how each child ends, and no core file."""
import resource
import signal
from functools import partial

import pytest
from program import BUILD, kind, quick_rows

FDSET = BUILD / "polling" / "fdset"
rows_of = partial(quick_rows, FDSET)


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 2048, reason="hard limit")
def test_children(tmp_path):
    rows = rows_of(cwd=tmp_path)
    for sample in kind(rows, "sample"):
        seen = {name: sample[name] for name in ("fd_set_bytes", "select_bytes", "ready", "signal")}
        nothing = {"fd_set_bytes": 0, "select_bytes": 0, "ready": 0, "signal": 0}
        if sample["refused_errno"]:  # FORTIFY, with a C library that is not glibc
            assert sample["variant"] == "fortify"
            continue
        assert seen == {
            "fits": nothing | {"ready": 1},
            "beyond": nothing | {"fd_set_bytes": 1, "select_bytes": 8, "ready": 1},
            "guard": nothing | {"signal": signal.SIGSEGV},
            "fortify": nothing | {"signal": signal.SIGABRT},
            "poll": nothing | {"ready": 1},
        }[sample["variant"]]
    assert [row["verdict"] for row in kind(rows, "verdict")] == ["holds"]
    assert not list(tmp_path.iterdir())


def test_a_lower_hard_limit():
    """Such a descriptor cannot be had: nothing is claimed."""
    def lower():
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
    rows = rows_of(preexec_fn=lower)
    assert [row["verdict"] for row in kind(rows, "verdict")] == ["skipped"]
    for sample in kind(rows, "sample"):
        assert (sample["refused_errno"] == 0) == (sample["variant"] == "fits")
