# SPDX-License-Identifier: MIT
"""Fixtures: each program under test, and one quick run of it that many tests look at."""
import contextlib
import fcntl
import gettext
import os
import re
import resource
import signal
import sys
import tempfile
from types import SimpleNamespace

import pytest
from program import SHORT, finish, left_behind, options, parse, programs, run, run_on_a_terminal, start
import language  # which program.py finds
import sham

# Started in the background or under nohup we would hand on that these are ignored.
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)


# Scripts begin with this python3 at once; another one on PATH may lack what they need, and start them twice.
os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])

# A thousand clients of a test are no matter where its machine allows them.
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def pytest_generate_tests(metafunc):
    if "program" in metafunc.fixturenames:
        metafunc.parametrize("program", programs(),
                             ids=lambda path: f"{path.parent.name}/{path.name}")


ESCAPE = re.compile(r"\x1b\[[0-9;]*[mK]")

# Minutes of one worker, so they come first: else the others would wait for it in the end.
LONG = ("test_kernels.py", "test_plots.py", "test_report.py", "test_echo.py", "test_soak.py",
        "test_framing.py", "test_inputs.py")


@pytest.hookimpl(tryfirst=True)  # before xdist's own, which reads the groups
def pytest_collection_modifyitems(config, items):
    """What shares a program's quick run, or a file's fixtures, goes to one worker of xdist."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        group = str(params.get("program", item.path.name)) + params.get("drawn", "")
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: item.path.name not in LONG)


@contextlib.contextmanager
def locked(name, how):
    path = f"{tempfile.gettempdir()}/stallrace-tests-{os.getuid()}-{name}"
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, how)
        yield


@pytest.fixture(autouse=True)
def turn(request):
    """A test of `alone` has the machine to itself: no other worker runs one meanwhile.

    Who waits for the machine holds the gate, so that no one overtakes.
    """
    how = fcntl.LOCK_SH
    if "alone" in request.fixturenames and request.getfixturevalue("described")["timed"]:
        how = fcntl.LOCK_EX
    with contextlib.ExitStack() as stack:
        with locked("gate", fcntl.LOCK_EX):
            stack.enter_context(locked("turn", how))
        yield


@pytest.fixture
def alone(turn):
    """For tests of what another program on the CPUs would disturb, if it is .timed."""


@pytest.fixture(scope="session")
def once():
    """Makes a value when it is first asked for; pytest's own cache forgets between parameters."""
    made = {}

    def get(key, make):
        if key not in made:
            made[key] = make()
        return made[key]
    return get


@pytest.fixture
def quick(program, once, tmp_path_factory):
    """What `PROGRAM --quick -o FILE` prints and leaves in its folder, and which processes.

    Its budget is short: beside other tests most trials are disturbed, and so are those that make up for them.
    """
    def make():
        folder = tmp_path_factory.mktemp(program.name)
        process = start(program, "--quick", "--budget", "500ms", "-o", "rows.jsonl", cwd=folder)
        ended = finish(process)
        files = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
        return SimpleNamespace(status=ended.returncode, out=ended.stdout, err=ended.stderr,
                               files=files, rows=parse(files.get("rows.jsonl", "")),
                               processes=left_behind(process))
    return once((program, "quick"), make)


@pytest.fixture
def described(program, once):
    """What --describe prints."""
    return once((program, "describe"), lambda: sham.describe(program))


@pytest.fixture
def short(program, opts, quick, once):
    """For tests of all that a run prints: one trial, of one interpreter where that ends as all do."""
    if not any(option.name == "python" for option in opts):
        return SHORT
    of_one = (*SHORT, "--python", sys.executable)
    will_do = once((program, "of one"), lambda: run(program, *of_one).returncode == quick.status)
    return of_one if will_do else SHORT


@pytest.fixture
def one_variant(program, short, described, quick, once):
    """What chooses one variant, where a run of it alone ends as all do."""
    variant = next(iter(described["variants"]), None)
    of_one = ("--variants", variant) if variant else ()
    will_do = once((program, "of one variant"), lambda: run(program, *short, *of_one).returncode == quick.status)
    return of_one if will_do else ()


@pytest.fixture
def shortest(short, one_variant):
    """For tests of the form of a run: of one variant, too."""
    return *short, *one_variant


@pytest.fixture
def on_a_terminal(program, short, once, tmp_path_factory):
    """What a short run shows on a terminal, in Korean if it can, and its rows.

    .drawn are the lines without escapes, those of progress too.
    """
    def make():
        folder = tmp_path_factory.mktemp(program.name)
        korean = ("--lang", "ko") if gettext.find(language.DOMAIN, language.FOLDER, ["ko"]) else ()
        status, shown = run_on_a_terminal(program, *short, *korean, "-o", "rows.jsonl", cwd=folder)
        return SimpleNamespace(status=status, shown=shown, drawn=re.split(r"[\r\n]+", re.sub(ESCAPE, "", shown)),
                               rows=parse((folder / "rows.jsonl").read_text(encoding="utf-8")))
    return once((program, "on a terminal"), make)


@pytest.fixture
def help_text(program, once):
    ended = once((program, "help"), lambda: run(program, "--help"))
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@pytest.fixture
def opts(help_text):
    return options(help_text)


@pytest.fixture
def runs_here(quick):
    """For tests of what happens in the midst of trials."""
    if quick.status == 77:
        pytest.skip("this machine cannot run it")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A browser (tests/browser.py), for modules that import it: where there is none they are skipped."""
    from browser import chromium as opened
    with opened(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def browser(chromium, page):
    """The module's page as it is opened, in a wide window and light."""
    from browser import look
    look(chromium, 1280, 800, "light")
    for log in ("browser", "performance"):
        chromium.get_log(log)  # what came before
    chromium.get(page)
    return chromium
