# SPDX-License-Identifier: MIT
"""scripts/plot.py: every chart from the committed results, and one line for what it cannot draw.

What a chart shows is for eyes; here stand size, sameness, and that nothing half is ever left.
"""
import json
import os
import pathlib
import struct
import subprocess
import sys
import xml.etree.ElementTree
import zlib

import pytest
from program import copy_scripts

ROOT = pathlib.Path(__file__).resolve().parent.parent
PLOT = ROOT / "scripts" / "plot.py"
PYTHON = ROOT / "scripts" / "python"
REFERENCE = sorted((ROOT / "results" / "reference").glob("*.json*"))

sys.path.insert(0, str(ROOT / "scripts"))
import rows  # noqa: E402

needs_matplotlib = pytest.mark.skipif(
    subprocess.run([PYTHON, "matplotlib,numpy"], stderr=subprocess.DEVNULL).returncode != 0,
    reason="no python3 here has matplotlib")
pytestmark = needs_matplotlib


def plot(*arguments, script=PLOT, **how):
    return subprocess.run([script, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, timeout=600, **how)


def refused(done, out, status=2):
    """One line on stderr, and no file left."""
    assert done.returncode == status, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("plot: ")
    assert done.stdout == ""
    assert not out.exists() or not list(out.iterdir())


DECLARED = {
    "variants": {name: f"what {name} does" for name in ("split", "plain", "mutex", "atomic")},
    "bounds": {"enough_trials": {"value": 3.0, "why": "a reason"}},
    "fields": [{"name": "at_ns", "row": "call", "type": "integer", "help": "when it began"},
               {"name": "at_ns", "row": "sample", "type": "integer", "help": "when it ended"}]}


def result(experiment="counter", schema=2, interrupted=None, controls_held=True, samples=None,
           sham=None):
    """The lines of a small result."""
    if samples is None:
        samples = [sample(trial, variant, lost) for trial in range(3)
                   for variant, lost in (("split", 400 + trial), ("mutex", 0))]
        samples = [row for pair in samples for row in pair]
    lines = [{"row": "run", "schema": schema, "experiment": experiment, "group": "race",
              "sham": sham, "params": {"threads": 2, "trials": 3}, "utc": "2026-01-02T03:04:05Z",
              **DECLARED},
             *samples,
             {"row": "verdict", "claim": "a", "verdict": "skipped",
              "sentence": "no such thing here"},
             {"row": "end", "interrupted": interrupted, "controls_held": controls_held,
              "samples": len(samples)}]
    return [json.dumps(line) for line in lines]


def sample(trial, variant, lost):
    same = {"row": "sample", "trial": trial, "variant": variant, "threads": 2, "iterations": 1000,
            "elapsed_ns": 5000 + trial}
    return ({**same, "program": "+/-", "final_x": -lost, "error_updates": lost},
            {**same, "program": "++", "increments_x": 2000 - lost, "lost_updates": lost})


def write(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def pixels(png):
    """Width, height and the raw rows of a PNG; its check sums are looked at."""
    data = png.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, parts = 8, {}
    while at < len(data):
        length, = struct.unpack(">I", data[at:at + 4])
        kind, body = data[at + 4:at + 8], data[at + 8:at + 8 + length]
        check_sum, = struct.unpack(">I", data[at + 8 + length:at + 12 + length])
        assert check_sum == zlib.crc32(kind + body)
        parts[kind] = parts.get(kind, b"") + body
        at += 12 + length
    assert b"IEND" in parts and b"tEXt" not in parts and b"tIME" not in parts
    width, height = struct.unpack(">II", parts[b"IHDR"][:8])
    return width, height, zlib.decompress(parts[b"IDAT"])


def tree(tmp_path):
    """A copy of the scripts, with a results folder of its own."""
    return copy_scripts(tmp_path) / "plot.py", tmp_path / "results"


def test_what_is_declared_is_in_the_rows(tmp_path):
    lines = [json.loads(line) for line in result()]
    lines[-2].update(verdict="holds", numbers={
        "wrong": {"k": 2, "n": 3, "low": 0.1, "high": 0.9}, "took_ns": 5.5})
    read = rows.read(write(tmp_path / "a", map(json.dumps, lines)))
    assert read.help("split") == "what split does" and read.bound("enough_trials") == 3
    assert (read.verdict("a"), read.verdict("b")) == ("holds", None)
    there = [read.number("a", name) for name in ("wrong.k", "wrong.low", "took_ns")]
    assert there == [2, 0.1, 5.5]
    assert read.number("b", "wrong") is None  # which was not judged
    for name in ("wrong.x", "none"):
        with pytest.raises(KeyError):
            read.number("a", name)


# --- what can be drawn ----------------------------------------------------------------------------


def test_there_are_reference_results():
    assert REFERENCE, "results/reference holds no result to draw"


# A third each, and the last one on the page of test_report; test_a_chart_asks_for_what_rows_have goes through all.
DRAWN = {"png": REFERENCE[::3], "svg": REFERENCE[1::3]}


@pytest.fixture(scope="module", params=DRAWN)
def drawn(request, tmp_path_factory):
    """Reference results; and some again, by somebody with other settings."""
    folder = tmp_path_factory.mktemp("drawn")
    (folder / "matplotlibrc").write_text("font.size: 20\nsavefig.dpi: 50\n")
    for out, paths, env in (
            ("a", DRAWN[request.param], {}),
            ("b", DRAWN[request.param][::4],
             {"MATPLOTLIBRC": str(folder / "matplotlibrc"), "TZ": "UTC-9", "LC_ALL": "C",
              "MPLBACKEND": "no such thing"})):
        done = plot("--format", request.param, "--out", folder / out, *paths,
                    env={**os.environ, **env})
        assert (done.returncode, done.stderr) == (0, "")
        names = {folder / out / f"{rows.read(path).name}.{request.param}" for path in paths}
        drawn_here = sorted((folder / out).iterdir())  # a result may have several: NAME-*.png
        assert sorted(done.stdout.splitlines()) == [str(name) for name in drawn_here]
        assert names <= set(drawn_here)
    return folder


def test_reference_results_are_drawn(drawn):
    """As images of the right size with something on each."""
    for picture in (drawn / "a").iterdir():
        if picture.suffix == ".png":
            width, height, data = pixels(picture)
            assert (width, height) == (1600, 1000)
            assert len(set(data[::97])) > 20  # more than paper
        else:
            assert xml.etree.ElementTree.parse(str(picture)).getroot().tag.endswith("svg")


def test_it_is_drawn_the_same_again(drawn):
    pictures = sorted((drawn / "b").iterdir())
    assert pictures
    different = [picture.name for picture in pictures
                 if picture.read_bytes() != (drawn / "a" / picture.name).read_bytes()]
    assert not different


def test_a_chart_asks_for_what_rows_have():
    asked = subprocess.run([PYTHON, "matplotlib,numpy", "--", ROOT / "tests" / "asked.py",
                            *(path for path in REFERENCE if path.suffix == ".jsonl")],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600)
    assert (asked.returncode, asked.stdout) == (0, ""), asked.stderr


def test_a_model_without_ranks_is_drawn(tmp_path):
    """A quick run beside other work has no interval of some, so their ranks are not in the verdict."""
    lines = [json.loads(line) for line in
             (ROOT / "results" / "reference" / "ideal.jsonl").read_text(encoding="utf-8").splitlines()]
    verdict, = (row for row in lines if row.get("claim") == "srv-ideal")
    del verdict["numbers"]["coroutine"]
    path = write(tmp_path / "ideal.jsonl", map(json.dumps, lines))
    done = plot("--out", "out", path.name, cwd=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert pixels(tmp_path / "out" / "ideal.png")[:2] == (1600, 1000)


def test_every_reference_experiment_has_a_chart_of_its_own():
    for path in REFERENCE:
        result = rows.read(path)
        name = "bench" if isinstance(result, rows.Bench) else result.name
        assert (ROOT / "scripts" / "charts" / f"{name}.py").exists()


def test_an_experiment_without_a_chart_gets_the_default(tmp_path):
    names = ("brand-new", "style", "default", "bench", "../../etc/passwd", "")
    paths = [write(tmp_path / f"{at}.jsonl", result(experiment=name))
             for at, name in enumerate(names)]
    done = plot("--out", tmp_path / "out", *paths)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list((tmp_path / "out").iterdir())) == len(names)
    for picture in (tmp_path / "out").iterdir():
        assert pixels(picture)[:2] == (1600, 1000)


@pytest.mark.parametrize("flaw", [{"interrupted": "SIGINT"}, {"controls_held": False},
                                  {"sham": "a"}])
def test_a_flawed_result_is_marked(flaw, tmp_path):
    pictures = []
    for how in ({}, flaw):
        path = write(tmp_path / "counter.jsonl", result(**how))
        assert plot("--out", tmp_path, path).returncode == 0
        _, _, data = pixels(tmp_path / "counter.png")
        pictures.append(undo_filters(data[:1600 * 4 * 60]))  # the top, where the title stands
    mark = bytes((0xD5, 0x5E, 0x00, 0xFF)) * 40  # a stretch of the mark's red
    assert mark not in pictures[0] and mark in pictures[1]


def undo_filters(data, width=1600, size=4):
    """The first rows of a PNG's pixels: each row was stored as differences to its neighbours."""
    stride, above, image = width * size + 1, bytearray(width * size), bytearray()
    for begin in range(0, len(data) - stride + 1, stride):
        how, row = data[begin], bytearray(data[begin + 1:begin + stride])
        for i in range(len(row)):
            left = row[i - size] if i >= size else 0
            corner = above[i - size] if i >= size else 0
            guess = left + above[i] - corner
            row[i] = (row[i] + (0, left, above[i], (left + above[i]) // 2, min(
                (left, above[i], corner), key=lambda near: abs(guess - near)))[how]) & 255
        image += row
        above = row
    return bytes(image)


def test_some_variants_or_programs_are_enough(tmp_path):
    kept = ([sample(0, "mutex", 0)[0]], [sample(0, "split", 9)[1]], [sample(0, "plain", 0)[1]],
            [sample(0, "split", 9)[0]], sample(0, "split", 9), sample(0, "atomic", 3))
    paths = [write(tmp_path / f"{at}.jsonl", result(samples=list(samples)))
             for at, samples in enumerate(kept)]
    done = plot("--out", tmp_path / "out", *paths)
    assert (done.returncode, done.stderr) == (0, "")


def test_two_results_of_one_experiment_are_named_after_their_files(tmp_path):
    paths = [write(tmp_path / name, result()) for name in ("a.jsonl", "b.jsonl")]
    assert plot("--out", tmp_path / "out", *paths).returncode == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.png", "b.png"}
    done = plot("--out", tmp_path / "same", paths[0], paths[0])
    assert done.returncode == 2
    assert not list((tmp_path / "same").iterdir())


# --- the newest results ---------------------------------------------------------------------------


def test_without_files_the_newest_of_every_experiment_is_drawn(tmp_path):
    script, results = tree(tmp_path)
    write(results / "race" / "counter-20260101T000000Z.jsonl", ["broken, but old"])
    write(results / "race" / "counter-20260201T000000Z.jsonl", result())
    write(results / "race" / "other-20250101T000000Z.jsonl", result(experiment="other"))
    write(results / "race" / "counter-20270101T000000Z.jsonl.part", ["being written"])
    write(results / "reference" / "more-20270101T000000Z.jsonl", result(experiment="more"))
    write(results / "charts" / "none-20270101T000000Z.jsonl", result(experiment="none"))
    write(results / "race" / "counter-20260301T000000Z.jsonl", result(sham="a")[:-1])  # no result
    write(results / "race" / "sham-20260301T000000Z.jsonl", result(experiment="sham", sham="a"))
    done = plot(script=script, cwd="/")
    assert (done.returncode, done.stderr) == (0, "")
    charts = (results / "charts").glob("*.png")
    assert {path.name for path in charts} == {"counter.png", "other.png"}


def test_one_bad_result_does_not_hide_the_others(tmp_path):
    script, results = tree(tmp_path)
    write(results / "race" / "counter-20260201T000000Z.jsonl", result()[:-1])
    write(results / "race" / "other-20250101T000000Z.jsonl", result(experiment="other"))
    done = plot(script=script, cwd=str(tmp_path))
    assert done.returncode == 2
    assert done.stdout == "results/charts/other.png\n"
    assert len(done.stderr.splitlines()) == 1 and "counter-20260201T000000Z.jsonl" in done.stderr


def test_no_results(tmp_path):
    script, results = tree(tmp_path)
    refused(plot(script=script), results / "charts")
    results.mkdir()
    refused(plot(script=script), results / "charts")


def test_a_skipped_run_has_nothing_to_draw(tmp_path):
    path = write(tmp_path / "skipped.jsonl", result(samples=[]))
    done = plot("--out", tmp_path / "out", path)
    refused(done, tmp_path / "out", 77)
    assert "no such thing here" in done.stderr
    other = write(tmp_path / "counter.jsonl", result())
    assert plot("--out", tmp_path / "out", path, other).returncode == 0


# --- what cannot be drawn -------------------------------------------------------------------------


BAD = {
    "empty": ([""], "not a result file"),
    "other text": (["hello"], "not a result file"),
    "other json": (["{}"], "not a result file"),
    "a list": (["[1]"], "not a result file"),
    "indented json": (["{", "}"], "not a result file"),
    "half a bench": (["{", ' "bench": "counter",'], "broken"),
    "bench without timings": (["{", ' "bench": "x", "schema": 2}'], "broken"),
    "no end row": (result()[:-1], "cut short"),
    "half a line": (result()[:4] + [result()[4][:20]], "cut short"),
    "broken line": (result()[:3] + ['{"row": "sample", '] + result()[3:], "line 4"),
    "line of another kind": (result()[:3] + ["7"] + result()[3:], "line 4"),
    "lost samples": (result()[:3] + result()[4:], "samples"),
    "rows after the end": (result() + [result()[1]], "follows the end"),
    "two runs": (result() + result(), "second run"),
    "another schema": (result(schema=9), "schema 9"),
    "an older schema": (result(schema=1), "older version of the suite and must be measured again"),
    "no schema": (result(schema=None), "schema"),
    "fields that are not there": (result(experiment="stall"), "cannot be drawn"),
    "fields of another type": (result(samples=[dict(sample(0, "split", 1)[1], threads="two")]),
                               "cannot be drawn"),
}


def test_bad_files_are_refused(tmp_path):
    """Each with one line that names it and says why."""
    paths = [write(tmp_path / name.replace(" ", "-"), lines) for name, (lines, _) in BAD.items()]
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00" * 100)
    done = plot("--out", tmp_path / "out", *paths, tmp_path / "bytes")
    assert (done.returncode, done.stdout) == (2, "")
    said = done.stderr.splitlines()
    assert len(said) == len(paths) + 1
    for path, (_, why) in zip(paths, BAD.values()):
        line, = [line for line in said if f"/{path.name}: " in line]
        assert why in line
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["half a line", "another schema", "fields that are not there"])
def test_a_bad_file_alone(name, tmp_path):
    path = write(tmp_path / "bad.jsonl", BAD[name][0])
    refused(plot("--out", tmp_path / "out", path), tmp_path / "out")


