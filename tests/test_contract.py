# SPDX-License-Identifier: MIT
"""What every experiment promises: its command line, its rows, its exit status, its end.

Nothing here knows a program by name, and nothing is said about speeds.
"""
import itertools
import os
import re
import signal
from pathlib import Path

import pytest
import sham
from lines import columns
from program import (ROOT, SHORT, TIMEOUT, environment, finish, kind, left_behind, options, order, parse,
                     programs, run, run_on_a_terminal, start, until, verdicts)
from sentence import sentence

WIDTH = 80
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
VERDICTS = {"holds", "refuted", "depends", "not-seen", "unclear", "skipped"}
WORDS = "|".join(word.upper().replace("-", " ") for word in VERDICTS)
SAID = ("why", "note", "failure")  # rows of a text for people
TWO_HOSTS = {"peer", "serve"}  # options of those with two halves, which are no parameters
RUN_KEYS = {"schema", "experiment", "group", "summary", "claims", "params", "utc", "version", "commit",
            "dirty", "compiler", "flags", "kernel", "arch", "virtualisation", "cpus_online",
            "cpus_allowed", "load", "sysctl", "sham", "variants", "fields", "bounds", "shams"}
END_KEYS = {"controls_held", "samples", "interrupted", "wall_ns", "own_cpu_ns", "machine_cpu_ns",
            "steal_ns", "trials", "disturbed_trials", "looks_left"}
DISTURBANCE_KEYS = {"row", "trials", "cause", "wall_ns", "involuntary_switches", "stops"}
ENDLESS = ("--quick", "--trials", "100000", "-o", "rows.jsonl")


def assert_error(ended, *words, out=""):
    """Status 2 and one line that tells what is wrong."""
    assert ended.returncode == 2, ended
    assert ended.stderr.count("\n") == 1 and ended.stderr.endswith("\n"), ended.stderr
    for word in words:
        assert word in ended.stderr
    if out is not None:
        assert ended.stdout == out


def too_wide(text):
    return [line for line in text.splitlines() if len(line) > WIDTH]


def test_there_are_programs():
    assert programs(), "nothing is built"


def test_help_reader():
    """The reader of --help, on which the tests of options rest."""
    found = options("""Usage: x [OPTION...]
 This experiment:
  -n, --number=N             how many (of all) (0
                             to 1,064; default 0; 0 is (1 to 2) all)
      --a-rather-long-name=BYTES   bytes (1 B to 2
                             GiB; default 4 KiB, quick 1 KiB)
      --flag                 a flag (2 to 3 times)
      --word=WORD            a word, any
      --words=WORD           a word of these (near,
                             far; default near)
  -?, --help                 Give this help list

Mandatory or optional arguments""")
    assert [(o.name, o.param, o.is_number) for o in found] == [
        ("number", "number", True), ("a-rather-long-name", "a_rather_long_name_bytes", True),
        ("flag", "flag", False), ("word", "word", False), ("words", "words", False)]
    assert [o.choices for o in found] == [[], [], [], [], ["near", "far"]]
    assert [(o.low, o.high) for o in found[:2]] == [(0, 1064), (1, 2 << 30)]


# --- the command line -----------------------------------------------------------------------------

def test_help(help_text, quick):
    plain = " ".join(help_text.split())
    for claim, text in quick.rows[0]["claims"].items():
        assert f"{claim} {' '.join(text.split())}" in plain
    for variant, text in quick.rows[0]["variants"].items():
        assert f"{variant} {' '.join(text.split())}" in plain
    assert not too_wide(help_text)


def test_version(program):
    ended = run(program, "--version")
    assert ended.returncode == 0
    assert re.fullmatch(rf"{program.name}, stallrace \S+ \(\w+(, changed)?\)\n", ended.stdout)
    assert ended.stderr == ""


def test_usage(program):
    ended = run(program, "--usage")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"Usage: {program.name} [") and not too_wide(ended.stdout)


WRONG_USAGE = [
    (["--no-such-option"], "--no-such-option"),
    (["--HANG"], "--HANG"),  # which argp has: it would sleep for an hour
    (["-Z"], "'Z'"),
    (["stray"], "'stray'"),
    (["--trials"], "--trials"),
    (["-o"], "'o'"),
    (["--cpus", "4096"], "--cpus"),
    (["--cpus", "x"], "--cpus"),
    (["--cpus", ""], "--cpus"),
    (["--variants", "no such"], "--variants"),
    (["-o", "no/such/folder/rows.jsonl"], "no/such/folder/rows.jsonl"),
    (["-o", "/"], "/"),
    (["a\nb"], "unexpected argument"),
    (["--seed", "1\n2"], "--seed"),
    (["-o", "\x1b[31m"], "--output")]

