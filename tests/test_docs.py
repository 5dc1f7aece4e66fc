"""The documents say what was measured: README and docs/claims.md are of the committed reference run."""

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


def test_claims_are_those_of_the_reference_run():
    stated = re.findall(r"^\| `([a-z0-9-]+)` \|.*\| ([a-z-]+) \| (\S+) \| (.*) \|$",
                        (ROOT / "docs/claims.md").read_text(encoding="utf-8"), re.MULTILINE)
    measured = [(row["claim"], row["verdict"], name, row["sentence"])
                for name, row in reference_verdicts()]
    assert measured and sorted(stated) == sorted(measured)


def test_readme_states_findings_of_the_reference_run():
    claims, table = re.search(r"<!-- findings (.*?) -->\n(.*?)<!-- end", README, re.DOTALL).groups()
    stated = re.findall(r"^\| .* \| ([a-z-]+) \| (.*) \| (\w+/\w+) \|$", table, re.MULTILINE)
    assert len(stated) == len(claims.split()) > 4
    measured = {(row["claim"], row["verdict"], name): row["sentence"] for name, row in reference_verdicts()}
    for claim, (verdict, shortly, name) in zip(claims.split(), stated):
        assert measured[claim, verdict, name].startswith(shortly)
    assert len(README.encode()) < 8000


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
                     "docs/trust.md", "docs/claims.md", "docs/kernels.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert ((ROOT / document).parent / target).exists(), f"{document}: {target}"
