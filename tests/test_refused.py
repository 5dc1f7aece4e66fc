# SPDX-License-Identifier: MIT
"""What is special to tcp/refused: what the kernel's contract says, case by case."""
import errno
from functools import partial

from program import BUILD, kind, quick_rows, verdict_of

REFUSED = BUILD / "tcp" / "refused"
rows_of = partial(quick_rows, REFUSED, "--limit", "30ms")


def test_each_case():
    rows = rows_of()
    for sample in kind(rows, "sample"):
        told = {sample["connect"], sample["later"]}
        if sample["variant"] == "listens":
            assert told == {"ok"}
        elif sample["variant"] == "unix-file":
            assert told == {"ENOENT", "ok"}
        elif "silent" in sample["variant"]:
            assert "ECONNREFUSED" not in told and sample["known_ns"] >= 29_000_000
        else:
            assert "ECONNREFUSED" in told
        if sample["connect"] == "ECONNREFUSED":
            assert sample["connect_errno"] == errno.ECONNREFUSED
    assert verdict_of(rows) in ("holds", "unclear" if rows[-1]["disturbed_trials"] else "holds")


def test_udp_is_told_later():
    sample = kind(rows_of("--variants", "udp"), "sample")[0]
    assert (sample["connect"], sample["later"]) == ("ok", "ECONNREFUSED")


def test_without_its_contrast_the_claim_is_skipped():
    assert kind(rows_of("--variants", "bound"), "verdict")[0]["verdict"] == "skipped"