def in_turn(program, *ways):
    """One of these, another for the next program: what they share is the library's."""
    return ways[programs().index(program) % len(ways)]


UNREADABLE = ("a\nb", "\x1b[31m", "a\u202e")


def test_wrong_usage(program, tmp_path, shortest):
    for arguments, word in WRONG_USAGE:
        assert_error(run(program, *shortest, *arguments, cwd=tmp_path), word)
        assert not list(tmp_path.iterdir())


def test_numbers_out_of_range(program, opts, shortest):
    numbers = [option for option in opts if option.is_number]
    assert {"trials", "seed"} <= {option.name for option in numbers}
    for option in numbers:
        for wrong in (option.low - 1, option.high + 1, in_turn(program, "many", "", "1x", "9" * 30)):
            assert_error(run(program, *shortest, f"--{option.name}={wrong}"), f"--{option.name}")


def test_words_that_no_line_can_show(program, opts):
    for option, wrong in zip((option for option in opts if option.argument and not option.is_number),
                             itertools.cycle(UNREADABLE)):
        ended = run(program, f"--{option.name}={wrong}", "--describe")
        assert_error(ended, f"--{option.name}")
        assert wrong not in ended.stderr


def test_python_that_is_none(program, opts):
    """Before anything is printed."""
    if any(option.name == "python" for option in opts):
        for more in ((), ("--help",), ("--describe",)):
            assert_error(run(program, "--python", "/bin/true", *more), "--python", "/bin/true")


def test_words_out_of_choice(program, opts):
    for option in opts:
        if option.choices:
            assert_error(run(program, f"--{option.name}=no such"), f"--{option.name}",
                         *option.choices)


# --- the rows and the text ------------------------------------------------------------------------

def test_quick_run(quick):
    assert quick.status in (0, 77), quick.out + quick.err
    assert quick.err == ""
    assert list(quick.files) == ["rows.jsonl"]
    assert quick.files["rows.jsonl"].endswith("\n")


def test_text(quick):
    assert not too_wide(quick.out)
    assert "\x1b" not in quick.out
    for claim in quick.rows[0]["claims"]:
        assert re.search(rf"^  {claim} +({WORDS}) ", quick.out, re.MULTILINE)


def test_run_row(program, quick, opts):
    row = quick.rows[0]
    assert list(row)[:2] == ["row", "schema"] and (row["row"], row["schema"]) == ("run", 2)
    assert RUN_KEYS <= set(row)
    assert (row["experiment"], row["group"]) == (program.name, program.parent.name)
    assert row["summary"].strip()
    assert set(row["params"]) - {"left_out"} == {option.param for option in opts if option.name not in TWO_HOSTS}
    assert row["sham"] is None
    for option in opts:
        if option.is_number:
            assert option.low <= row["params"][option.param] <= option.high
        if option.choices:
            assert row["params"][option.param] in option.choices
    assert row["params"]["quick"] is True
    assert len(kind(quick.rows, "run")) == 1


def test_end_row(quick):
    end = quick.rows[-1]
    assert end["row"] == "end" and END_KEYS <= set(end)
    assert end["controls_held"] is True and end["interrupted"] is None
    assert end["samples"] == len(kind(quick.rows, "sample"))
    assert len(kind(quick.rows, "end")) == 1


def test_verdict_rows(quick):
    rows = kind(quick.rows, "verdict")
    claims = quick.rows[0]["claims"]
    assert claims and all(claims.values())
    assert sorted(row["claim"] for row in rows) == sorted(claims)
    for row in rows:
        assert row["verdict"] in VERDICTS and row["sentence"].strip()
        assert ("remedy" in row) == (row["verdict"] == "unclear")
        assert quick.status == 0 or row["verdict"] == "skipped"
        assert not re.search(r"\b(nan|inf)\b", row["sentence"])
        assert row["numbers"] and sentence(row["template"], row["numbers"]) == row["sentence"]


def test_where_the_rows_are_is_said(quick):
    assert quick.out.endswith("\n  rows: rows.jsonl\n")


