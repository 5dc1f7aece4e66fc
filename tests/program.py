# SPDX-License-Identifier: MIT
"""The programs under test, how to run one, and how to read what it leaves."""
import contextlib
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))  # sham, sentence

from sham import built, parse, verdicts_of as verdicts  # noqa: E402

BUILD = ROOT / os.environ.get("BUILD", "build")
# Only to end a test that would hang: sanitizer builds are many times slower.
TIMEOUT = 300 if os.environ.get("SAN") else 60

SHORT = ("--quick", "--trials", "1")

OPTION = re.compile(r" {2,6}(?:-\S, )?--([a-z][a-z0-9-]*)(?:\[?=(\S+?)\]?)?(?:\s+(.*))?")
RANGE = re.compile(r"\((-?[\d,]+(?: \S+)?) to ([\d,]+(?: \S+)?); default ")
CHOICES = re.compile(r"\(([^()]*); default ")
SCALE = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "ms": 1}
SUFFIX = {"N": "", "BYTES": "_bytes", "BYTES/S": "_bytes_per_s", "MS": "_ms"}


def programs():
    """Every experiment that is built."""
    return [Path(path) for path in built(BUILD)]


# What a user, or the make that runs the tests, may have set, and what would change the answer.
SETTINGS = {"ARGS", "BUILD", "CC", "CFLAGS", "CLICOLOR_FORCE", "MAKEFLAGS", "MAKELEVEL", "MFLAGS",
            "NO_COLOR", "NO_INSTALL", "PYTHON", "SAN", "STALLRACE_RESULTS", "V"}


def environment(**changes):
    """A terminal's environment in UTF-8, with no setting but these."""
    env = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    return {**env, "LC_ALL": "C.UTF-8", "TERM": "xterm", **changes}


def start(program, *arguments, **options):
    """A process in a session of its own, whose members left_behind() finds."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
               "encoding": "utf-8", "env": environment(), **options}
    return subprocess.Popen([program, *arguments], start_new_session=True, **options)


def finish(process):
    """Waits; a process that does not end is killed and fails the test."""
    try:
        out, err = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def run(program, *arguments, **options):
    return finish(start(program, *arguments, **options))


def run_on_a_terminal(program, *arguments, **options):
    """The status, and all that stdout and stderr show on a pseudo-terminal.

    It is kept open until all is read: closed by the program alone it may end before its last lines.
    """
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    shown = b""
    process = start(program, *arguments, stdout=slave, stderr=slave, **options)
    ended = False
    while True:
        try:
            shown += os.read(master, 65536)
        except BlockingIOError:  # nothing more is there
            if ended:
                break
            ended = process.poll() is not None
            select.select([master], [], [], 0 if ended else 0.05)
    os.close(master)
    os.close(slave)
    return finish(process).returncode, shown.decode().replace("\r\n", "\n")


def session(leader):
    """{pid: fields of stat} of a session's processes; fields count from the state, which is 0."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(fields[3]) == leader:
            found[int(folder.name)] = fields
    return found


def open_files(pid):
    """What a process has open, as its links say it; what ends or is closed meanwhile is left out."""
    found = []
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.append(os.readlink(link))
    return found


def left_behind(process):
    """The processes of an ended process's session that are still there a moment later.

    Those that have ended, and that init has yet to wait for, are not: some inits take seconds.
    """
    for _ in range(50):
        found = [pid for pid, fields in session(process.pid).items() if fields[0] != "Z"]
        if not found:
            break
        time.sleep(0.02)
    return found


def until(condition, what):
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"no {what}"
        time.sleep(0.01)


def copy_scripts(folder):
    """The scripts in a tree whose results and lock are its own."""
    return Path(shutil.copytree(ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__")))


def threads_of(process):
    """Of each: its state, and how often it gave up its CPU or lost it."""
    found = []
    for path in sorted(Path(f"/proc/{process.pid}/task").glob("*/status")):
        with contextlib.suppress(OSError):  # it has ended
            found.append(re.findall(r"^(?:State|\w*voluntary_ctxt_switches):\s+(\w+)", path.read_text(), re.MULTILINE))
    return found


def sleeps_on(process):
    """Whether all of its threads sleep, and none runs for a second; one that waits for a CPU does not sleep."""
    before = threads_of(process)
    for _ in range(10):
        time.sleep(0.1)
        if process.poll() is not None or threads_of(process) != before:
            return False
    return all(state == "S" for state, *_ in before)


def end_by(process, number):
    """By a signal, or more where it sleeps on: Python looks at one before accept or after it, and may miss it between.

    One that has begun to end must not get a second one: it would die of that.
    """
    process.send_signal(number)
    deadline = time.monotonic() + TIMEOUT
    while process.poll() is None:
        assert time.monotonic() < deadline, f"it does not end by signal {number}"
        if sleeps_on(process):
            process.send_signal(number)


@contextlib.contextmanager
def busy_loops(count, cpu=None):
    """Other programs that take all the CPU time they get, on any CPU or on this one."""
    pinned = [] if cpu is None else ["taskset", "-c", str(cpu)]
    loops = [subprocess.Popen([*pinned, sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def kind(rows, name):
    return [row for row in rows if row["row"] == name]


def quick_rows(program, *arguments, **how):
    """The rows of a short run in which nothing went wrong."""
    ended = run(program, "--quick", "-o", "-", *arguments, **how)
    assert ended.returncode == 0, ended.stderr
    return parse(ended.stdout)


def verdict_of(rows):
    """The same of a run about one claim."""
    word, = verdicts(rows).values()
    return word


def order(samples):
    """The variants in the order in which their trials came."""
    trials = dict.fromkeys((sample["trial"], sample.get("variant")) for sample in samples)
    return list(trials)


class Option:
    """An option as --help shows it."""

    def __init__(self, name, argument, text):
        self.name, self.argument = name, argument
        self.is_number = argument in SUFFIX
        chosen = CHOICES.search(text) if argument == "WORD" else None
        self.choices = chosen[1].split(", ") if chosen else []
        self.param = name.replace("-", "_") + SUFFIX.get(argument, "")
        if self.is_number:
            self.low, self.high = map(self._number, RANGE.search(text).groups())

    @staticmethod
    def _number(text):
        digits, _, unit = text.replace(",", "").partition(" ")
        return int(digits) * SCALE[unit.partition("/")[0] or "B"]


def options(help_text):
    """Every option of a --help text but those that print and exit."""
    found = []
    for line in help_text.split("\nMandatory or optional")[0].splitlines():
        begins = OPTION.fullmatch(line)
        if begins:
            found.append([*begins.groups("")])
        elif found:
            found[-1][2] += " " + line.strip()
    return [Option(*words) for words in found if words[0] not in ("help", "usage", "version")]
