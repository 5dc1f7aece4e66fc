"""The documents say what was measured: README and docs/claims.md are of the committed reference run."""

import functools
import gettext
import json
import re
from pathlib import Path

import language
import pytest
import sham
from program import BUILD, options, programs, run
from results import shown_verdict
from sentence import sentence

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
GROUPS = sorted({path.parent.name for path in (ROOT / "experiments").glob("*/*.c")} - {"lib"})
README = (ROOT / "README.md").read_text(encoding="utf-8")
TRANSLATED = sorted(ROOT.glob("README.*.md"))


@functools.cache
def reference_verdicts():
    """[(experiment's name, row)] of all verdicts."""
    found = []
    for path in sorted((ROOT / "results" / "reference").glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for row in rows:
            if row["row"] == "verdict":
                found.append((f"{rows[0]['group']}/{rows[0]['experiment']}", row))
    return found


def test_claims_are_those_of_the_reference_run():
    stated = re.findall(r"^\| `([a-z0-9-]+)` \|.*\| ([a-z-]+) \| (\S+) \| (.*) \|$",
                        (ROOT / "docs/claims.md").read_text(encoding="utf-8"), re.MULTILINE)
    measured = [(row["claim"], row["verdict"], name, row["sentence"])
                for name, row in reference_verdicts()]
    assert measured and sorted(stated) == sorted(measured)


def test_no_claim_of_the_reference_run_came_out_as_under_its_sham():
    """So each was seen to come out otherwise, on that machine at least."""
    measured = {row["claim"]: row["verdict"] for _, row in reference_verdicts()}
    shams = {name: declared["then"] for path in programs()
             for name, declared in sham.describe(path)["shams"].items() if declared["of"] == "claim"}
    assert shams.keys() <= measured.keys()  # for want of a library some may not be built
    assert [name for name, then in shams.items() if measured[name] == then] == []


def test_readme_states_findings_of_the_reference_run():
    claims, table = re.search(r"<!-- findings (.*?) -->\n(.*?)<!-- end", README, re.DOTALL).groups()
    stated = re.findall(r"^\| .* \| ([a-z-]+) \| (.*) \| (\w+/\w+) \|$", table, re.MULTILINE)
    assert len(stated) == len(claims.split()) > 4
    measured = {(row["claim"], row["verdict"], name): row["sentence"] for name, row in reference_verdicts()}
    for claim, (verdict, shortly, name) in zip(claims.split(), stated):
        assert measured[claim, verdict, name].startswith(shortly)
    assert len(README.encode()) < 8000


@pytest.mark.parametrize("path", TRANSLATED, ids=lambda path: path.name)
def test_a_translated_readme_has_the_same_findings(path):
    """In its language: made anew of the rows' templates; claims, numbers of the example and programs are README.md's."""
    code = path.suffixes[0][1:]
    if not gettext.find(language.DOMAIN, language.FOLDER, [code]):
        pytest.skip("msgfmt was missing when this was built")
    text = path.read_text(encoding="utf-8")
    blocks = [[re.search(rf"<!-- {mark}.*?{begin}(.*?)<!-- end", readme, re.DOTALL)[0] for readme in (README, text)]
              for mark, begin in (("example", "```"), ("findings", "-->"))]
    assert len({block[block.index("```"):] for block in blocks[0]}) == 1
    assert len({block.partition("\n")[0] for block in blocks[1]}) == 1
    measured = {name: [row for of, row in reference_verdicts() if of == name] for name, _ in reference_verdicts()}
    lines = [re.fullmatch(r"\| (.*) \| (.*) \| (.*) \| (\w+/\w+) \|", line) for line in blocks[1][1].splitlines()[3:-1]]
    claims = blocks[1][1].partition(" -->")[0].split()[2:]
    assert len(lines) == len(claims) == blocks[1][0].count("\n") - 3
    language.choose(code)
    try:
        for claim, line in zip(claims, lines):
            row, = (row for row in measured[line[4]] if row["claim"] == claim)
            said = sentence(row["template"], row["numbers"], language.translated)
            assert line[2] == shown_verdict(row["verdict"]) and said.startswith(line[3].removesuffix(" ..."))
    finally:
        language.choose("en")


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


def test_this_version_is_in_the_changelog():
    version, = re.findall(r"^VERSION +:= (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert f"\n## {version}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_links_of_the_documents_lead_somewhere():
    others = ("README.md", *TRANSLATED, "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "results/README.md")
    for document in (*map(ROOT.joinpath, others), *PAGES):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document}: {target}"


@pytest.mark.parametrize("group", GROUPS)
def test_a_page_names_every_program_of_its_group(group):
    """A row each, in the order in which they run."""
    orders = {path.stem: int(re.search(r"\.order = (\d+)", path.read_text(encoding="utf-8"))[1])
              for path in (ROOT / "experiments" / group).glob("*.c")}
    page = (ROOT / "docs" / f"{group}.md").read_text(encoding="utf-8")
    named = re.findall(rf"^\| `build/{group}/(\w+)` \|", page, re.MULTILINE)
    assert named == sorted(orders, key=orders.get)


def commands(page):
    """(program, its words) of each command line build/GROUP/NAME ..., in a row or on a line of its own."""
    return [(name, words.split()) for name, words in
            re.findall(r"(?:`| {4})build/(\w+/[\w-]+)((?: [^ `\n]+)*)", page.read_text(encoding="utf-8"))]


@functools.cache
def options_of(program):
    return {option.name: option for option in options(run(program, "--help").stdout)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_have_options_that_their_programs_have(page):
    """As --help shows them: the names, and numbers within their ranges."""
    for name, words in commands(page):
        source = ROOT / "experiments" / name
        assert source.is_dir() or source.with_suffix(".c").exists(), f"there is no {name}"
        if not (BUILD / name).exists():  # for want of a library
            continue
        known = options_of(BUILD / name)
        for word, value in zip(words, [*words[1:], ""]):
            if word.startswith("--"):
                option = known.get(word[2:])
                assert option, f"{name} has no {word}"
                assert not option.is_number or option.low <= int(value) <= option.high, f"{name} {word} {value}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_quotations_are_of_the_reference_run(page):
    """> **NAME**: what a verdict, a reason or a note of NAME's rows says."""
    for name, words in re.findall(r"^> \*\*(\w+)\*\*: (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        rows = (ROOT / "results" / "reference" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        said = [row.get("sentence", row.get("text", "")) for row in map(json.loads, rows)]
        assert any(words in sentence for sentence in said), f"{name}: {words}"