def test_the_reader_flags_what_is_readable(tmp_path):
    good = rows.read(write(tmp_path / "a", result()))
    assert (good.interrupted, good.controls_held, good.skipped) == (None, True, None)
    assert len(good.samples) == 12 and good.verdicts["a"]["verdict"] == "skipped"
    assert rows.read(write(tmp_path / "b", result(interrupted="SIGTERM"))).interrupted == "SIGTERM"
    assert not rows.read(write(tmp_path / "c", result(controls_held=False))).controls_held
    assert rows.read(write(tmp_path / "d", result(samples=[]))).skipped == "no such thing here"
    disturbed = [{**row, "disturbed": "quota"} for row in sample(0, "split", 5)]
    calm = [*sample(1, "split", 6)]
    both = rows.read(write(tmp_path / "f", result(samples=disturbed + calm)))
    assert (both.samples, both.all_samples, both.disturbed) == (calm, disturbed + calm, [])
    none = rows.read(write(tmp_path / "g", result(samples=disturbed)))
    assert (none.samples, none.disturbed) == (disturbed, ["split"])
    one = rows.read(write(tmp_path / "i", result(samples=disturbed + [*sample(1, "atomic", 6)])))
    assert (one.samples, one.disturbed) == (one.all_samples, ["split"])
    assert rows.read(write(tmp_path / "h", result(sham="a"))).sham == "a" and good.sham is None
    for lines, error in ((result(schema=9), rows.UnknownSchema), (result()[:-1], rows.Truncated),
                         ([""], rows.NotAResult)):
        with pytest.raises(error):
            rows.read(write(tmp_path / "e", lines))


