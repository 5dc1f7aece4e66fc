# SPDX-License-Identifier: MIT
"""scripts/vector.py: colours that can be read on both pages, paths that are the same drawing, values of axes."""
import json
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHON = [ROOT / "scripts" / "python", "matplotlib,numpy,jinja2"]

pytestmark = pytest.mark.skipif(subprocess.run(PYTHON, stderr=subprocess.DEVNULL).returncode != 0,
                                reason="no python3 here has matplotlib and jinja2")


def said(code):
    """What this code, which knows vector, prints as JSON."""
    done = subprocess.run([*PYTHON, "--", "-c", f"import json, vector\n{code}"], cwd=ROOT / "scripts", text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def light(colour):
    parts = [int(colour[at:at + 2], 16) / 255 for at in (1, 3, 5)]
    return sum(weight * (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)
               for weight, part in zip((0.2126, 0.7152, 0.0722), parts))


def contrast(one, other):
    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_colours_can_be_read(mode):
    colours = dict(re.findall("--([a-z0-9-]+): (#[0-9a-f]{6});", said(
        f"print(json.dumps(vector.palette('{mode}', ['444444', 'eeeeee'])))")))
    page = colours.pop("page")
    assert len(colours) > 16 and (light(page) > 0.5) == (mode == "light")
    for name, colour in colours.items():
        if name.endswith("-text") or name == "ink":
            assert contrast(colour, page) >= 4.5, name
        elif name not in ("line", "ceeeeee"):
            assert contrast(colour, page) >= 3, name
    assert contrast(colours["ceeeeee"], colours["ink"]) >= 4.5  # a pale one has text on it


def points(path):
    """Where a path of m, l, q, c and z goes, absolutely."""
    found, at, begin, command = [], (0.0, 0.0), (0.0, 0.0), ""
    words = re.findall(r"[a-zA-Z]|-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)", path)
    while words:
        if words[0].isalpha():
            command = words.pop(0)
        if command in "zZ":
            at = begin
            continue
        for _ in range({"m": 1, "l": 1, "q": 2, "c": 3}[command.lower()]):
            x, y = float(words.pop(0)), float(words.pop(0))
            step = (x, y) if command.isupper() else (at[0] + x, at[1] + y)
            found.append(step)
        at = step
        if command in "mM":
            begin = at
    return found


PATHS = ["M 0 0 L 1.5 2 L 100.25 -3 z", "M 10 10 L 5 5 L 7.5 5.25 z M 3 4 C 1 2 3 4 5 6 C 7 8 9 10 11 12 z",
         "M -0.5 0.004 Q 1 2 3 -4 L -0.04 0", "M 3 3 z L 5 5", "M 1e-05 2 L 3 4"]


def test_a_path_goes_where_it_went():
    for path, short in zip(PATHS, said(f"print(json.dumps([*map(vector.path_of, {PATHS!r})]))")):
        expected = points(path.replace("1e-05", "0"))
        assert len(points(short)) == len(expected) and not re.search("[A-Z]", short)
        for came, went in zip(points(short), expected):
            assert came == pytest.approx(went, abs=0.011)


def test_a_long_path_is_shorter():
    path = "M 0 0 " + " ".join(f"L {n}.333333 {n % 7}.666666" for n in range(200))
    short = said(f"print(json.dumps(vector.path_of({path!r})))")
    assert len(short) < len(path) / 3
    for came, went in zip(points(short), points(path)):
        assert came == pytest.approx(went, abs=0.051)  # steps do not add up


LABELS = [
    ([(0, "0"), (20, "20"), (100, "100")], [[20, 20, ""], [100, 100, ""]]),
    ([(0.001, "1 \u00b5s"), (1, "1 ms"), (1000, "1 s")], [[0.001, 1, "\u00b5s"], [1, 1, "ms"], [1000, 1, "s"]]),
    ([(4096, "4 KiB"), (65536, "64 KiB")], [[4096, 4, "KiB"], [65536, 64, "KiB"]]),
    ([(-50, "\u221250"), (1000, "1,000")], [[-50, -50, ""], [1000, 1000, ""]]),
    ([(0, "split"), (1, "mutex")], None), ([(0, "1"), (1, "2"), (2, "4")], None), ([(0, "1 CPU"), (1, "2 CPUs")], None)]


def test_which_labels_are_numbers():
    ticks = [of for of, _ in LABELS]
    assert said(f"print(json.dumps([*map(vector.numbers_of, {ticks!r})]))") == [numbers for _, numbers in LABELS]
