# SPDX-License-Identifier: MIT
"""The scripts and the Makefile, in temporary copies: no test measures, installs or builds here."""
import json
import re
import shutil

import pytest
from program import ROOT, environment, finish, parse, run, run_on_a_terminal, start, until

TINY = """
#include "exp.h"
#include "tiny.h"

static const struct claim claims[] = {{"tiny-claim", "a tiny claim"}, {0}};
static const struct experiment about = {.name = "NAME", .group = "GROUP", .summary = "Tiny.",
					.claims = claims, .trials = 1, .quick_trials = 1};

int main(int argc, char *argv[])
{
	return run_skip(run_begin(&about, argc, argv), "it is tiny: %d", TINY);
}
"""


def copy(folder, *names):
    """A tree of its own with these parts of the project."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copied = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copied(ROOT / name, folder / name)
    return folder


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text, encoding="utf-8")
    path.chmod(0o755)


# --- scripts/run ----------------------------------------------------------------------------------

class Group:
    """A copy of scripts/run and a group of fake programs, which print their arguments."""

    def __init__(self, folder):
        self.folder = copy(folder, "scripts/run")

    def add(self, name, status, order=None):
        source = self.folder / "experiments/group" / f"{name}.c"
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(f"\t.order = {order},\n" if order else "", encoding="utf-8")
        script(self.folder / "build/group" / name,
               f'echo {name} "$@"\n[ "$2" = /dev/null ] || echo rows > "$2"\n{status}\n')

    def run(self, *arguments, **changes):
        return run("scripts/run", "build/group", *arguments, cwd=self.folder,
                   env=environment(**changes))

    def files(self, where="results/group"):
        return sorted(path.name for path in (self.folder / where).glob("*"))


@pytest.fixture
def group(tmp_path):
    return Group(tmp_path)


def test_run_goes_on_and_names_what_failed(group):
    for name, status in {"a": "exit 77", "b": "exit 1", "c": "exit 2", "d": "exit 9",
                         "e": "kill -s SEGV $$", "f": "exit 0"}.items():
        group.add(name, status)
    ended = group.run("--quick")
    assert ended.returncode == 1
    assert [line[0] for line in ended.stdout.splitlines() if " -o " in line] == [*"abcdef"]
    assert re.search(r"^group: skipped on this machine: a$", ended.stdout, re.MULTILINE)
    failed = ended.stderr.splitlines()[-1]
    assert re.match(r"group: FAILED: b \(a control failed\) c \(.*2\) d \(.*9\) e \(.*\)$", failed)


def test_run_in_the_declared_order(group):
    """Those that declare none come last; a tool, which has no source of its name, is not run."""
    for name, order in {"a": None, "b": 502, "c": 501, "d": 1001}.items():
        group.add(name, "exit 0", order)
    script(group.folder / "build/group/tool", "exit 1")
    ended = group.run()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [line[0] for line in ended.stdout.splitlines() if " -o " in line] == [*"cbda"]


def test_run_succeeds_with_a_skip(group):
    group.add("a", "exit 77")
    group.add("b", "exit 0")
    ended = group.run("--trials", "3")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.search(r"^b -o results/group/b-\d{8}T\d{6}Z.jsonl --trials 3$", ended.stdout,
                     re.MULTILINE)


def test_run_leaves_out(group):
    for name in "abc":
        group.add(name, "exit 0")
    ended = group.run(STALLRACE_SKIP="c a")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [line[0] for line in ended.stdout.splitlines() if " -o " in line] == ["b"]
    assert "skipped on this machine: a (left out) c (left out)\n" in ended.stdout


def test_run_never_overwrites(group):
    group.add("a", "exit 0")
    for count in (1, 2, 3):
        assert group.run().returncode == 0
        assert len(group.files()) == 2 * count


def test_run_keeps_none_or_elsewhere(group):
    group.add("a", "exit 0")
    assert group.run(STALLRACE_RESULTS="/dev/null").returncode == 0
    assert not group.files()
    assert group.run(STALLRACE_RESULTS="mine").returncode == 0
    rows, text = group.files("mine/group")
    assert rows == text.replace(".txt", ".jsonl")
    assert (group.folder / "mine/group" / text).read_text(encoding="utf-8").startswith("a -o mine/group/a-")


def test_run_keeps_the_text_without_its_colours(group):
    group.add("a", "printf '\\033[1;32m%s\\033[0m\\n' \"colours: $CLICOLOR_FORCE\"")
    status, shown = run_on_a_terminal(group.folder / "scripts/run", group.folder / "build/group", env=environment())
    assert status == 0 and "\x1b[1;32mcolours: 1\x1b[0m\n" in shown
    text, = (group.folder / "results/group").glob("*.txt")
    assert text.read_text(encoding="utf-8").splitlines()[1] == "colours: 1"


def test_two_runs_at_once_take_turns(group):
    """No program of one is measured beside one of the other, and both keep their rows."""
    group.add("a", "mkdir measuring || exit 2\nuntil [ -e go ]; do sleep 0.01; done\nrmdir measuring")
    first = start("scripts/run", "build/group", cwd=group.folder)
    until((group.folder / "measuring").exists, "measurement")
    second = start("scripts/run", "build/group", cwd=group.folder)
    assert second.stderr.readline() == "run: waiting for another measurement to end\n"
    (group.folder / "go").touch()
    assert [finish(first).returncode, finish(second).returncode] == [0, 0]
    assert len(group.files()) == 4


def test_run_stops_at_a_signal(group):
    """Ctrl-C ends the programs and this script alike; what is left is not started."""
    group.add("a", "kill -s TERM $$")
    group.add("b", "exit 0")
    ended = group.run()
    assert ended.returncode == -15
    assert "b -o" not in ended.stdout


def test_run_of_one_program(group):
    """It ends as the program does; what printed nothing leaves no text."""
    for name, status in {"a": "exit 77", "b": "exit 1"}.items():
        group.add(name, status)
    script(group.folder / "build/group/c", "exit 2")
    for name, status in {"a": 77, "b": 1, "c": 2}.items():
        ended = run("scripts/run", f"build/group/{name}", "--quick", cwd=group.folder)
        assert (ended.returncode, ended.stderr) == (status, "")
    assert sorted({name[0] for name in group.files()}) == ["a", "b"]
    assert len(group.files()) == 4


def test_run_from_another_folder(group, tmp_path):
    """The results of the project are in the project, others where this folder is."""
    group.add("a", "exit 0")
    work = tmp_path / "work"
    work.mkdir()
    for changes, where in (({}, group.folder / "results"), ({"STALLRACE_RESULTS": "mine"}, work / "mine")):
        ended = run(group.folder / "scripts/run", "../build/group", cwd=work, env=environment(**changes))
        assert (ended.returncode, ended.stderr) == (0, "")
        assert len(list((where / "group").glob("a-*.jsonl"))) == 1


def test_run_usage(group):
    ended = group.run()  # nothing was added: there is no such folder
    assert ended.returncode == 2
    assert ended.stderr == "usage: scripts/run BUILD/GROUP[/NAME] [ARGUMENT...]\n"


# --- scripts/shams and scripts/fields -------------------------------------------------------------

DESCRIBED = {"experiment": "x", "group": "group", "order": 102,
             "claims": {"a-claim": "it is so"}, "controls": {"lost": "what was lost"},
             "shams": {"a-claim": {"of": "claim", "sham": "a=b", "then": "not-seen"},
                       "lost": {"of": "control", "sham": "lose", "then": "control failed"}},
             "fields": [{"name": "begin_ns", "row": "call", "help": "when it began"},
                        {"name": "place", "row": "sample", "help": "of *x"},
                        {"name": "lost", "row": "sample", "help": "what was lost", "zero": True}]}


class Declared:
    """A copy of both scripts, and fake programs that declare and judge what they are told to."""

    def __init__(self, folder):
        self.folder = copy(folder, "scripts/shams", "scripts/fields", "scripts/sham.py",
                           "scripts/rows.py", "scripts/command.py", "scripts/language.py")
        self.document = folder / "results/README.md"
        self.document.parent.mkdir()
        self.write("")

    def write(self, fields):
        self.document.write_text(
            f"before\n<!-- fields: how -->\n{fields}<!-- end fields -->\nafter\n", encoding="utf-8")

    def add(self, name="x", with_sham="not-seen", disturbed=0, left=0, lost=1, **changes):
        rows = "\n".join(json.dumps(row) for row in (
            {"row": "run", "fields": DESCRIBED["fields"]}, {"row": "verdict", "claim": "a-claim", "verdict": "VERDICT"},
            {"row": "end", "disturbed_trials": disturbed, "looks_left": left}))
        described = {**DESCRIBED, "experiment": name, **changes}
        (self.folder / "experiments/group").mkdir(parents=True, exist_ok=True)
        (self.folder / f"experiments/group/{name}.c").write_text(
            f"\t.order = {described['order']},\n", encoding="utf-8")
        script(self.folder / "build/group" / name, f"""
