# SPDX-License-Identifier: MIT
"""scripts/servers: servers are asked in turn, others like those here; what cannot be compared is one line."""
import json
import os
import re
import sys

import pytest
from program import BUILD, copy_scripts, finish, left_behind, start

FEW = ("--rounds", "7", "--duration", "20", "--connections", "1,3")
ECHO = """
import asyncio, os, pathlib, sys
async def serve(reader, writer):
    while data := await reader.read(65536):
        {answer}
    writer.close()
async def main():
    pathlib.Path(sys.argv[0]).with_name("cpus").write_text(str(sorted(os.sched_getaffinity(0))))
    await (await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))).serve_forever()
asyncio.run(main())
"""


@pytest.fixture
def other(tmp_path):
    """A server of somebody else's, that answers so."""
    def make(answer):
        path = tmp_path / "server.py"
        path.write_text(ECHO.format(answer=answer), encoding="utf-8")
        return f"other={sys.executable} {path} {{port}}"
    return make


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """The script, of a tree of its own: two measurements of one tree wait for each other."""
    scripts = copy_scripts(tmp_path_factory.mktemp("tree"))

    def compare(*arguments):
        process = start(scripts / "servers", *arguments)
        ended = finish(process)
        assert not left_behind(process)
        return ended
    return compare


def test_others_are_compared_with_ours(servers, other, tmp_path):
    ended = servers(*FEW, "--models", "epoll", "--idle", "2", "--out", tmp_path / "out", BUILD,
                    other("writer.write(data)"))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert not [line for line in ended.stdout.splitlines()[:-1] if len(line) > 80]
    file, = (tmp_path / "out").iterdir()
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["machine"]["cpus_online"] and found["params"]["rounds"] == 7
    cpus = found["params"]["server_cpus"]
    assert json.loads((tmp_path / "cpus").read_text(encoding="utf-8")) == cpus  # as the other one had them
    assert found["machine"]["cpus_allowed"] == ",".join(map(str, found["params"]["load_cpus"]))
    assert len(os.sched_getaffinity(0)) == 1 or not {*cpus} & {*found["params"]["load_cpus"]}
    names = ["epoll", "other", "epoll+idle", "other+idle"]
    for connections in (1, 3):
        samples = [sample for sample in found["samples"] if sample["connections"] == connections]
        assert sorted((sample["round"], sample["server"]) for sample in samples) == sorted(
            (done, name) for done in range(7) for name in names)
        assert all(sample["in_window"] > 0 for sample in samples)
    orders = {tuple(sample["server"] for sample in found["samples"][at:at + 4]) for at in range(0, 56, 4)}
    assert len(orders) > 1
    rows = re.findall(r"^  (\S+) +([\d,]+)/s", ended.stdout, re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(2 * names)
    rates = [int(rate.replace(",", "")) for _, rate in rows]
    assert re.findall(r"^  (\S+) +rate [\d.]+ .* CPU [\d.]+ ", ended.stdout, re.MULTILINE) == 2 * ["epoll", "other"]
    assert rates[:4] == sorted(rates[:4], reverse=True) and rates[4:] == sorted(rates[4:], reverse=True)


@pytest.mark.parametrize("answer", ["writer.write(data[::-1])", "sys.exit(5)", "writer.transport.abort()", "pass"],
                         ids=["wrong", "ends", "resets", "silent"])
def test_a_server_that_is_no_echo_server(servers, answer, other, tmp_path):
    ended = servers(*FEW, "--models", "epoll", "--out", tmp_path / "out", BUILD, other(answer))
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "other" in ended.stderr and not (tmp_path / "out").exists()


def test_a_server_that_closes_idle_connections(servers, tmp_path):
    closes = f"x={BUILD}/echo/echo-server --idle-timeout 500 --port {{port}}"
    ended = servers(*FEW, "--models", "epoll", "--idle", "1", "--out", tmp_path / "out", BUILD, closes)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    # on a busy machine it can close those of the load
    assert "x+idle closed an idle connection" in ended.stderr or "x" in ended.stderr and "errors" in ended.stderr


@pytest.mark.parametrize("arguments, status, word", [
    (["x=false {port}"], 1, "x ended with status 1"),
    (["x=/no/such/file {port}"], 2, "/no/such/file"),
    (["x=true"], 2, "{port}"),
    (["x"], 2, "NAME=COMMAND"),
    (["x='"], 2, "x="),
    (["epoll=true {port}"], 2, "'epoll'"),
    (["x+idle=true {port}"], 2, "+idle"),
    (["--models", "none-such"], 2, "none-such"),
    (["--models", "", "x=true {port}"], 2, "two servers"),
    (["--connections", "0"], 2, "--connections"),
    (["--rounds", "6"], 2, "--rounds"),
])
def test_wrong_usage(servers, arguments, status, word, tmp_path):
    ended = servers("--models", "epoll", "--out", tmp_path / "out", BUILD, *arguments)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (status, "", 1)
    assert word in ended.stderr and not list(tmp_path.iterdir())
