# SPDX-License-Identifier: MIT
"""What is special to tcp/calls: what each kind of descriptor refuses, and with which error."""
from functools import partial

from program import BUILD, kind, quick_rows, verdicts

rows_of = partial(quick_rows, BUILD / "tcp" / "calls")


def samples_of(rows, variant):
    return [sample for sample in kind(rows, "sample") if sample["variant"] == variant]


def test_calls():
    rows = rows_of()
    for sample in samples_of(rows, "tcp"):
        assert (sample["stream_calls"], sample["place_calls"], sample["place_error"]) == (5, 0, "ESPIPE")
        assert (sample["second_error"], sample["exchanged"], sample["is_socket"]) == ("EISCONN", 0, 1)
        assert (sample["listen_error"], sample["accept_error"]) == ("ok", "EAGAIN")
    for sample in samples_of(rows, "udp"):
        assert (sample["stream_calls"], sample["place_calls"], sample["place_error"]) == (5, 0, "ESPIPE")
        assert (sample["second_error"], sample["second_reached"], sample["exchanged"]) == ("ok", 1, 1)
        assert (sample["listen_error"], sample["accept_error"]) == ("EOPNOTSUPP", "EOPNOTSUPP")
    for sample in samples_of(rows, "file"):
        assert (sample["stream_calls"], sample["place_calls"], sample["is_socket"]) == (5, 3, 0)
    assert verdicts(rows) == {"tcp-one-peer": "depends", "udp-no-listen": "holds", "sock-is-file": "depends"}


def test_a_file_alone_says_nothing_of_sockets():
    assert set(verdicts(rows_of("--variants", "file")).values()) == {"skipped"}