def test_files_that_cannot_be_read(tmp_path):
    for path in (tmp_path / "missing.jsonl", tmp_path):
        refused(plot("--out", tmp_path / "out", path), tmp_path / "out")


def test_bad_arguments(tmp_path):
    for arguments in (["--format", "gif"], ["--nonsense"], ["--out"], ["--form", "png"]):
        refused(plot(*arguments, cwd=str(tmp_path)), tmp_path / "results")


@pytest.mark.parametrize("out", ["file", "file/below", "/proc/none"])
def test_an_out_that_cannot_be_written(out, tmp_path):
    (tmp_path / "file").write_text("in the way")
    path = write(tmp_path / "counter.jsonl", result())
    refused(plot("--out", out, path, cwd=str(tmp_path)), tmp_path / "none")
    assert sorted(os.listdir(str(tmp_path))) == ["counter.jsonl", "file"]
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_picture_that_cannot_be_replaced_leaves_no_part(tmp_path):
    path = write(tmp_path / "counter.jsonl", result())
    (tmp_path / "out" / "counter.png").mkdir(parents=True)
    done = plot("--out", tmp_path / "out", path)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert os.listdir(str(tmp_path / "out")) == ["counter.png"]


# --- the right interpreter ------------------------------------------------------------------------


@pytest.fixture
def bare_python(tmp_path):
    """An environment whose python3 lacks matplotlib, like a version manager's."""
    (tmp_path / "lack").mkdir()
    (tmp_path / "lack" / "matplotlib.py").write_text(  # what it starts may have it
        "import os\nos.environ.pop('PYTHONPATH')\nraise ImportError('none here')\n")
    fake = tmp_path / "bin" / "python3"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path}/lack exec {sys.executable} "$@"\n')
    fake.chmod(0o755)
    env = {**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}"}
    env.pop("PYTHON", None)
    return env


