# SPDX-License-Identifier: MIT
"""The experiments of the group echo when what they start is broken: an error, and nothing is left."""
import shlex
import shutil

import pytest
from program import BUILD, finish, kind, left_behind, parse, run, start

TOOLS = ("echo-server", "echo-load", "echo-limits")


@pytest.fixture
def broken(tmp_path):
    """Runs a program in a folder where a tool is a script; REAL in it is the tool."""
    folder = tmp_path / "build" / "echo"
    folder.mkdir(parents=True)
    for name in TOOLS:
        (folder / name).symlink_to(BUILD / "echo" / name)

    def run_with(tool, text, program, *arguments):
        shutil.copy2(BUILD / "echo" / program, folder / program)
        (folder / tool).unlink()
        if text is not None:
            real = shlex.quote(str(BUILD / "echo" / tool))
            (folder / tool).write_text("#!/bin/sh\n" + text.replace("REAL", real))
            (folder / tool).chmod(0o755)
        process = start(folder / program, "--quick", "--trials", "1", "-o", "rows.jsonl",
                        *arguments, cwd=tmp_path)
        ended = finish(process)
        assert not left_behind(process)
        return ended
    return run_with


@pytest.mark.parametrize("tool, text, name, told", [
    ("echo-server", None, "waits", "echo-server is not there: make builds it"),
    ("echo-load", None, "threads_cost", "echo-load is not there: make builds it"),
    ("echo-server", 'case "$*" in *thread*) echo "it broke" >&2; exit 3;; esac\nexec REAL "$@"',
     "threads_cost", "thread did not start: it broke"),
    ("echo-server", 'case "$*" in *--list*) exec REAL "$@";; esac\n'
     'REAL "$@" & trap "kill $!" INT; wait; wait; exit 9', "waits", "ended with status 0x900"),
    ("echo-load", "exit 0", "threads_cost", "it said nothing"),
    ("echo-limits", "echo no JSON", "crowd", "echo-limits"),
])
def test_what_does_not_run_is_an_error(broken, tmp_path, tool, text, name, told):
    more = ("--variants", "limits") if name == "crowd" else ()
    ended = broken(tool, text, name, *more)
    assert ended.returncode == 2 and told in ended.stderr, ended
    assert len(ended.stderr.splitlines()) == 1 and not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("tool, text, name, field", [
    ("echo-load", 'REAL "$@"; exit 1', "threads_cost", "errors"),
    ("echo-limits", 'REAL "$@" | sed "s/\\"wrong_bytes\\":0/\\"wrong_bytes\\":7/"', "crowd",
     "wrong_bytes"),
])
def test_what_goes_wrong_is_a_failed_control(broken, tmp_path, tool, text, name, field):
    more = ("--variants", "limits") if name == "crowd" else ()
    ended = broken(tool, text, name, *more)
    assert ended.returncode == 1 and "CONTROL FAILED" in ended.stdout
    rows = parse((tmp_path / "rows.jsonl").read_text())
    assert rows[-1]["controls_held"] is False
    assert any(sample[field] for sample in kind(rows, "sample"))
    assert any(field in row["text"] for row in kind(rows, "failure"))


def test_servers_end_by_sigint_in_a_background_job():
    """A shell without job control starts those with SIGINT ignored, which Python then never heeds."""
    ended = run("/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh", BUILD / "echo" / "waits", "--quick",
                "--trials", "1", "--variants", "py-threaded,py-asyncio,epoll")
    assert ended.returncode == 0, ended
