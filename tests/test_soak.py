# SPDX-License-Identifier: MIT
"""scripts/soak, shortly: whatever is done to programs, servers and scripts, nothing is left."""
import os

import pytest
from program import BUILD, ROOT, run

SOAK = ROOT / "scripts" / "soak"


@pytest.mark.parametrize("arguments, word", [
    (["no/such/folder"], "no/such/folder"),
    (["--seconds", "0", "build"], "--seconds"),
    (["--only", "rain", "build"], "rain"),
])
def test_wrong_usage(arguments, word):
    ended = run(SOAK, *[str(BUILD) if argument == "build" else argument for argument in arguments])
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert word in ended.stderr


@pytest.mark.parametrize("fault", ["SIGINT", "SIGTERM", "SIGKILL", "stopped", "child", "EMFILE", "ENOMEM"])
def test_faults(fault):
    if fault == "ENOMEM" and os.environ.get("SAN"):
        pytest.skip("a sanitizer needs more address space than that")
    ended = run(SOAK, "--seconds", "2", "--only", fault, BUILD)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