rows() {{ echo '{rows}' | sed "s/VERDICT/$1/"; }}
case "$*" in
--describe) echo '{json.dumps(described)}' ;;
*"--sham lost"*) rows holds; exit {lost} ;;
*--sham*) rows {with_sham} ;;
*) rows holds ;;
esac
""")

    def run(self, name, *arguments):
        return run(f"scripts/{name}", *arguments, cwd=self.folder)


@pytest.fixture
def declared(tmp_path):
    return Declared(tmp_path)


def test_shams_that_turn(declared):
    declared.add()
    ended = declared.run("shams", "build")
    assert (ended.returncode, ended.stderr) == (0, "")
    words = [line.split() for line in ended.stdout.splitlines()]
    assert ["group/x"] in words
    assert ["a-claim", "holds", "not-seen", "not-seen", "a=b"] in words
    assert ["lost", "held", "failed", "failed", "lose"] in words
    assert all(len(line) <= 80 for line in ended.stdout.splitlines())


def test_a_claim_that_is_the_same_without_its_sham(declared):
    """As on a machine on which the claim is not so."""
    declared.add(shams={"a-claim": {"of": "claim", "sham": "a=b", "then": "holds"},
                        "lost": DESCRIBED["shams"]["lost"]}, with_sham="holds")
    ended = declared.run("shams", "build")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "a-claim holds holds holds (same) a=b".split() in [line.split() for line in ended.stdout.splitlines()]


def test_a_program_that_skips_has_no_shams_to_show(declared):
    declared.add(lost=77)
    ended = declared.run("shams", "build")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "lost held skipped failed lose".split() in [line.split() for line in ended.stdout.splitlines()]


@pytest.mark.parametrize("changes, words", [
    ({"with_sham": "holds"}, "a-claim holds holds not-seen UNTURNED by a=b"),
    ({"with_sham": "refuted"}, "a-claim holds refuted not-seen UNTURNED by a=b"),
    ({"with_sham": "unclear", "disturbed": 1}, "a-claim holds unclear not-seen UNTURNED by a=b"),
    ({"with_sham": "unclear", "left": 1}, "a-claim holds unclear not-seen UNTURNED by a=b"),
    ({"with_sham": "unclear"}, "a-claim holds undecided not-seen UNTURNED by a=b"),
    ({"lost": 0, "disturbed": 1}, "lost held held failed UNTURNED by lose"),
    ({"lost": 2}, "lost held status 2 failed UNTURNED by lose"),
    ({"shams": {"lost": DESCRIBED["shams"]["lost"]}}, "a-claim holds - - UNTURNED: it has no sham"),
], ids=lambda value: "" if isinstance(value, dict) else value)
def test_shams_that_do_not_turn(declared, changes, words):
    declared.add(**changes)
    ended = declared.run("shams", "build", "x")
    assert (ended.returncode, ended.stderr) == (1, "")
    assert words in " ".join(ended.stdout.split())
    assert ended.stdout.endswith("\n1 UNTURNED\n")


@pytest.mark.parametrize("name, arguments", [("shams", []), ("shams", ["no-such"]),
                                             ("shams", ["build", "no-such"]), ("fields", []),
                                             ("fields", ["no-such"]), ("fields", ["--nonsense"])])
def test_shams_and_fields_usage(declared, name, arguments):
    declared.add()
    ended = declared.run(name, *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"{name}: ") and ended.stderr.count("\n") == 1


def test_fields_are_written(declared):
    """In the declared order; what is not built keeps its text, what is gone loses it."""
    declared.write("**gone** of no program.\n\n**lacking** of a program that is not built.\n")
    declared.add()
    declared.add("first", order=101)
    declared.add("bare", order=0, fields=[])
    declared.add("lacking", order=103)
    (declared.folder / "build/group/lacking").unlink()
    assert declared.run("fields", "--check", "build").returncode == 1
    assert declared.run("fields", "build").returncode == 0
    own = ("(`sample`): `place` (of \\*x), `lost` (what was lost; must be 0). "
           "(`call`): `begin_ns` (when it began).")
    assert " ".join(declared.document.read_text(encoding="utf-8").split()) == (
        f"before <!-- fields: how --> **first** {own} **x** {own} "
        "**lacking** of a program that is not built. <!-- end fields --> after")
    ended = declared.run("fields", "--check", "build")
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", "")


# --- scripts/python -------------------------------------------------------------------------------

def test_python_without_the_module():
    ended = run(ROOT / "scripts/python", "no_such_module", "--", "-c", "print(1)")
    assert (ended.returncode, ended.stdout) == (77, "")
    assert ended.stderr.count("\n") == 1 and "no_such_module" in ended.stderr


def test_python_hands_on_arguments_and_status():
    ended = run(ROOT / "scripts/python", "sys,json", "--", "-c",
                "import sys; print(sys.argv[1:]); sys.exit(5)", "a b", "--", "c")
    assert (ended.returncode, ended.stdout) == (5, "['a b', '--', 'c']\n")
    assert run(ROOT / "scripts/python", "sys").returncode == 0


def test_python_passes_over_one_that_lacks_it(tmp_path):
    script(tmp_path / "python", "exit 1")
    ended = run(ROOT / "scripts/python", "json", "--", "-c", "print('found')",
                env=environment(PYTHON=str(tmp_path / "python")))
    assert (ended.returncode, ended.stdout) == (0, "found\n")


# --- scripts/bootstrap ----------------------------------------------------------------------------

@pytest.fixture
def bare(tmp_path):
    """Runs scripts/bootstrap with a PATH that has a package manager but nothing to build with."""
    tools = tmp_path / "bin"
    for name in ("bash", "dirname", "id", "nproc", "sed", "sh", "tail", "uname"):
        tools.mkdir(exist_ok=True)
        (tools / name).symlink_to(shutil.which(name))
    for name in ("apt-get", "sudo"):
        script(tools / name, f'echo {name} "$@" >> "{tmp_path}/called"\n')

    def bootstrap(*arguments, **changes):
        ended = run(ROOT / "scripts/bootstrap", *arguments,
                    env=environment(PATH=str(tools), **changes))
        called = tmp_path / "called"
        said = called.read_text(encoding="utf-8") if called.exists() else ""
        return ended, [line for line in said.splitlines() if "install" in line]
    return bootstrap


def test_bootstrap_usage():
    ended = run(ROOT / "scripts/bootstrap", "--no-such")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1 and "--no-such" in ended.stderr
    ended = run(ROOT / "scripts/bootstrap", "--help")
    assert ended.returncode == 0 and "NO_INSTALL" in ended.stdout


def test_bootstrap_may_not_install(bare):
    ended, installed = bare(NO_INSTALL="1")
    assert ended.returncode == 2 and not installed
    assert re.search(r"as root: apt-get install .*\bgcc\b.* make .*libjansson-dev", ended.stdout)
    assert "required and missing: C compiler, make, pkg-config, jansson" in ended.stderr


def test_bootstrap_installs(bare):
    """The list comes first; what is still missing afterwards is an error."""
    ended, installed = bare()
    assert ended.returncode == 2 and len(installed) == 1
    assert "libjansson-dev" in installed[0]
    assert ended.stdout.startswith("bootstrap: missing: C compiler, make")


@pytest.mark.parametrize("is_bare", [False, True], ids=["here", "bare"])
def test_doctor(bare, is_bare):
    ended, installed = bare("--doctor") if is_bare else (
        run(ROOT / "scripts/bootstrap", "--doctor"), [])
    assert ended.returncode == (2 if is_bare else 0) and not installed
    for name in ("C compiler", "jansson", "matplotlib", "cmocka", "pytest", "CPUs", "CPU quota", "namespaces",
                 "congestion", "IPv6", "kernel"):
        assert re.search(rf"^  {name} ", ended.stdout, re.MULTILINE)
    assert is_bare == bool(re.search(r"^  make +missing\n +skipped without it: .*\n +cure: apt-get install make$",
                                     ended.stdout, re.MULTILINE))
    assert not re.search(r"^ +cure: *$", ended.stdout, re.MULTILINE)
    assert ended.stderr == ("" if not is_bare else "bootstrap: required and missing: C compiler, make, pkg-config, jansson\n")


def test_doctor_of_a_small_machine(bare, tmp_path):
    """It names what cannot be shown, and a cure, in lines that fit."""
    (tmp_path / "bin/nproc").unlink()
    script(tmp_path / "bin/nproc", "echo 1")
    script(tmp_path / "bin/unshare", "exit 1")
    ended, _ = bare("--doctor")
    for name, state in {"CPUs": "1 usable", "namespaces": "not allowed"}.items():
        assert re.search(rf"^  {name} +{state}\n +\w.*: .*\n +cure: \w", ended.stdout, re.MULTILINE)
    *lines, _, _, _ = ended.stdout.splitlines()  # the last three are commands
    assert not [line for line in lines if len(line) > 80]


# --- the Makefile ---------------------------------------------------------------------------------

class Tree:
    """A copy of the library with one tiny experiment, to be built and changed."""

    def __init__(self, folder):
        self.folder = copy(folder, "Makefile", "include", "experiments/lib", "scripts/run", "scripts/bootstrap")
        self.write("include/tiny.h", "enum { TINY = 1 };\n")
        self.add("x", "y")

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def add(self, group, name):
        self.write(f"experiments/{group}/{name}.c",
                   TINY.replace("GROUP", group).replace("NAME", name))

    def make(self, *arguments):
        """What make says; without -O2, as nothing here is about speed."""
        ended = run("make", "-j2", *arguments, cwd=self.folder, env=environment(CFLAGS="-O0"))
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def built(self, name):
        return (self.folder / "build" / name).exists()


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Built once; each test leaves it built."""
    made = Tree(tmp_path_factory.mktemp("tree"))
    made.make()
    return made


