# SPDX-License-Identifier: MIT
"""scripts/report.py: every verdict is on the page, every doubt beside it, every link leads somewhere."""
import collections
import html.parser
import json
import os
import pathlib
import re
import subprocess

import pytest
from program import copy_scripts

ROOT = pathlib.Path(__file__).resolve().parent.parent
REPORT = ROOT / "scripts" / "report.py"
REFERENCE = sorted((ROOT / "results" / "reference").glob("*.json*"))

pytestmark = pytest.mark.skipif(
    subprocess.run([ROOT / "scripts" / "python", "matplotlib,numpy,jinja2"],
                   stderr=subprocess.DEVNULL).returncode != 0,
    reason="no python3 here has matplotlib and jinja2")


class Page(html.parser.HTMLParser):
    """What a browser makes of it: text, ids, links and charts; elements that are never closed.

    A chart's words are not the page's: they are there once more, beside it.
    """
    VOID = {"meta", "br", "input"}

    def __init__(self, path):
        super().__init__()
        self.folder = path.parent
        self.words, self.ids, self.uses, self.links, self.charts, self.open = [], [], [], [], [], []
        self.tags = collections.Counter()
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags[tag] += 1
        if "id" in attributes:
            self.ids.append(attributes["id"])
        for value in attributes.values():
            self.uses += re.findall(r"url\(#([^)]+)\)", value or "")
        for name in ("aria-labelledby", "aria-describedby"):
            self.uses += filter(None, [attributes.get(name)])
        if tag == "use":
            assert attributes["href"].startswith("#")
            self.uses.append(attributes["href"][1:])
        if tag == "a":
            self.links.append(attributes["href"])
        if tag == "section":
            self.section = attributes["id"]
        if attributes.get("class") == "chart":
            self.charts.append(self.section)
        assert not {"src", "srcset", "action", "onload", "onerror"} & set(attributes)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "svg" not in self.open and self.open[-1:] not in (["style"], ["script"]):
            self.words.append(data)


def report(out, *files):
    return subprocess.run([REPORT, "--out", out, *files], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True, timeout=300)


def page(out, *files, status=0):
    done = report(out, *files)
    assert done.returncode == status, done.stderr
    assert done.stdout.splitlines()[-1].endswith("report.html")
    found = Page(out / "report.html")
    assert found.open == []
    return found


def check_links(found):
    assert len(found.ids) == len(set(found.ids))
    for link in found.links:
        assert link[1:] in found.ids if link.startswith("#") else (found.folder / link).is_file()
    assert set(found.uses) <= set(found.ids)
    assert [path.name for path in found.folder.iterdir() if path.name != "report.html"] == []  # all is in one file


def result(path, *, sentence="it was so", interrupted=None, controls_held=True, samples=True,
           said=(), sham=None, order=0, verdict="holds", numbers=(), **run):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"row": "run", "schema": 2, "experiment": path.stem, "group": "race",
             "summary": "Is it so?", "claims": {"an-id": "it is so"}, "params": {"trials": 2},
             "shams": {"an-id": {"of": "claim", "sham": "a=b", "then": "refuted"},
                       "lost": {"of": "control", "sham": "lose", "then": "control failed"}},
             "order": order, "sham": sham, "utc": "2026-01-02T03:04:05Z", **run},
            *({"row": "sample", "trial": trial, "variant": "a", "elapsed_ns": 5 + trial}
              for trial in range(2 * samples)),
            {"row": "verdict", "claim": "an-id", "verdict": verdict if samples else "skipped",
             "sentence": sentence, "numbers": dict(numbers),
             **({"remedy": "a calmer machine"} if verdict == "unclear" else {})}, *said,
            {"row": "end", "interrupted": interrupted, "controls_held": controls_held,
             "samples": 2 * samples}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_reference(tmp_path):
    some = REFERENCE[2::3]  # test_plots draws the others
    found = page(tmp_path, *some)
    check_links(found)
    for path in some:
        if path.suffix == ".json":
            continue
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert f"{rows[0]['group']}-{rows[0]['experiment']}" in found.ids
        for row in rows:
            if row["row"] == "verdict":
                assert " ".join(row["sentence"].split()) in found.text
                assert rows[0]["claims"][row["claim"]] in found.text and row["claim"] in found.text
            elif row["row"] in ("why", "note"):
                assert " ".join(row["text"].split()) in found.text
    assert len(set(found.charts)) == len(some)
    assert "reference run" not in found.text  # it is itself


def test_the_same_again(tmp_path):
    path = result(tmp_path / "one.jsonl")
    first = page(tmp_path / "out", path) and (tmp_path / "out" / "report.html").read_bytes()
    page(tmp_path / "out", path)
    assert (tmp_path / "out" / "report.html").read_bytes() == first