def test_what_was_said_is_kept(quick):
    shown = " ".join(quick.out.split())
    for row in quick.rows:
        if row["row"] in SAID:
            assert list(row) == (["row", "text"] if row["row"] == "why" else ["row", "template", "numbers", "text"])
            assert " ".join(row["text"].split()) in shown
            assert row["row"] == "why" or sentence(row["template"], row["numbers"]) == row["text"]


def test_sample_rows(quick, runs_here):
    samples = kind(quick.rows, "sample")
    params = quick.rows[0]["params"]
    variants = {sample.get("variant") for sample in samples}
    rounds = max(trial for trial, _ in order(samples)) + 1
    assert rounds >= params["trials"]
    of_each = {variant: {trial for trial, of in order(samples) if of == variant} for variant in variants}
    assert set().union(*of_each.values()) == {*range(rounds)}
    assert all(0 in its for its in of_each.values())
    if not (quick.rows[0]["timed"] and quick.rows[-1]["disturbed_trials"]):  # none to make up for
        assert {*range(rounds)} in of_each.values()
        for its in of_each.values():  # no verdict is made of one with fewer
            assert its == {*range(len(its))}
    for row in quick.rows[1:-1]:
        assert list(row)[0] == "row"
        if row["row"] in ("verdict", "disturbance", *SAID):
            continue
        assert row["trial"] in range(rounds) and row.get("variant") in variants
        # base units: what is not a word is an integer, and true is none
        assert {type(value) for value in row.values()} <= {int, str}, row


def test_disturbance_rows(quick, runs_here):
    """Each trial is in one of them, and its samples say whether it was disturbed."""
    disturbances = kind(quick.rows, "disturbance")
    end = quick.rows[-1]
    assert sum(row["trials"] for row in disturbances) == end["trials"] > 0
    assert end["disturbed_trials"] == sum(row["trials"] for row in disturbances if row["cause"])
    pending = []
    for row in quick.rows:
        if row["row"] == "sample":
            pending.append(row.get("disturbed"))
        if row["row"] == "disturbance":
            assert DISTURBANCE_KEYS <= set(row)
            assert set(pending) <= {row["cause"]}
            pending = []
            for figure in ("foreign_ns", "steal_ns", "throttled_ns"):
                assert 0 <= row.get(figure, 0) <= row["wall_ns"] * os.cpu_count()


@pytest.fixture
def two_trials(program, shortest, once, tmp_path_factory):
    """What `PROGRAM --quick --trials 2 -o -` prints, and the folder that it ran in."""
    def make():
        folder = tmp_path_factory.mktemp(program.name)
        return run(program, *shortest, "--trials", "2", "-o", "-", cwd=folder), folder
    return once((program, "two"), make)


@pytest.mark.parametrize("how", ["two trials", "no budget"])
def test_no_trials_more(program, short, one_variant, runs_here, how, two_trials):
    ended = two_trials[0]
    if how == "no budget":
        ended = run(program, "--quick", "--budget", "0", *short[len(SHORT):], *one_variant, "-o", "-")
    rows = parse(ended.stdout)
    trials = {trial for trial, _ in order(kind(rows, "sample"))}
    assert trials and trials <= {*range(rows[0]["params"]["trials"])}  # some variants have one only
    assert how == "no budget" or trials == {0, 1}


def test_one_variant(program, quick, runs_here):
    """Claims about the others are skipped, none is judged by nothing."""
    variant = next(reversed(quick.rows[0]["variants"]), None)
    if not variant:
        pytest.skip("has no variants")
    ended = run(program, *SHORT, "--variants", variant, "-o", "-")
    assert ended.returncode in (0, 77), ended.stderr
    rows = parse(ended.stdout)
    assert {row["variant"] for row in kind(rows, "sample")} <= {variant}
    assert verdicts(rows).keys() == rows[0]["claims"].keys()


def test_rows_on_stdout(quick, two_trials):
    """The text goes to stderr then, and no file is left."""
    ended, folder = two_trials
    rows = parse(ended.stdout)
    assert (ended.returncode, rows[0]["row"], rows[-1]["row"]) == (quick.status, "run", "end")
    assert rows[0]["params"]["seed"] == quick.rows[0]["params"]["seed"]
    for claim in rows[0]["claims"]:
        assert claim in ended.stderr
    assert "\x1b" not in ended.stderr and not too_wide(ended.stderr)
    assert not list(folder.iterdir())