def test_make_does_nothing_twice(tree):
    assert tree.built("x/y")
    assert not re.search(r"^  (CC|AR|LD) ", tree.make(), re.MULTILINE)


def test_make_runs_a_group(tree):
    said = tree.make("run-x", "ARGS=--quiet")
    assert "SKIPPED" in said and "skipped on this machine: y" in said
    rows, = (tree.folder / "results/x").glob("y-*.jsonl")
    assert parse(rows.read_text(encoding="utf-8"))[0]["experiment"] == "y"


def test_make_finds_and_forgets_experiments(tree):
    tree.add("x", "z")
    tree.add("new", "first")
    assert sorted(re.findall(r"LD build/(\S+)", tree.make())) == ["new/first", "x/z"]
    said = tree.make("help")
    assert "make run-new" in said
    tree.write("experiments/new/first.c", TINY.replace("GROUP", "new").replace("NAME", "first")
               .replace(".trials = 1", ".order = 901,\n.trials = 1"))
    groups = re.findall(r"make run-(\w+)", tree.make("help"))
    assert groups[-2:] == ["new", "x"]  # x declares no order
    (tree.folder / "experiments/x/z.c").unlink()
    shutil.rmtree(tree.folder / "experiments/new")
    tree.make()
    assert not tree.built("x/z") and not tree.built("new") and tree.built("x/y")


