# SPDX-License-Identifier: MIT
"""scripts/fleet.py: every machine and verdict is on the page, planted settings are named, hostile rows are text."""
import collections
import json
import random
import re
import signal
import subprocess

import pytest
import simulated
from program import ROOT, environment, run, start
from test_hostile_rows import damaged
from test_report import Page, result

FLEET = ROOT / "scripts" / "fleet.py"
REFERENCE = ROOT / "results" / "reference"
SOME = ("counter", "zero", "backlog", "cliff", "ordering", "visible", "options", "fill")  # what is planted, and more

pytestmark = pytest.mark.skipif(
    subprocess.run([ROOT / "scripts" / "python", "matplotlib,numpy,jinja2"],
                   stderr=subprocess.DEVNULL).returncode != 0,
    reason="no python3 here has matplotlib and jinja2")


class FleetPage(Page):
    """With the data of its script, and the section of each claim on which machines differ."""

    def __init__(self, path):
        super().__init__(path)
        text = path.read_text(encoding="utf-8")
        self.data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1])
        self.sections = dict(re.findall(r'<section id="[^"]*" class="claim".*?<code>([\w-]+)</code>(.*?)</section>',
                                        text, re.DOTALL))


def fleet(out, *arguments, status=0, lines=0):
    """The page of these; the script said so many lines of what is wrong."""
    ended = run(FLEET, *arguments, "-o", out)
    assert ended.returncode == status and ended.stderr.count("\n") == lines, ended.stderr
    assert "Traceback" not in ended.stderr
    return FleetPage(out)


def refused(*arguments):
    """The one line that it says, with status 2."""
    ended = run(FLEET, *arguments)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1), ended.stderr
    return ended.stderr


def names(page):
    return [machine[0] for machine in page.data["machines"]]


def letters(page):
    return [machine[2] for machine in page.data["machines"]]


@pytest.fixture(scope="module")
def forty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fleet")
    simulated.fleet(folder / "rows", 40, names=SOME)
    return fleet(folder / "page.html", folder / "rows")


def test_planted_settings_are_named_and_no_others(forty):
    assert set(forty.sections) == {*simulated.PLANTED, *simulated.RANDOM}
    for claim, (setting, _) in simulated.PLANTED.items():
        assert f"<strong><code>{setting}</code></strong>" in forty.sections[claim]
        assert "separates them: all " in forty.sections[claim]
    for claim in simulated.RANDOM:
        assert "None of the recorded settings separates them" in forty.sections[claim]
    assert f"for {len(simulated.PLANTED)} of these a recorded setting separates them" in forty.text


def test_the_page_says_that_rows_are_simulated(forty):
    assert "SIMULATED: 40 of 40 machines" in forty.text
    assert all(machine[5] is True for machine in forty.data["machines"])


def test_all_is_in_one_file(forty):
    assert len(forty.ids) == len(set(forty.ids)) and set(" ".join(forty.uses).split()) <= set(forty.ids)
    assert all(link[1:] in forty.ids for link in forty.links)
    assert forty.open == [] and forty.tags["script"] == 2 and forty.tags["h1"] == 1


def test_claims_on_which_machines_differ_come_first(forty):
    others = [claim[2] for claim in forty.data["claims"]]
    assert others == sorted(others, reverse=True)
    assert sum(map(bool, others)) == len(forty.sections) + 1  # race-zero-is-safe is a claim of two experiments
    assert forty.tags["svg"] >= len(forty.sections)


