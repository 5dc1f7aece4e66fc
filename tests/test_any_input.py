# SPDX-License-Identifier: MIT
"""Whatever somebody writes on a command line: one clear line and status 2, or a sane result.

What to write is hypothesis's idea: empty, huge, negative, overflowing, NaN, not ASCII, not UTF-8, very
long, in any combination.  A few examples each; ANY_INPUT=100 are so many more (make fuzz).
"""
import json
import os
import re
import signal
import subprocess
import tempfile
from types import SimpleNamespace

import pytest
from program import BUILD, ROOT, finish, left_behind, options, start

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is missing")
from hypothesis import HealthCheck, given, settings, strategies as st  # noqa: E402

TIMES = int(os.environ.get("ANY_INPUT", "1"))
RUN_S = 0.15  # then a run is interrupted; a longer one shows nothing more of its arguments
INSANE = re.compile(r"(?<![\w.])(-?nan|-?inf|-1)(?![\w.])", re.IGNORECASE)
UNREADABLE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069]")
TOOLS = [BUILD / "echo" / name for name in ("echo-server", "echo-load", "echo-client", "echo-limits")]
SCRIPTS = [ROOT / "scripts" / name for name in ("bench", "plot.py", "report.py", "servers", "shams", "kernels", "soak")]


def examples(count):
    return settings(max_examples=count * TIMES, deadline=None, database=None, derandomize=TIMES == 1,
                    suppress_health_check=list(HealthCheck))


def no_zero(text):
    """As an argument can be: no byte of it is 0."""
    return text.replace("\0", "")


WORDS = st.one_of(
    st.sampled_from(["", " ", "-", "--", "0", "-0", "+1", "-1", "nan", "inf", "1e999", "0x10", "1.5",
                     "9223372036854775807", "9223372036854775808", "18446744073709551616", "1K", "1 K",
                     "1ms", "-1s", "1KiB", "999999999G", "\u00e9", "\u202e", "\x1b[31m", "a\nb", ",", "a,,b",
                     "/dev/null", "%s%n", "{x}", "9" * 5000, "x" * 100000]),
    st.integers().map(str), st.floats().map(str), st.text(max_size=20).map(no_zero),
    st.binary(max_size=20).map(lambda some: os.fsdecode(some.replace(b"\0", b""))))


@st.composite
def command_lines(draw, opts):
    """Options with any values, beside what is none."""
    def one():
        option = draw(st.sampled_from(opts))
        with_value = draw(st.booleans()) if option.argument else draw(st.integers(0, 9)) == 0
        return f"--{option.name}={draw(WORDS)}" if with_value else f"--{option.name}"
    return [draw(WORDS) if draw(st.integers(0, 7)) == 0 else one()
            for _ in range(draw(st.integers(1, 5)))]


@st.composite
def settings_in_range(draw, opts, variants):
    """Options that each are allowed, with the ends of their ranges more often than not."""
    words = []
    for option in opts:
        if option.name in ("sham", "describe", "output", "cpus", "variants", "trials", "quick", "budget"):
            continue
        if draw(st.integers(0, 2)):
            continue
        if option.is_number:
            value = draw(st.one_of(st.sampled_from([option.low, option.high]),
                                   st.integers(option.low, option.high)))
        elif option.choices:
            value = draw(st.sampled_from(option.choices))
        elif option.argument:
            continue
        words.append(f"--{option.name}" + (f"={value}" if option.argument else ""))
    if variants and draw(st.booleans()):
        some = draw(st.lists(st.sampled_from(variants), min_size=1, unique=True))
        words.append(f"--variants={','.join(some)}")
    return words


def assert_one_line(ended, statuses=(2,)):
    assert ended.returncode in statuses, ended
    assert re.fullmatch(r"[^\n]{1,5000}\n", ended.stderr), ended
    assert not UNREADABLE.search(ended.stderr[:-1]), ended


def interrupt(process, number):
    """How it ended: by itself, or by this signal when it has run long enough; nothing of it is left."""
    try:
        process.wait(RUN_S)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    ended = finish(process)
    assert not left_behind(process)
    return ended


def run_any(program, *arguments, **more):
    """It ends by itself, and leaves nothing."""
    with tempfile.TemporaryDirectory() as folder:
        process = start(program, *arguments, cwd=folder, errors="surrogateescape", **more)
        ended = finish(process)
        assert not left_behind(process)
        return ended, os.listdir(folder)


def test_any_arguments(program, opts):
    @examples(3)
    @given(command_lines(opts))
    def check(arguments):
        ended, files = run_any(program, "--describe", *arguments)
        assert not files
        if ended.returncode != 0:
            assert_one_line(ended)
        elif "stallrace" not in ended.stdout:  # its version
            assert json.loads(ended.stdout)["experiment"] == program.name
    check()


def strict(line):
    def refuse(constant):
        raise ValueError(constant)
    return json.loads(line, parse_constant=refuse)


def test_any_settings(program, opts, quick):
    """A run of any settings ends, measured or not, with numbers that are some."""
    variants = list(quick.rows[0]["variants"]) if quick.rows else []

    @examples(1)
    @given(settings_in_range(opts, variants))
    def check(arguments):
        with tempfile.TemporaryDirectory() as folder:
            process = start(program, "--quick", "--trials=1", "--output=rows.jsonl", *arguments, cwd=folder)
            ended = interrupt(process, signal.SIGINT)
            assert ended.returncode in (0, 2, 77, -signal.SIGINT), (arguments, ended)
            if ended.returncode == 2:
                assert_one_line(ended)
                return
            assert not INSANE.search(ended.stdout), (arguments, ended)
            for name in os.listdir(folder):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    for line in file:
                        strict(line)
    check()


@pytest.mark.parametrize("tool", TOOLS, ids=lambda path: path.name)
def test_any_arguments_of_a_tool(tool):
    """But for addresses, which could be anybody's."""
    opts = [option for option in options(start(tool, "--help").communicate()[0])
            if option.name not in ("bind", "host", "barrier")]

    @examples(10)
    @given(command_lines(opts))
    def check(arguments):
        with tempfile.TemporaryDirectory() as folder:
            process = start(tool, *arguments, cwd=folder, errors="surrogateescape")
            ended = interrupt(process, signal.SIGTERM)
            if ended.returncode not in (0, -signal.SIGTERM):
                assert_one_line(ended, (1, 2))  # 1: nobody answers
    check()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_any_arguments_of_a_script(script):
    text = start(script, "--help").communicate()[0]
    opts = [SimpleNamespace(name=name, argument=argument)
            for name, argument in re.findall(r"^ +--([a-z]+)(?: (\S+))?", text, re.MULTILINE)]

    @examples(3)
    @given(command_lines(opts or [SimpleNamespace(name="help", argument="")]))
    def check(arguments):
        ended, files = run_any(script, *arguments, "--help")
        assert not files
        if ended.returncode != 0:
            assert_one_line(ended)
    check()