def test_make_leaves_out_what_needs_a_missing_library(tree):
    """It says so, builds the rest, and the group's run counts it as skipped."""
    path = tree.folder / "experiments/x/counts.c"
    tree.write("experiments/x/counts.c", "/* needs: no-such-library */\n")
    assert "not built: experiments/x/counts.c, no-such-library is missing" in tree.make()
    assert not tree.built("x/counts") and tree.built("x/y")
    assert "counts (not built)" in tree.make("run-x", "ARGS=--quiet")
    path.write_text("/* needs: jansson */\n" + TINY.replace("GROUP", "x").replace("NAME", "counts"),
                    encoding="utf-8")
    tree.make()
    assert tree.built("x/counts")
    path.unlink()
    tree.make()


def test_make_rebuilds_what_includes_a_header(tree):
    tree.write("include/tiny.h", "enum { TINY = 2 };\n")
    assert re.findall(r"CC build/obj/(\S+)", tree.make()) == ["x/y.o"]
    assert "it is tiny: 2" in run(tree.folder / "build/x/y").stdout


def test_make_forgets_library_sources(tree):
    def members():
        return run("ar", "t", tree.folder / "build/libexp.a").stdout.split()

    tree.write("experiments/lib/extra.c", "int extra;\n")
    tree.make()
    assert "extra.o" in members()
    (tree.folder / "experiments/lib/extra.c").unlink()
    tree.make()
    assert "extra.o" not in members() and "run.o" in members()


