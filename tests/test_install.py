# SPDX-License-Identifier: MIT
"""The installed suite: it runs from any folder, and nothing is written where it is installed.

What is installed was built before; nothing is built here.
"""
import os
import re
import shutil

import pytest
from program import BUILD, ROOT, environment, options, parse, programs, run

CHEAP = "unit"


def install(prefix, *arguments, **changes):
    """make install of what is built, as it was built."""
    ended = run("make", "--no-print-directory", "-o", "all", "install", f"BUILD={BUILD.name}", f"PREFIX={prefix}",
                *arguments, cwd=ROOT, env=environment(**changes))
    assert ended.returncode == 0, ended.stderr
    return ended


def contents(folder):
    """Every path with what a change of it would change."""
    return {path.relative_to(folder): (path.lstat().st_mtime_ns, path.lstat().st_size)
            for path in [folder, *folder.rglob("*")]}


class Installed:
    """The suite in a folder, and another one that is the current folder."""

    def __init__(self, prefix, work):
        self.prefix, self.work = prefix, work
        self.said = install(prefix, "HELP2MAN=").stdout
        self.command = prefix / "bin/stallrace"

    def run(self, *arguments, **changes):
        """In an environment in which Python keeps what it compiled, as it does for most users."""
        env = environment(**changes)
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        return run(self.command, *arguments, cwd=self.work, env=env)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Installed once; whatever the tests do to it, it stays as it was."""
    suite = Installed(tmp_path_factory.mktemp("prefix"), tmp_path_factory.mktemp("work"))
    before = contents(suite.prefix)
    yield suite
    assert contents(suite.prefix) == before


def test_a_program_leaves_its_rows_in_the_current_folder(installed):
    ended = installed.run("run", CHEAP, "--quick")
    assert (ended.returncode, ended.stderr) == (0, "")
    rows, = (installed.work / "results/race").glob(f"{CHEAP}-*.jsonl")
    assert f"rows: results/race/{rows.name}\n" in ended.stdout
    assert parse(rows.read_text(encoding="utf-8"))[0]["experiment"] == CHEAP
    text = rows.with_suffix(".txt").read_text(encoding="utf-8")
    assert text == ended.stdout
    ended = installed.run("claims")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"stallrace run race/{CHEAP}: results/race/{rows.name}\n" in ended.stdout
    ended = installed.run("report")
    assert ended.returncode in (0, 77), ended.stderr  # 77: no matplotlib or jinja2
    if ended.returncode == 0:
        page = (installed.work / "results/report.html").read_text(encoding="utf-8")
        assert f"stallrace run race/{CHEAP} --quick" in page and "reference run" in page
        ended = installed.run("fleet", "results")
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "fleet: results/fleet.html\n", "")


def test_rows_go_elsewhere_if_asked_for(installed, tmp_path):
    ended = installed.run("run", f"race/{CHEAP}", "--quick", STALLRACE_RESULTS=str(tmp_path / "mine"))
    assert ended.returncode == 0
    assert len(list((tmp_path / "mine/race").glob(f"{CHEAP}-*.jsonl"))) == 1
    ended = installed.run("claims", "--brief", STALLRACE_RESULTS=str(tmp_path / "mine"))
    assert ended.returncode == 0 and f"race/{CHEAP}" in ended.stdout
    ended = installed.run("claims", STALLRACE_RESULTS=str(tmp_path / "none"))
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)


def test_every_program_is_listed(installed):
    """With a summary, and in the order of its group."""
    listed = installed.run("list").stdout
    assert not [line for line in listed.splitlines() if len(line) > 80]
    names = re.findall(r"^  (\S+) +\S", listed, re.MULTILINE)
    assert {path.name for path in programs()} < set(names) and "echo-server" in names
    groups = re.findall(r"^(\S+)$", listed, re.MULTILINE)
    assert sorted(groups) == sorted({*{path.parent.name for path in programs()}, "tools"})
    assert set(installed.run("list", "--names").stdout.split()) == {*names, *groups} - {"tools"}


def test_help_and_version(installed):
    ended = installed.run("--help")
    assert ended.returncode == 0 and ended.stdout.startswith("Usage: stallrace COMMAND")
    version = installed.run("--version").stdout
    assert re.fullmatch(r"stallrace \d+\.\d+\.\d+ \(.*\)\n", version)
    assert installed.run("run", CHEAP, "--version").stdout == f"{CHEAP}, {version}"
    assert {"trials", "output"} <= {option.name for option in options(installed.run("run", CHEAP, "--help").stdout)}


@pytest.mark.parametrize("arguments, says", [
    ([], "which command"), (["no-such"], "no command 'no-such'"), (["counter"], "stallrace run counter"),
    (["--nonsense"], "no command '--nonsense'"), (["list", "race"], "unexpected argument 'race'"),
    (["run"], "which group or program"), (["run", "no-such"], "'no-such'"), (["run", "race", "--help"], "--help"),
    (["run", CHEAP, "--nonsense"], "--nonsense"), (["claims", "--nonsense"], "--nonsense")])
def test_a_wrong_word(installed, arguments, says):
    ended = installed.run(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert says in ended.stderr and ended.stderr.count("\n") == 1


@pytest.mark.parametrize("words, among", [
    (["stallrace", "cl"], {"claims"}), (["stallrace", ""], {"list", "run", "demo", "shams", "--version"}),
    (["stallrace", "run", "coun"], {"counter"}), (["stallrace", "run", ""], {"race", "echo-server", CHEAP}),
    (["stallrace", "report", "--"], {"--compare", "--lang", "--out"}), (["stallrace", "quiz", "--l"], {"--lang"}),
    (["stallrace", "run", CHEAP, "--tri"], {"--trials"}), (["stallrace", "claims", "--exp"], {"--expect"}),
    (["stallrace", "run", CHEAP, "--quick", "--"], {"--seed", "--output"}), (["stallrace", "run", "no-such", "--"], set())])
def test_completion(installed, words, among):
    """Of what is there, and nothing else."""
    completion = installed.prefix / "share/bash-completion/completions/stallrace"
    script = '. "$1"; shift; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _stallrace; printf "%s\\n" "${COMPREPLY[@]}"'
    ended = run("bash", "-c", script, "bash", completion, *words, cwd=installed.work,
                env=environment(PATH=f"{installed.command.parent}:{os.environ['PATH']}"))
    assert (ended.returncode, ended.stderr) == (0, "")
    offered = set(ended.stdout.split())
    assert among <= offered and all(word.startswith(words[-1]) for word in offered)
    assert among or not offered


def test_an_install_is_whole_and_goes_away(tmp_path):
    """Into a DESTDIR, over an older one, without help2man."""
    old = tmp_path / "opt/libexec/stallrace/build/race/gone"
    old.parent.mkdir(parents=True)
    old.touch()
    said = install("/opt", f"DESTDIR={tmp_path}", "HELP2MAN=").stdout.splitlines()
    assert said == ["no manual pages: help2man is missing", f"installed: {tmp_path}/opt/bin/stallrace"]
    assert not old.exists() and run(tmp_path / "opt/bin/stallrace", "list", "--names").returncode == 0
    run("make", "uninstall", f"DESTDIR={tmp_path}", "PREFIX=/opt", cwd=ROOT)
    assert not [path for path in tmp_path.rglob("*") if not path.is_dir()]


def test_manual_pages(tmp_path):
    """Of one experiment and one tool."""
    if not shutil.which("help2man"):
        pytest.skip("help2man is missing")
    install(tmp_path, f"BINS={BUILD.name}/race/{CHEAP}", f"TOOLS={BUILD.name}/echo/echo-server")
    pages = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "share/man/man1").iterdir()}
    assert set(pages) == {"stallrace.1", f"stallrace-{CHEAP}.1", "stallrace-echo-server.1"}
    for text in pages.values():
        sections = re.findall(r'^\.SH "?([A-Z ]+)"?$', text, re.MULTILINE)
        assert sections[:2] == ["NAME", "SYNOPSIS"] and "OPTIONS" in sections
    plain = re.sub(r"\\f[A-Z]|\\[,/]", "", pages[f"stallrace-{CHEAP}.1"])
    assert f".B stallrace\nrun {CHEAP} [OPTION" in plain
