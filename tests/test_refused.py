# SPDX-License-Identifier: MIT
"""What is special to tcp/refused: what the kernel's contract says, case by case."""
import errno
from functools import partial

from program import BUILD, kind, quick_rows, verdicts

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
        elif sample["variant"] in ("self", "self-ipv6"):
            assert (told, sample["self_connected"]) == ({"ok"}, 1)
        elif sample["variant"] == "chance":  # whose chance depends on the machine's speed
            assert told == ({"ok"} if sample["self_connected"] else {"ECONNREFUSED", "ok"})
            assert sample["chance_calls"] > 0
        elif "silent" in sample["variant"]:
            assert "ECONNREFUSED" not in told and sample["known_ns"] >= 29_000_000
        else:
            assert "ECONNREFUSED" in told
        if sample["connect"] == "ECONNREFUSED":
            assert sample["connect_errno"] == errno.ECONNREFUSED
    unclear = {"unclear"} if rows[-1]["disturbed_trials"] else set()
    words = verdicts(rows)
    assert words["tcp-connect-refused"] in {"holds"} | unclear
    assert words["tcp-self-connect"] in {"refuted"} | unclear


def test_no_other_client_is_connected_to_itself():
    for sample in kind(rows_of("--variants", "other-port"), "sample"):
        assert (sample["connect"], sample["self_connected"]) == ("ECONNREFUSED", 0)


def test_a_chance_of_one_call():
    sample = kind(rows_of("--variants", "chance", "--chance", "1ms"), "sample")[0]
    assert sample["chance_calls"] >= 1


def test_udp_is_told_later():
    sample = kind(rows_of("--variants", "udp"), "sample")[0]
    assert (sample["connect"], sample["later"]) == ("ok", "ECONNREFUSED")


def test_without_its_contrast_the_claim_is_skipped():
    assert verdicts(rows_of("--variants", "bound"))["tcp-connect-refused"] == "skipped"