def test_quiet(program, quick, shortest):
    ended = run(program, *shortest, in_turn(program, "--quiet", "--brief"))
    claims = quick.rows[0]["claims"]
    starts = [line.split()[0] for line in ended.stdout.splitlines() if line[2] != " "]
    assert (ended.returncode, ended.stderr) == (quick.status, "")
    assert sorted(starts) == sorted(claims)


def test_cpus_and_ascii_in_the_c_locale(program, quick, tmp_path, shortest):
    cpu = str(min(os.sched_getaffinity(0)))
    ended = run(program, *shortest, "--cpus", cpu, "-o", "rows.jsonl", cwd=tmp_path, env=environment(LC_ALL="C"))
    row = parse((tmp_path / "rows.jsonl").read_text(encoding="utf-8"))[0]
    assert (ended.returncode, ended.stderr) == (quick.status, "")
    assert ended.stdout.isascii()
    assert (row["cpus_allowed"], row["params"]["cpus"]) == (cpu, cpu)


# --- what is declared -----------------------------------------------------------------------------

def test_describe(program, quick, described):
    run_row = quick.rows[0]
    for what in ("claims", "variants", "fields", "bounds", "shams"):
        assert described[what] == run_row[what]
    assert (described["experiment"], described["group"]) == (program.name, program.parent.name)
    assert described["order"] > 0
    for bound in described["bounds"].values():
        assert bound["why"].strip()


def test_fields(quick, described, runs_here):
    """What is declared is recorded, and the other way round (which the library demands)."""
    names = [(field["row"], field["name"]) for field in described["fields"]]
    assert len(names) == len(set(names))
    assert all(field["help"].strip() for field in described["fields"])
    recorded = {(row["row"], name) for row in quick.rows for name in row}
    left_out = quick.rows[0]["params"].get("left_out") or "skipped" in verdicts(quick.rows).values()
    assert left_out or not set(names) - recorded


def test_every_claim_and_control_has_a_sham(quick, described):
    assert set(described["claims"]) | set(described["controls"]) == set(described["shams"])


def is_another_processor(rows):
    """Than that of the reference run, in which each sham was seen to turn its claim (test_docs)."""
    reference = ROOT / "results" / "reference" / f"{rows[0]['experiment']}.jsonl"
    if not reference.exists():
        return False
    with open(reference, encoding="utf-8") as lines:
        return parse(next(lines))[0]["cpu_model"] != rows[0]["cpu_model"]


def shams_of(program, quick, described, short, of_fields):
    """{name: what came of its sham}: of fields that must be 0, or of claims and controls that are judged."""
    words = verdicts(quick.rows)
    fields = {field["name"] for field in described["fields"]}
    of_one = short[len(SHORT):]  # interpreter
    came, failed = {}, {}  # controls with one sham fail together
    longer = True
    for name, declared in described["shams"].items():
        if words.get(name) == "skipped" or (declared["of"] == "control" and name in fields) != of_fields:
            continue
        same = failed if declared["of"] == "control" else {}
        for more in dict.fromkeys((of_one, ())):  # all of them where one tells nothing
            came[name] = same.get(declared["sham"]) or sham.run(program, name, declared["of"], TIMEOUT, *more,
                                                                longer=longer, env=environment())
            if came[name] not in ("skipped", *sham.TELLS_NOTHING):
                break
        same[declared["sham"]] = came[name]
        longer = longer and came[name] != "unclear"  # else the machine is too busy for a longer run as well
    return came


def test_shams_of_fields(program, quick, described, short, runs_here):
    """Each field that must be 0 is not when what keeps it so is taken away, also on a busy machine."""
    came = shams_of(program, quick, described, short, of_fields=True)
    assert not {name: word for name, word in came.items() if word not in (described["shams"][name]["then"], "skipped")}


def test_shams(program, quick, described, short, runs_here, alone):
    """Each claim comes out as declared when what it is about is taken away, each control that is judged fails."""
    words = verdicts(quick.rows)
    came = shams_of(program, quick, described, short, of_fields=False)
    wrong = {name: word for name, word in came.items()
             if word not in (described["shams"][name]["then"], "unclear", "skipped")}
    assert not wrong
    unturned = [name for name in came if described["shams"][name]["then"] == words.get(name)]
    if unturned and quick.rows[-1]["disturbed_trials"]:  # by chance a sham's verdict came without it
        pytest.skip(f"disturbed, and the same without its sham: {', '.join(unturned)}")
    if unturned and is_another_processor(quick.rows):
        pytest.skip(f"on this processor the same without its sham: {', '.join(unturned)}")
    assert not unturned, "the same without its sham"
    if "unclear" in came.values():
        pytest.skip("too disturbed or too slow to tell: "
                    + ", ".join(name for name, word in came.items() if word == "unclear"))


