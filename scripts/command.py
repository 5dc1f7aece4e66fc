# SPDX-License-Identifier: MIT
"""What the scripts have in common: options, children, signals, files, how they end."""
import argparse
import contextlib
import ctypes
import fcntl
import functools
import glob
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RESULTS = os.environ.get("STALLRACE_RESULTS") or os.path.join(ROOT, "results")
INSTALLED = not os.path.exists(os.path.join(ROOT, "Makefile"))
NAME = os.path.splitext(os.path.basename(sys.argv[0]))[0]
PR_SET_PDEATHSIG = 1
MANAGED = ("~/.pyenv/versions/*/bin/python", "~/.asdf/installs/python/*/bin/python",
           "~/.local/share/mise/installs/python/*/bin/python", "~/.local/share/uv/python/*/bin/python3")
CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069]")  # what would move a terminal's cursor

libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """Ends the script; the text is one line, the status the exit status."""

    def __init__(self, text, status=2):
        super().__init__(text)
        self.status = status


# --- options --------------------------------------------------------------------------------------

class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, as the programs do."""

    def error(self, message):
        raise Failed(f"{message} (see --help)")


def count_from(least, most=1000000000):
    """Reads an option's number."""
    def read(text):
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number from {least:,} to {most:,}")
        return int(text)
    return read


def check_build(folder):
    if not os.path.isdir(folder):
        raise Failed(f"{folder}: no such folder; make builds it")


# --- modules -------------------------------------------------------------------------------------

def need(*modules):
    """Goes on with a python3 that has these modules, or ends with 77.

    The python3 on PATH may lack what /usr/bin/python3 has; scripts/python finds one, or says so.
    """
    os.environ["MPLBACKEND"] = "Agg"  # of matplotlib: whatever the user's is, there may be no display
    try:
        for module in modules:
            importlib.import_module(module)
    except ImportError as error:
        if os.environ.get("STALLRACE_FOR") == NAME:
            sys.exit(complain(f"{sys.executable}: {error}", 77))
        os.environ["STALLRACE_FOR"] = NAME
        finder = os.path.join(ROOT, "scripts", "python")
        os.execv(finder, [finder, ",".join(modules), "--", os.path.abspath(sys.argv[0])] + sys.argv[1:])


# --- signals --------------------------------------------------------------------------------------

class Signals:
    """SIGINT, SIGTERM and SIGHUP end a script, once, by a KeyboardInterrupt with their number.

    Those that come later change nothing: what the first one began goes on to its end.
    """
    WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self):
        self.came = None
        self.told = self.held = False

    def watch(self):
        for number in self.WATCHED:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self.note)

    def note(self, number, _frame):
        self.came = self.came or number
        self.tell()

    def tell(self):
        if self.came and not self.held and not self.told:
            self.told = True
            raise KeyboardInterrupt(self.came)

    @contextlib.contextmanager
    def hold(self):
        """What happens inside happens whole: a signal waits for its end."""
        before, self.held = self.held, True
        try:
            yield
        finally:
            self.held = before
            self.tell()


signals = Signals()


# --- children -------------------------------------------------------------------------------------

def die_with(parent):
    """What a child does first, so that it ends with this script, whatever ends that."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(127)  # it died before
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # in the background shells have it ignored


def start(command, **options):
    return subprocess.Popen(command, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
                            stdin=subprocess.DEVNULL, text=True, start_new_session=True,
                            preexec_fn=functools.partial(die_with, os.getpid()))


def kill(child):
    """Ends a child, if it has begun, and all that it has forked."""
    if not child:
        return
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()


def run(command, limit_s=None, **options):
    """Status, output and errors of a program that ends by itself, within the limit or Failed."""
    child = None
    try:
        with signals.hold():  # else there could be a child that nobody knows
            child = start(command, **options)
        out, error = child.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        kill(child)
        raise Failed(f"{os.path.basename(command[0])} did not end in {limit_s} s") from None
    except BaseException:
        kill(child)
        raise
    return child.returncode, out, error


def last_line(text):
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "it said nothing"


def server_models(server):
    """The models of an echo-server that this machine can run."""
    status, listed, errors = run([server, "--list"])
    if status:
        raise Failed(f"{server}: {last_line(errors)}")
    return re.findall(r"^(\S+)(?!.*\n +not on this machine)", listed, re.MULTILINE)


# --- files ----------------------------------------------------------------------------------------

def pythons():
    """{version: path} of the CPythons here, the oldest first: this one, of PATH, and of version managers.

    As lib/python.c names them: "3.13.5t" has no GIL.
    """
    probe = ("import sys; print('%d.%d.%d' % sys.version_info[:3] + ' PyPy' * ('PyPy' in sys.version)"
             " + 't' * (not getattr(sys, '_is_gil_enabled', lambda: True)()))")
    three = [f"python3.{minor}{gil}" for minor in range(6, 20) for gil in ("", "t")]
    named = [shutil.which(name) for name in ("python2", "python2.7", *three)]
    managed = [path for where in MANAGED for path in glob.glob(os.path.expanduser(where))]
    found = {}
    for path in filter(None, [sys.executable, *named, *managed]):
        status, version, _ = run([path, "-E", "-S", "-c", probe])  # a script that looks for it may find none
        if status == 0 and re.fullmatch(r"[\d.]+t?\n", version):
            found.setdefault(version.strip(), path)
    return dict(sorted(found.items(), key=lambda item: [int(part) for part in item[0].rstrip("t").split(".")]))


def shown(path):
    """A path as people would type it here."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def again(name):
    """How people run a program, GROUP/NAME, or all of a group."""
    if INSTALLED:
        return f"stallrace run {name}"
    return f"build/{name}" if "/" in name else f"make run-{name}"


def write_whole(path, data):
    """Writes the whole file or none, and Failed."""
    part = f"{path}.{os.getpid()}.part"
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as reason:
        raise Failed(f"{shown(path)}: {reason.strerror}") from None
    finally:
        if os.path.exists(part):
            os.unlink(part)


# --- the whole script -----------------------------------------------------------------------------

def progress(text):
    """One line for people who wait, in place of the last; "" clears it."""
    if sys.stderr.isatty():
        print(f"\r\033[K{f'{NAME}: ' if text else ''}{text}", end="", file=sys.stderr, flush=True)


@contextlib.contextmanager
def alone():
    """Two measurements never run at the same time: this one waits for the other to end.

    The lock is on the suite's folder, which need not be writable; scripts/run takes the same.
    """
    lock = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{NAME}: waiting for another measurement to end", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def end_with(main):
    """Runs main() to its end, of which it returns the status, or to the end that befell it."""
    signals.watch()
    try:
        status = main()
    except Failed as reason:
        status = complain(reason, reason.status)
    except OSError as reason:
        status = complain(f"{reason.filename}: {reason.strerror}", 2)
    except KeyboardInterrupt as caught:  # die of the signal, so that make and shells stop too
        progress("")
        signal.signal(caught.args[0], signal.SIG_DFL)
        os.kill(os.getpid(), caught.args[0])
    sys.exit(status)


def complain(text, status=2):
    """One line on stderr; returns the status, for those who go on."""
    progress("")
    print(f"{NAME}: {CONTROL.sub('?', str(text))}", file=sys.stderr)
    return status