def test_what_was_said_is_text(tmp_path):
    sentence = 'x < y & <b>"z"</b> <script>'
    found = page(tmp_path / "out", result(tmp_path / "one.jsonl", sentence=sentence, said=[
        {"row": "why", "text": "because <i>"}, {"row": "note", "text": "a & b"}]))
    check_links(found)
    for text in (sentence, "Why: because <i>", "Note: a & b", "one: Is it so?"):
        assert text in found.text


def test_each_claim_can_fail_and_the_page_says_how(tmp_path):
    found = page(tmp_path / "out", result(tmp_path / "one.jsonl"))
    assert "it is so a=b refuted" in found.text and "control failed" not in found.text


def test_beside_the_reference(tmp_path):
    """Where it has a verdict on the same claim by the same program, it is shown, and marked if it differs."""
    path = ROOT / "results" / "reference" / "backlog.jsonl"
    for verdict, told in (("refuted", "the same"), ("holds", "differs: refuted")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for row in rows:
            if row["row"] == "verdict":
                row["verdict"] = verdict
        changed = tmp_path / f"{verdict}.jsonl"
        changed.write_text("".join(json.dumps(row) + "\n" for row in rows))
        found = page(tmp_path / "out", changed, result(tmp_path / "one.jsonl"))
        assert f"{verdict} {told} 0 of 6 queues" in found.text
        assert "holds not there it was so" in found.text


# --- beside other machines ------------------------------------------------------------------------

def share(k, n, low, high):
    return {"k": k, "n": n, "low": low, "high": high}


def interval(mid, low, high):
    return {"mid": mid, "low": low, "high": high, "n": 9}


def test_a_column_each(tmp_path):
    """Of a folder with groups the newest result, of a folder of results, of a file; under the machine's name."""
    here = result(tmp_path / "one.jsonl", kernel="6.1", cpus_online=2), result(tmp_path / "two.jsonl", kernel="6.1")
    for utc, verdict in (("20260101T000000Z", "holds"), ("20260102T000000Z", "refuted")):
        result(tmp_path / f"groups/race/one-{utc}.jsonl", experiment="one", verdict=verdict, kernel="6.2",
               cpus_online=1)
    result(tmp_path / "flat/one.jsonl", kernel="6.3", cpus_online=2)
    result(tmp_path / "flat/two.jsonl", kernel="6.3", cpus_online=2, verdict="depends")
    file = result(tmp_path / "again/one.jsonl", kernel="6.1", cpus_online=2)
    found = page(tmp_path / "out", *here, "--compare", tmp_path / "groups", tmp_path / "flat", file)
    check_links(found)
    assert ("what is taught here 1 CPU · Linux 6.2 2 CPUs · Linux 6.3 one.jsonl measured by "
            "it is so holds differs: refuted the same the same it was so race/one "
            "it is so holds not there differs: depends not there it was so race/two") in found.text
    assert "reference run" not in found.text


@pytest.mark.parametrize("name, here, there, texts", [
    ("wrong", share(9, 10, 0.6, 0.98), share(1, 10, 0.02, 0.4), ("9 of 10", "1 of 10")),
    ("wrong", share(9, 10, 0.6, 0.98), share(5, 10, 0.2, 0.8), None),
    ("delay_ns", interval(5e6, 4e6, 6e6), interval(2e9, 1e9, 3e9),
     ("5.00 ms (4.00 ms to 6.00 ms)", "2.00 s (1.00 s to 3.00 s)")),
    ("delay_ns", interval(5e6, 4e6, 6e6), interval(7e6, 6e6, 9e6), None),
    ("delay_ns", interval(5e6, None, None), interval(2e9, 1e9, 3e9), None),
    ("delay_ns", 5, 5000, None)])
def test_numbers_that_differ(name, here, there, texts, tmp_path):
    """Beyond their intervals: of a number without one nothing is said."""
    result(tmp_path / "there/one.jsonl", numbers={name: there}, kernel="6.2")
    found = page(tmp_path / "out", result(tmp_path / "one.jsonl", numbers={name: here}),
                 "--compare", tmp_path / "there")
    if not texts:
        assert "holds the same it was so" in found.text and "could explain" not in found.text
        return
    assert "holds number differs it was so" in found.text
    assert f"claim number here there it is so {name} {texts[0]} {texts[1]} What could explain it" in found.text


def test_settings_that_differ(tmp_path):
    """Where a verdict or a number differs, all those of the run that are not the same, and no other."""
    recorded = {"kernel": "6.1", "cpus_online": 2, "cpu_model": "a CPU", "flags": "-O2 -g", "load": [1.5],
                "sysctl": {"net.core.somaxconn": "4096", "net.ipv4.tcp_sack": "1"}, "loopback_mtu_bytes": 65536,
                "variants": {"3.9": "", "3.10": ""}, "params": {"trials": 5, "budget_ms": 3000, "output": "x"}}
    changed = {**recorded, "kernel": "6.2", "cpu_quota_cpus": 1.5, "flags": "-O2 -fsanitize=thread", "load": [0.5],
               "sysctl": {**recorded["sysctl"], "net.core.somaxconn": "128"}, "loopback_mtu_bytes": 1500,
               "variants": {"3.10": "", "3.11": ""}, "params": {"trials": 5, "budget_ms": 9000, "quick": True}}
    here = result(tmp_path / "one.jsonl", **recorded)
    result(tmp_path / "there/one.jsonl", verdict="refuted", sentence="it was otherwise", **changed)
    found = page(tmp_path / "out", here, "--compare", tmp_path / "there")
    assert ("it is so verdict holds refuted : it was otherwise "
            "What could explain it: these recorded settings are not the same there. kernel : 6.1 here, 6.2 there "
            "loopback_mtu_bytes : 65,536 bytes here, 1,500 bytes there flags : -g here, -fsanitize=thread there "
            "net.core.somaxconn : 4096 here, 128 there "
            "option budget_ms : 3.00 s here, 9.00 s there variants : 3.9 here, 3.11 there "
            "cpu_quota_cpus : none here, 1.50 there "
            "option quick : none here, yes there How it could have come out otherwise") in found.text
    result(tmp_path / "there/one.jsonl", verdict="refuted", **recorded)
    found = page(tmp_path / "out", here, "--compare", tmp_path / "there")
    assert "No recorded setting could explain it" in found.text and "not the same there" not in found.text


@pytest.mark.parametrize("make, said", [
    (lambda path: path, "No such file or directory"),
    (lambda path: path.mkdir() or path, "there are no results in it"),
    (lambda path: result(path / "other.jsonl"), "no verdict on a claim of this page"),
    (lambda path: result(path / "one.jsonl", sham="an-id"), "no verdict on a claim of this page"),
    (lambda path: result(path / "other.jsonl").parent, "no verdict on a claim of this page"),
    (lambda path: ROOT / "results" / "reference" / "bench-counter.json", "no verdict on a claim of this page"),
    (lambda path: path.write_text("{}\n") and path, "not a result file")])
def test_what_cannot_be_compared(make, said, tmp_path):
    done = report(tmp_path / "out", result(tmp_path / "one.jsonl"), "--compare", make(tmp_path / "x"))
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("report: ") and said in done.stderr and not (tmp_path / "out").exists()


@pytest.mark.parametrize("spoil, said", [
    (lambda path: path.write_text("{}\n"), "not a result file"),
    (lambda path: result(path, numbers={"wrong": {"k": 1, "n": "x", "low": [], "high": 1}}), "cannot be compared")])
def test_what_cannot_be_compared_of_a_folder(spoil, said, tmp_path):
    """The others are."""
    spoil(result(tmp_path / "there/two.jsonl"))
    result(tmp_path / "there/one.jsonl", verdict="refuted")
    done = report(tmp_path / "out", result(tmp_path / "one.jsonl"), result(tmp_path / "two.jsonl"),
                  "--compare", tmp_path / "there")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and said in done.stderr, done.stderr
    text = Page(tmp_path / "out" / "report.html").text
    assert "differs: refuted it was so race/one" in text and "holds not there it was so race/two" in text


# --- the rest of the page -------------------------------------------------------------------------

def test_the_data(tmp_path):
    """Of each field that a sample declares and has, by variant; text is listed."""
    path = result(tmp_path / "one.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0]["fields"] = [{"name": "elapsed_ns", "row": "sample", "help": "of the trial"},
                         {"name": "kind", "row": "sample", "help": "of thing"},
                         {"name": "lacking", "row": "sample", "help": "nowhere"},
                         {"name": "size", "row": "sample", "help": "in all", "column": "a|size", "key": True},
                         {"name": "at_ns", "row": "call", "help": "of a call"}]
    rows[1].update(kind="red", size=7, elapsed_ns=2000)
    rows[2].update(kind="blue", size=7, elapsed_ns=4000)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = page(tmp_path / "out", path)
    assert ("elapsed_ns of the trial a, a size 7 2 3.00 us 2.00 us 4.00 us "
            "kind of thing a, a size 7 2 red, blue") in found.text
    assert "lacking" not in found.text and "at_ns" not in found.text


def test_noise_is_said(tmp_path):
    """Of what measures times: how much is left out, or that what is shown was disturbed."""
    path = result(tmp_path / "one.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[1]["disturbed"] = "quota"
    for text in ("Noise: 1 of 2 samples were disturbed, and are left out.", "Noise: every trial was disturbed."):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        found = page(tmp_path / "out", path)
        assert text in found.text and found.text.index(text) < found.text.index("What would you expect?")
        rows[2]["disturbed"] = "quota"


def test_the_command_is_for_a_shell(tmp_path):
    path = result(tmp_path / "one.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0].update(experiment="a b; $(c)", params={"quick": True, "seed": 7})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "Run it again: build/'race/a b; $(c)' --quick --seed 7" in page(tmp_path / "out", path).text


def test_five_cards(tmp_path):
    """The refuted first, each of another group as long as there is one; none of a run with a doubt."""
    paths = []
    for order, (name, group, verdict, held) in enumerate((
            ("p", "a", "holds", True), ("q", "a", "refuted", True), ("r", "b", "depends", True),
            ("s", "b", "refuted", False), ("t", "c", "not-seen", True), ("u", "c", "holds", True)), 1):
        paths.append(result(tmp_path / f"{name}.jsonl", verdict=verdict, order=order, controls_held=held))
        rows = [json.loads(line) for line in paths[-1].read_text().splitlines()]
        rows[0]["group"] = group
        paths[-1].write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = page(tmp_path / "out", *paths)
    assert re.findall("taught: it is so ([a-z]+) ([a-c]/[a-z])", found.text) == [
        ("refuted", "a/q"), ("depends", "b/r"), ("holds", "c/u"), ("holds", "a/p")]


def test_one_script_of_its_own(tmp_path):
    found = page(tmp_path, *REFERENCE[:2])
    assert found.tags["script"] == 1 and not found.tags["link"] and not found.tags["img"]
    assert (ROOT / "scripts" / "page" / "script.js").read_text() in (tmp_path / "report.html").read_text()


def test_without_jinja2(tmp_path):
    """One line and 77, as without matplotlib."""
    (copy_scripts(tmp_path) / "jinja2.py").write_text("raise ImportError('none here')\n")
    done = subprocess.run([tmp_path / "scripts" / "report.py", "--out", tmp_path / "out"], capture_output=True,
                          text=True, env={**os.environ, "PYTHONPATH": str(tmp_path / "scripts")})
    assert (done.returncode, done.stdout) == (77, "") and not (tmp_path / "out").exists()
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("report: ") and "jinja2" in done.stderr


def test_what_is_unclear(tmp_path):
    found = page(tmp_path / "out", result(tmp_path / "one.jsonl", verdict="unclear"))
    assert "unclear 1 (this run cannot tell)" in found.text
    assert "it was so What may decide it: a calmer machine." in found.text


def test_a_sham_is_no_verdict(tmp_path):
    found = page(tmp_path / "out", result(tmp_path / "one.jsonl"),
                 result(tmp_path / "two.jsonl", sham="an-id"))
    check_links(found)
    assert "1 verdicts" in found.text
    assert found.text.count("SHAM: what an-id is about was taken away") == 2


def test_headlines_come_first(tmp_path):
    orders = {"one": 103, "two": 101, "three": 102, "four": 0}
    found = page(tmp_path / "out", *(result(tmp_path / f"{name}.jsonl", order=order)
                                     for name, order in orders.items()))
    assert [name for name in found.ids if re.fullmatch("race-[a-z]+", name)] == [
        "race-two", "race-three", "race-one", "race-four"]


@pytest.mark.parametrize("changes, told", [
    ({"controls_held": False, "said": [{"row": "failure", "text": "it was wrong"}]},
     ("A CONTROL FAILED", "it was wrong")),
    ({"interrupted": "SIGINT", "controls_held": None}, ("INTERRUPTED (SIGINT)",))])
def test_doubts_come_first(changes, told, tmp_path):
    found = page(tmp_path / "out", result(tmp_path / "one.jsonl", **changes))
    check_links(found)
    for text in told:
        assert found.text.count(text) == 2  # at the top, and where the run is
        assert found.text.index(text) < found.text.index("what is taught")


def test_what_this_machine_cannot_test(tmp_path):
    found = page(tmp_path / "out", result(tmp_path / "one.jsonl", samples=False),
                 result(tmp_path / "two.jsonl"))
    check_links(found)
    assert "skipped 1" in found.text and "holds 1" in found.text
    assert found.charts == ["race-two"]


def test_what_cannot_be_read_is_said(tmp_path):
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"row":"run","schema":2,"experiment":"x"}\n')
    done = report(tmp_path / "out", broken, result(tmp_path / "one.jsonl"))
    assert done.returncode == 2 and done.stderr.startswith("report: ")
    assert len(done.stderr.splitlines()) == 1 and "no end row" in done.stderr
    assert "it was so" in Page(tmp_path / "out" / "report.html").text


@pytest.mark.parametrize("arguments", [["--nonsense"], ["no-such-file"], ["--out", "/dev/null/x"]])
def test_bad_arguments(arguments, tmp_path):
    path = result(tmp_path / "one.jsonl")
    done = report(tmp_path / "out", *arguments, *([path] if "--out" in arguments else []))
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("report: ") and not (tmp_path / "out").exists()