def test_a_thousand_machines(tmp_path):
    """Each with a verdict of its own on each claim, as its rows have it."""
    simulated.fleet(tmp_path / "rows", 1000, names=("counter", "backlog"))
    page = fleet(tmp_path / "page.html", tmp_path / "rows")
    assert names(page) == [f"machine-{number:04}" for number in range(1, 1001)]
    words = {letter: verdict for letter, verdict, _ in page.data["words"]}
    counts = collections.Counter()
    for path in (tmp_path / "rows").glob("*/*/*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["row"] == "verdict":
                counts[row["verdict"]] += 1
    assert collections.Counter(words[letter] for text in letters(page) for letter in text) == counts
    for setting in page.data["settings"]:
        assert len(setting["of"]) == 1000 and max(setting["of"]) < len(setting["texts"])


# --- which machine --------------------------------------------------------------------------------

def test_a_folder_is_a_machine_and_its_newest_run_counts(tmp_path):
    for name in ("a", "b"):
        result(tmp_path / name / "race" / "x-20260101T000000Z.jsonl", utc="2026-01-01T00:00:00Z", verdict="refuted",
               experiment="x", serial=name)
        result(tmp_path / name / "race" / "x-20260102T000000Z.jsonl", utc="2026-01-02T00:00:00Z", experiment="x",
               serial=name)
        result(tmp_path / name / "reference" / "x.jsonl", utc="2027-01-01T00:00:00Z", verdict="refuted", serial=name)
    page = fleet(tmp_path / "page.html", tmp_path)
    assert (names(page), letters(page)) == (["a", "b"], ["h", "h"])
    assert names(fleet(tmp_path / "page.html", tmp_path / "a")) == ["a"]
    assert letters(fleet(tmp_path / "page.html", tmp_path / "a" / "reference")) == ["r"]


@pytest.mark.parametrize("other, machines", [
    ({"kernel": "6.2"}, 2), ({"cpu_model": "another"}, 2), ({"cpus_online": 4}, 2), ({"cpu_quota_cpus": 0.5}, 2),
    ({"compiler": "gcc 14"}, 2), ({"commit": "abc", "load": [1, 2, 3], "dirty": True}, 1)])
def test_a_folder_of_several_machines(other, machines, tmp_path):
    same = {"kernel": "6.1", "cpu_model": "one", "cpus_online": 2, "compiler": "gcc 12"}
    paths = [result(tmp_path / "x.jsonl", **same), result(tmp_path / "y.jsonl", **{**same, **other})]
    page = fleet(tmp_path / "page.html", *paths)
    assert len(set(names(page))) == machines == len(names(page))


def test_what_is_left_out(tmp_path):
    result(tmp_path / "a" / "x.jsonl", serial=1)
    copied = (tmp_path / "a" / "x.jsonl").read_bytes()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.jsonl").write_bytes(copied)
    result(tmp_path / "c" / "x.jsonl", controls_held=False, serial=2)
    result(tmp_path / "d" / "x.jsonl", interrupted="SIGINT", serial=3)
    result(tmp_path / "e" / "x.jsonl", sham="an-id", serial=4)
    page = fleet(tmp_path / "page.html", tmp_path)
    assert names(page) == ["a"] and "runs that are left out: 3" in page.text
    for text in ("a copy of", "A CONTROL FAILED", "INTERRUPTED (SIGINT)"):
        assert text in page.text
    assert "all 1 are left out" in refused(tmp_path / "c")


def test_unclear_and_skipped_are_no_difference(tmp_path):
    for at, verdict in enumerate(["holds", "unclear", "holds"]):
        result(tmp_path / str(at) / "x.jsonl", verdict=verdict, serial=at)
    result(tmp_path / "3" / "x.jsonl", samples=False)
    page = fleet(tmp_path / "page.html", tmp_path)
    assert not page.sections and letters(page) == ["h", "u", "h", "s"] and "On 0 claims machines differ" in page.text


# --- hostile input --------------------------------------------------------------------------------

def test_nothing_to_show(tmp_path):
    assert "no results in it" in refused(tmp_path)
    assert "No such file" in refused(tmp_path / "none")
    assert "RESULTS" in refused()
    assert "--nonsense" in refused("--nonsense", tmp_path)
    (tmp_path / "x.jsonl").write_text("")
    assert "empty" in refused(tmp_path)
    assert "verdict" in refused(REFERENCE / "bench-counter.json")


@pytest.mark.parametrize("change, says", [
    (lambda text: text[:-20], "cut short"), (lambda text: text.replace('"schema": 2', '"schema": 1'), "schema 1"),
    (lambda text: text.replace('"holds"', '"<b>"'), "unknown word"), (lambda text: "{}\n" + text, "not a result"),
    (lambda text: text.replace('"claims": {', '"claims": 1, "c": {'), "cannot be shown")])
def test_a_broken_file_is_one_line(change, says, tmp_path):
    path = result(tmp_path / "a" / "x.jsonl")
    path.write_text(change(path.read_text()))
    assert says in refused(tmp_path)
    result(tmp_path / "b" / "x.jsonl")
    assert names(fleet(tmp_path / "page.html", tmp_path, status=2, lines=1)) == ["b"]


def test_html_is_text(tmp_path):
    evil = "<img src=x onerror=alert(1)></script><script>alert(1)</script>"
    for at, verdict in enumerate(["holds", "refuted"] * 10):
        result(tmp_path / f"<b onclick=alert(1)>{at}\udce4\n&" / "x.jsonl", verdict=verdict, experiment=evil,
               group=evil, claims={"an-id": evil}, cpu_model=evil, kernel=f"{verdict}{evil}",
               sysctl={evil: f"{at}{evil}"},
               numbers={evil: {"mid": at, "low": at - 1, "high": at + 1}, "k": {"k": 1, "n": 2, "low": 0, "high": 0.9}})
    page = fleet(tmp_path / "page.html", tmp_path)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("<script") == 2 and "<img" not in text and "<b " not in text
    assert page.tags["img"] == page.tags["b"] == 0 and len(names(page)) == 20


@pytest.mark.parametrize("seed", range(3))
def test_damaged_rows(seed, tmp_path):
    rng = random.Random(seed)
    for at in range(6):
        for name in SOME:
            path = tmp_path / str(at) / f"{name}.jsonl"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(damaged(rng, REFERENCE / f"{name}.jsonl"))
    ended = run(FLEET, tmp_path, "-o", tmp_path / "page.html")
    assert ended.returncode in (0, 2) and "Traceback" not in ended.stderr, ended.stderr[-3000:]
    assert [line for line in ended.stderr.splitlines() if not re.match(r"fleet: \S+\.jsonl: \S", line)] == []
    FleetPage(tmp_path / "page.html")
    assert "<script>alert" not in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_signal_leaves_nothing(tmp_path):
    simulated.fleet(tmp_path / "rows", 30, names=SOME)
    (tmp_path / "out").mkdir()
    process = start(FLEET, tmp_path / "rows", "-o", tmp_path / "out" / "page.html", env=environment(LC_ALL="C.UTF-8"))
    try:
        process.wait(timeout=0.5)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode in (0, -signal.SIGTERM)
    assert [path.name for path in (tmp_path / "out").iterdir()] in ([], ["page.html"])


def test_other_scripts_do_not_take_simulated_rows(tmp_path):
    simulated.fleet(tmp_path, 1, names=("counter",))
    ended = run(ROOT / "scripts" / "claims", env=environment(STALLRACE_RESULTS=str(tmp_path / "machine-0001")))
    assert ended.returncode == 2 and "no results" in ended.stderr