def test_make_sees_other_flags(tree):
    assert "CC build/obj/x/y.o" in tree.make("CPPFLAGS=-DOTHER", "build/obj/x/y.o")
    assert "CC build/obj/x/y.o" in tree.make("build/obj/x/y.o")
    tree.make()


@pytest.mark.parametrize("lacks, missing", [
    ({"CC": "no-such-compiler"}, "C compiler"), ({"PKG_CONFIG_LIBDIR": "/no/such"}, "jansson"),
    ({"PATH": ""}, "pkg-config, jansson")], ids=["compiler", "jansson", "pkg-config"])
def test_make_names_what_is_missing(tree, tmp_path, lacks, missing):
    """In one line, before a compiler or pkg-config could complain."""
    for name in ("awk", "bash", "cat", "cc", "cmp", "dirname", "echo", "gcc", "git", "grep", "make", "mkdir", "mv",
                 "rm", "sed", "sh", "sort"):
        (tmp_path / name).symlink_to(shutil.which(name))
    changes = {name: value or str(tmp_path) for name, value in lacks.items()}
    ended = run("make", cwd=tree.folder, env=environment(**changes))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.fullmatch(rf"Makefile:\d+: \*\*\* missing: {missing}; scripts/bootstrap installs .*\n", ended.stderr)


def test_make_help_names_every_target(tree):
    said = tree.make("help")
    makefile = (tree.folder / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*?[^\\])\n", makefile, re.MULTILINE | re.DOTALL)[1]
    internal = {"all", "units", "fuzzers", "prune", "FORCE"}  # `make` alone is all
    targets = set(re.findall(r"(?<!\S)[a-z]+(?!\S)", phony)) - internal
    assert {"test", "demo", "doctor", "lint"} <= targets
    for target in targets | {"run-x"}:
        assert re.search(rf"^ +make {target}  +\S", said, re.MULTILINE), target


def test_make_clean_leaves_results(tree):
    tree.write("results/x/mine.jsonl", "{}\n")
    tree.make("clean")
    assert not tree.built("") and (tree.folder / "results/x/mine.jsonl").exists()
    tree.make()