def test_sham_is_said(program, described, shortest):
    for name in list(described["shams"])[:1]:
        ended = run(program, *shortest, "--sham", name, "-o", "-")
        rows = parse(ended.stdout)
        assert rows[0]["sham"] == name
        assert f"SHAM {name}" in ended.stderr.splitlines()[0]
        assert ended.stderr.count("SHAM") > len(kind(rows, "verdict"))
    assert_error(run(program, "--sham", "no-such-sham"), "--sham", "no-such-sham")


# --- full disks -----------------------------------------------------------------------------------

def test_rows_on_a_full_disk(program, shortest):
    ended = run(program, *shortest, "-o", "/dev/full")
    assert_error(ended, "/dev/full", "No space left", out=None)
    assert not Path("/dev/full.part").exists()


def test_stdout_on_a_full_disk(program, shortest):
    """Of the text, or of the rows."""
    with open("/dev/full", "w", encoding="utf-8") as full:
        ended = run(program, *shortest, *in_turn(program, (), ("-o", "-")), stdout=full)
    assert ended.returncode == 2 and "No space left" in ended.stderr.splitlines()[-1]


def test_reader_that_goes_away(program, shortest):
    """As in `PROGRAM -o - | head -n1`: an error, not a death by SIGPIPE."""
    reader, pipe = os.pipe()
    os.close(reader)  # before the program begins: a quick one would have ended else
    process = start(program, *shortest, "-o", "-", stdout=pipe)
    os.close(pipe)
    ended = finish(process)
    assert ended.returncode == 2 and "Broken pipe" in ended.stderr.splitlines()[-1]


# --- interruptions --------------------------------------------------------------------------------

def interrupt(program, folder, number):
    """Sends a signal in the midst of a long run, when some samples are there."""
    part = folder / "rows.jsonl.part"
    process = start(program, *ENDLESS, cwd=folder)
    until(lambda: process.poll() is not None or
          part.exists() and b'"row":"disturbance"' in part.read_bytes(), "sample")
    process.send_signal(number)
    ended = finish(process)
    assert (ended.returncode, ended.stderr) == (-number, ""), ended
    assert not left_behind(process)
    return sorted(path.name for path in folder.iterdir())


def test_interrupted(program, runs_here, tmp_path):
    name = in_turn(program, "SIGINT", "SIGTERM")
    assert interrupt(program, tmp_path, getattr(signal, name)) == ["rows.jsonl"]
    rows = parse((tmp_path / "rows.jsonl").read_text(encoding="utf-8"))
    end = rows[-1]
    assert (rows[0]["row"], end["row"], end["interrupted"]) == ("run", "end", name)
    assert end["samples"] == len(kind(rows, "sample")) > 0
    assert end["controls_held"] is None


def test_killed(program, runs_here, tmp_path):
    """Half a file is never under the final name."""
    assert interrupt(program, tmp_path, signal.SIGKILL) == ["rows.jsonl.part"]
    text = (tmp_path / "rows.jsonl.part").read_text(encoding="utf-8")
    assert not kind(parse(text[:text.rindex("\n")]), "end")


def test_nothing_left_behind(quick):
    assert not quick.processes


# --- terminals ------------------------------------------------------------------------------------

def test_colour_and_the_same_order(quick, short, on_a_terminal):
    """The seed's default is the same, so is the order of the variants in the first round."""
    assert on_a_terminal.status == quick.status and COLOUR.search(on_a_terminal.shown)
    if short == SHORT:  # of all interpreters
        here, there = ([at for at in order(kind(rows, "sample")) if at[0] == 0]
                       for rows in (on_a_terminal.rows, quick.rows))
        assert here == there
    assert [line for line in on_a_terminal.drawn if columns(line) > WIDTH] == []


def test_no_colour(program, quick, shortest):
    """A dumb terminal understands no escapes, so not those of a progress line either."""
    name, value, pattern = in_turn(program, ("NO_COLOR", "1", COLOUR), ("TERM", "dumb", re.compile("\x1b")))
    status, shown = run_on_a_terminal(program, *shortest, env=environment(**{name: value}))
    assert status == quick.status and not pattern.search(shown)
