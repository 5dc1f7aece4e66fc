# SPDX-License-Identifier: MIT
"""What is special to tcp/text: where a cut falls is counted in Python once more, and decides what can be decoded."""
from functools import partial

import pytest
from program import BUILD, kind, quick_rows, run, verdict_of

WORDS = {"ascii": "Server", "latin": "déjà vu ", "korean": "안녕하세요", "emoji": "😀"}
LEADS = 60
rows_of = partial(quick_rows, BUILD / "tcp" / "text")


def message(word, lead, size):
    """As many whole characters as fit."""
    text = "a" * lead + word * size
    return text.encode()[:size].decode(errors="ignore")


def cut_after(encoded, at):
    """The bytes of the cut character before the cut."""
    if at >= len(encoded):
        return 0
    before = 0
    while encoded[at - before] & 0xc0 == 0x80:
        before += 1
    return before


@pytest.mark.parametrize("recv, size", [(1024, 1500), (1, 64), (2, 100), (4, 64), (100, 16384), (1499, 1500)])
def test_cuts(recv, size):
    rows = rows_of("--recv", str(recv), "--size", str(size), "--trials", "1", "--variants", ",".join(WORDS))
    for name, word in WORDS.items():
        texts = [message(word, lead, size) for lead in range(LEADS)]
        samples = [s for s in kind(rows, "sample") if s["variant"] == name]
        assert [s["cut_after_bytes"] for s in samples] == sorted({cut_after(t.encode(), recv) for t in texts})
        for sample in samples:
            cut_so = [t for t in texts if cut_after(t.encode(), recv) == sample["cut_after_bytes"]]
            whole = [t for t in cut_so
                     if not any(cut_after(t.encode(), at) for at in range(recv, size, recv))]
            assert (sample["messages"], sample["decoded"]) == (len(cut_so), len(whole))
            assert sample["characters"] == sum(map(len, cut_so))
            assert sample["pieces"] == sum(-(-len(t.encode()) // recv) for t in cut_so)
            assert sample["kept_decoded"] == sample["messages"]
    assert verdict_of(rows) == "depends"


def test_nothing_cut_decides_nothing():
    assert verdict_of(rows_of("--recv", "1500")) == "skipped"


def test_pythons():
    """The text of 3 bytes a character is cut inside one by 1,024, and between two by 1,023."""
    for recv, gives in (("1024", "UnicodeDecodeError"), ("1023", "decoded")):
        for sample in kind(rows_of("--recv", recv, "--variants", "python"), "sample"):
            assert (sample["decode"], sample["raised"]) == (gives, gives != "decoded")


def test_a_python_that_fails(tmp_path):
    """It is no evidence, and no silence."""
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\n[ "$3" = -c ] && echo "cpython 3 9 16 1 {python}" && exit\nexit 3\n')
    python.chmod(0o755)
    ended = run(BUILD / "tcp" / "text", "--quick", f"--python={python}", "--variants", "python")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "text.py failed" in ended.stderr
