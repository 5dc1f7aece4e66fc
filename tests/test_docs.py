"""The documents say what was measured: the README's table of claims is the committed reference run's."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def reference_verdicts():
    verdicts = {}
    for path in sorted((ROOT / "results" / "reference").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["row"] == "verdict":
                verdicts[row["claim"]] = row
    return verdicts


def test_readme_states_the_verdicts_of_the_reference_run():
    stated = dict(re.findall(r"^\| `([a-z0-9-]+)` \|.*\| ([a-z-]+) \|", README, re.MULTILINE))
    assert stated == {claim: row["verdict"] for claim, row in reference_verdicts().items()}


def test_readme_states_the_sentences_of_the_reference_run():
    for claim, row in reference_verdicts().items():
        assert row["sentence"] in README, claim


def test_every_experiment_has_a_reference_run():
    programs = {path.stem for path in (ROOT / "experiments").glob("*/*.c") if path.parent.name != "lib"}
    assert programs == {path.stem for path in (ROOT / "results" / "reference").glob("*.jsonl")}


def test_links_of_the_documents_lead_somewhere():
    for document in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "results/README.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert ((ROOT / document).parent / target).exists(), f"{document}: {target}"
