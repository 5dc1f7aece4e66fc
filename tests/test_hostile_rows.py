# SPDX-License-Identifier: MIT
"""Rows that were damaged at random: each is drawn and put on the page, or refused in one line.

Half of the reference results are damaged in one way; ANY_INPUT=100 is all in a hundred ways (make fuzz).  And a file
of many rows: MANY_ROWS=1000000 is a million.
"""
import json
import os
import random
import re
import subprocess

import pytest
from program import ROOT

REFERENCE = sorted((ROOT / "results" / "reference").glob("*.jsonl"))
TIMES = int(os.environ.get("ANY_INPUT", "1"))
MANY = int(os.environ.get("MANY_ROWS", "50000"))
HOSTILE = [None, True, "", "x" * 5000, "<script>alert(1)</script>", "\x1b[2J\n\u202e", "가나다", -1, 0, 1.5,
           2 ** 63, -1e308, 1e308, float("nan"), float("inf"), [], {}, ["a"], {"a": 1}, {"k": "v", "n": -1}]

pytestmark = pytest.mark.skipif(
    subprocess.run([ROOT / "scripts" / "python", "matplotlib,numpy,jinja2"],
                   stderr=subprocess.DEVNULL).returncode != 0,
    reason="no python3 here has matplotlib and jinja2")


def places(value, path=()):
    """Every place in a row, each a path of keys."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def put(row, path, value):
    for key in path[:-1]:
        row = row[key]
    row[path[-1]] = value


def with_another_value(rng, rows):
    row = rng.choice([rows[0], rows[-1], rng.choice(rows)])
    put(row, rng.choice(list(places(row))[1:]), rng.choice(HOSTILE))


def without_a_value(rng, rows):
    row = rng.choice([rows[0], rows[-1], rng.choice(rows)])
    path = rng.choice(list(places(row))[1:])
    for key in path[:-1]:
        row = row[key]
    del row[path[-1]]


def with_a_column_of_others(rng, rows):
    """One field in all rows of a kind, such as every time."""
    kind = rng.choice(sorted({row["row"] for row in rows}))
    name = rng.choice(sorted({key for row in rows if row["row"] == kind for key in row}))
    for row in rows:
        if row["row"] == kind:
            row[name] = rng.choice(HOSTILE)


def in_another_order(rng, rows):
    middle = rows[1:-1]
    rng.shuffle(middle)
    rows[1:-1] = middle


def without_some(rng, rows):
    for _ in range(rng.randint(1, len(rows))):
        del rows[rng.randrange(len(rows))]


def twice(rng, rows):
    rows.insert(rng.randint(0, len(rows)), rng.choice(rows))


DAMAGES = [with_another_value, without_a_value, with_a_column_of_others, in_another_order, without_some, twice]


def damaged(rng, path):
    """The bytes of a result that something happened to."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rng.choice(DAMAGES)(rng, rows)
    if rng.randrange(2):  # the count that the reader checks is right
        for row in rows:
            if row.get("row") == "end":
                row["samples"] = sum(other.get("row") == "sample" for other in rows)
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    if not rng.randrange(8):
        data = data[:rng.randrange(len(data) + 1)]
    if not rng.randrange(8) and data:
        at = rng.randrange(len(data))
        data = data[:at] + bytes(rng.randrange(256) for _ in range(8)) + data[at:]
    return data


@pytest.fixture(scope="module", params=range(TIMES))
def files(request, tmp_path_factory):
    rng = random.Random(request.param)
    folder = tmp_path_factory.mktemp("damaged")
    for path in REFERENCE if TIMES > 1 else rng.sample(REFERENCE, len(REFERENCE) // 4):
        (folder / path.name).write_bytes(damaged(rng, path))
    return sorted(folder.iterdir())


@pytest.mark.parametrize("script", ["plot.py", "report.py"])
def test_damaged_rows(script, files, tmp_path):
    done = subprocess.run([ROOT / "scripts" / script, "--out", tmp_path / "out", *files],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600)
    said = done.stderr.splitlines()
    assert done.returncode in (0, 2, 77), done.stderr
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    name = script.partition(".")[0]
    strange = [line for line in said if not re.match(rf"{name}: \S+\.jsonl: \S", line)]
    assert not strange
    left = [path for path in (tmp_path / "out").rglob("*") if ".part" in path.name]
    assert not left
    if script == "report.py":
        page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
        own = (ROOT / "scripts" / "page" / "script.js").read_text(encoding="utf-8")
        assert page.rstrip().endswith("</html>")
        assert "alert(1)" not in page.replace("&lt;script&gt;alert(1)", "")  # where it stands it is text
        assert page.count("<script") == 1 and f"<script>{own}</script>" in page


def many_rows(path, file):
    """A result with as many rows of each kind but the first and the last, over and over."""
    first, *middle, last = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    samples = 0
    file.write(json.dumps(first) + "\n")
    for number in range(MANY):
        row = dict(middle[number % len(middle)])
        if "trial" in row:
            row["trial"] = number
        samples += row["row"] == "sample"
        file.write(json.dumps(row) + "\n")
    file.write(json.dumps({**last, "samples": samples}) + "\n")


@pytest.mark.parametrize("script", ["plot.py", "report.py"])
def test_many_rows(script, tmp_path):
    path = tmp_path / "counter.jsonl"
    with open(path, "w", encoding="utf-8") as file:
        many_rows(ROOT / "results" / "reference" / "counter.jsonl", file)
    done = subprocess.run([ROOT / "scripts" / script, "--out", tmp_path / "out", path],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-3000:]
    if script == "plot.py":
        assert (tmp_path / "out" / "counter.png").exists()
    else:
        assert 'class="chart"' in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
