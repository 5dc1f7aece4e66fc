"""The documents say what was measured: the README's table of claims is the committed reference run's."""

import json
import re
from pathlib import Path

from program import BUILD, programs, run

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def reference_verdicts():
    """Each verdict row with its experiment's name."""
    for path in sorted((ROOT / "results" / "reference").glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for row in rows:
            if row["row"] == "verdict":
                yield f"{rows[0]['group']}/{rows[0]['experiment']}", row


def test_readme_states_the_verdicts_of_the_reference_run():
    stated = re.findall(r"^\| `([a-z0-9-]+)` \|.*\| ([a-z-]+) \| (\S+) \| (.*) \|$", README,
                        re.MULTILINE)
    measured = [(row["claim"], row["verdict"], name, row["sentence"])
                for name, row in reference_verdicts()]
    assert measured and sorted(stated) == sorted(measured)


def test_every_experiment_has_a_reference_run():
    sources = {path.stem for path in (ROOT / "experiments").glob("*/*.c")
               if path.parent.name != "lib"}
    measured = {path.stem for path in (ROOT / "results" / "reference").glob("*.jsonl")}
    assert measured == sources


def test_fields_are_those_that_the_programs_declare():
    """Generated, so nothing is typed twice; a program that is not built here keeps its paragraph."""
    assert programs()
    ended = run(ROOT / "scripts/fields", "--check", BUILD)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_links_of_the_documents_lead_somewhere():
    for document in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "results/README.md",
                     "docs/trust.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert ((ROOT / document).parent / target).exists(), f"{document}: {target}"