def test_a_python3_without_matplotlib_is_passed_over(tmp_path, bare_python):
    if subprocess.run(["/usr/bin/python3", "-c", "import matplotlib, numpy"],
                      stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("/usr/bin/python3 has no matplotlib")
    path = write(tmp_path / "counter.jsonl", result())
    done = plot("--out", "out", path.name, env=bare_python, cwd=str(tmp_path))
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "out/counter.png\n")
    assert pixels(tmp_path / "out" / "counter.png")[:2] == (1600, 1000)


def test_no_interpreter_has_matplotlib(tmp_path, bare_python):
    script, _ = tree(tmp_path)
    finder = tmp_path / "scripts" / "python"
    finder.write_text(finder.read_text().replace("modules=$1", "modules=there_is_no_such_module"))
    done = plot("--out", tmp_path / "out", script=script, env=bare_python)
    assert done.returncode == 77
    assert len(done.stderr.splitlines()) == 1 and "plot: " in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_interpreter_that_lies_does_not_loop(tmp_path, bare_python):
    script, _ = tree(tmp_path)
    finder = tmp_path / "scripts" / "python"
    finder.write_text('#!/bin/sh\nshift 2\nexec python3 "$@"\n')
    done = plot("--out", tmp_path / "out", script=script, env=bare_python)
    assert done.returncode == 77
    assert len(done.stderr.splitlines()) == 1
