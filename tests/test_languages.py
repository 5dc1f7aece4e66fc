# SPDX-License-Identifier: MIT
"""What people read is in their language, rows are in English: po/*.po, the programs and the scripts."""
import gettext
import re
import shutil

import language
import pytest
import results
from lines import columns
from program import BUILD, ROOT, environment, run
from sentence import sentence

CLAIMS = ROOT / "scripts/claims"
PLOT = ROOT / "scripts/plot.py"
REPORT = ROOT / "scripts/report.py"
COUNTER = ROOT / "results/reference/counter.jsonl"
WIDTH = 80
HANGUL = re.compile("[\uac00-\ud7a3]")
LANGUAGES = sorted(path.stem for path in (ROOT / "po").glob("*.po"))
BRACES = re.compile(r"{{|}}|({[^{}]*})")
DIRECTIVE = re.compile(r"%(?:\d+\$)?([-+#0']*(?:\*|\d+)?(?:\.(?:\*|\d+))?(?:hh|h|ll|l|z|j|t)?[diouxXeEfgGcsp%])")

needs_messages = pytest.mark.skipif(not gettext.find(language.DOMAIN, language.FOLDER, ["ko"]),
                                    reason="msgfmt was missing when this was built")


def asking(**variables):
    """An environment whose language is only said by these."""
    return environment(BUILD=str(BUILD), **{"LC_ALL": "", "LC_MESSAGES": "", "LANGUAGE": "", "LANG": "", **variables})


@pytest.fixture
def korean():
    language.choose("ko")
    yield
    language.choose("en")


# --- po/*.po --------------------------------------------------------------------------------------

def test_every_message_is_translated():
    if not shutil.which("xgettext"):
        pytest.skip("xgettext is missing")
    ended = run(ROOT / "scripts/messages", "--check", BUILD)
    if ended.returncode == 77:
        pytest.skip(ended.stderr)
    assert (ended.returncode, ended.stderr) == (0, "")
    for code in LANGUAGES:
        assert not re.search("^#,.* fuzzy", (ROOT / f"po/{code}.po").read_text(encoding="utf-8"), re.MULTILINE)


def places(text):
    """What stands for something else in a message, of sentences and of printf's, and where a head of a column is cut."""
    return (set(filter(None, BRACES.findall(text))), sorted(DIRECTIVE.findall(text)), text.count("|"))


@needs_messages
@pytest.mark.parametrize("code", LANGUAGES)
def test_a_translation_keeps_what_is_put_in(code):
    with open(gettext.find(language.DOMAIN, language.FOLDER, [code]), "rb") as file:
        messages = dict(gettext.GNUTranslations(file)._catalog)
    messages.pop("")  # the header
    assert len(messages) > 100
    assert [(text, there) for text, there in messages.items() if places(text) != places(there)] == []


@pytest.mark.parametrize("text, there, kept", [
    ("{a} of {b.n}", "{b.n} 중 {a}", True), ("{a} of {b.n}", "{b.n} 중", False), ("{a.k}", "{a}", False),
    ("%s in %lld %%", "%2$lld 중 %1$s %%", True), ("%s in %d", "%s", False), ("90 % of {a}", "{a}의 90 %", True),
    ("two|lines", "두|줄", True), ("two|lines", "두 줄", False)])
def test_what_a_translation_keeps(text, there, kept):
    assert (places(text) == places(there)) == kept


# --- which language -------------------------------------------------------------------------------

@needs_messages
@pytest.mark.parametrize("variables, arguments, is_korean", [
    ({"LANG": "ko_KR.UTF-8"}, (), True), ({"LC_ALL": "C.UTF-8"}, ("--lang", "ko"), True),
    ({"LANG": "ko_KR.UTF-8", "LC_ALL": "C"}, (), False), ({"LANG": "ko_KR.UTF-8"}, ("--lang", "en"), False),
    ({}, (), False), ({"LANG": "xx_XX.UTF-8"}, (), False), ({"LANG": "en_US.UTF-8", "LANGUAGE": "ko"}, (), True)])
@pytest.mark.parametrize("command", [(BUILD / "gil/checkpoints", "--quick", "--trials", "1"), (CLAIMS, COUNTER)],
                         ids=["program", "script"])
def test_which_language(command, variables, arguments, is_korean):
    ended = run(*command, *arguments, env=asking(**variables))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert bool(HANGUL.search(ended.stdout)) == is_korean


@pytest.mark.parametrize("command", [(BUILD / "gil/checkpoints", "--quick"), (CLAIMS, COUNTER), (PLOT, COUNTER),
                                     (REPORT, COUNTER), (ROOT / "scripts/quiz", BUILD),
                                     (ROOT / "scripts/demo", BUILD / "gil")], ids=lambda command: command[0].name)
def test_a_language_without_messages(command, tmp_path):
    ended = run(*command, "--lang", "xx", cwd=tmp_path, env=asking(LANG="ko_KR.UTF-8"))
    if ended.returncode != 77:  # no matplotlib
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.count("\n") == 1 and "'xx'" in ended.stderr
    assert not list(tmp_path.iterdir())


# --- programs -------------------------------------------------------------------------------------

def said(rows):
    """The rows of what a program says, with what they say."""
    return [(row, row["sentence"] if "sentence" in row else row["text"]) for row in rows
            if row["row"] in ("verdict", "note", "failure")]


@needs_messages
def test_programs_speak_korean(on_a_terminal):
    """That it fits into 80 columns, of which a syllable takes two, is test_contract's."""
    assert HANGUL.search(on_a_terminal.shown)


@needs_messages
def test_rows_are_in_english(on_a_terminal):
    assert said(on_a_terminal.rows)
    for row, text in said(on_a_terminal.rows):
        assert text == sentence(row["template"], row["numbers"]) and not HANGUL.search(text)


def composed(number):
    """Whether it is a text of several messages: rows have it in English only."""
    return isinstance(number, str) and " " in number and language.translated(number) == number


@needs_messages
def test_scripts_say_what_programs_say(on_a_terminal, korean):
    """But for composed texts, in whose place there may be any."""
    printed = "".join("".join(on_a_terminal.drawn).split())
    for row, _ in said(on_a_terminal.rows):
        numbers = {name: "\x01" if composed(number) else number for name, number in row["numbers"].items()}
        text = "".join(sentence(row["template"], numbers, language.translated).split())
        assert re.search(re.escape(text).replace("\x01", ".*"), printed), text


# --- scripts --------------------------------------------------------------------------------------

@needs_messages
def test_the_ledger_in_korean():
    """Its lines fit; what other programs read is as in English."""
    reference = sorted((ROOT / "results/reference").glob("*.jsonl"))
    ended = run(CLAIMS, "--lang", "ko", *reference)
    assert (ended.returncode, ended.stderr) == (0, "") and HANGUL.search(ended.stdout)
    assert [line for line in ended.stdout.splitlines() if columns(line) > WIDTH and "/" not in line] == []
    for option in ("--brief", "--json"):
        assert run(CLAIMS, option, "--lang", "ko", COUNTER).stdout == run(CLAIMS, option, COUNTER).stdout


SENTENCE = "큐 6개 중 0개가 그랬다: listen(5)에는 6개가 연결되었고, IPv6에서는 1,400, 5개 더 연결되었다; 나머지(가, 나)는 기다렸다"


@pytest.mark.parametrize("width, shortly", [
    (200, SENTENCE), (100, SENTENCE[:SENTENCE.index("; ")]), (40, SENTENCE[:SENTENCE.index(": ")]),
    (66, SENTENCE[:SENTENCE.index(" IPv6")] + " ..."), (12, "큐 6개 ...")])
def test_a_korean_headline_ends_with_a_clause(width, shortly):
    assert results.headline(SENTENCE, width) == shortly and columns(shortly) <= width


@needs_messages
def test_the_page_in_korean(tmp_path, korean):
    ended = run(REPORT, "--lang", "ko", "--out", tmp_path, COUNTER)
    if ended.returncode == 77:
        pytest.skip(ended.stderr)
    assert ended.returncode == 0 and ended.stderr.count("\n") <= 1  # that no font has Hangul
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<html lang="ko">' in page
    for text in ("All claims", "What would you expect? Open for what was found, and why", "show the answers"):
        assert language.translated(text) in page and text not in page


@needs_messages
def test_charts_without_a_font(tmp_path):
    """English, and one line that names the package."""
    pictures = {}
    for code in ("en", "ko"):
        ended = run("/usr/bin/env", "python3", "-c", f"""
import sys
sys.path[:0] = [{str(ROOT / 'scripts')!r}]
sys.argv = [{str(PLOT)!r}, "--lang", {code!r}, "--out", {code!r}, {str(COUNTER)!r}]
import plot
plot.font_manager.findSystemFonts = lambda: []
sys.exit(plot.main())""", cwd=tmp_path, env=asking(STALLRACE_FOR="plot"))
        if "matplotlib" in ended.stderr:
            pytest.skip("this python3 has no matplotlib")
        assert ended.returncode == 0, ended.stderr
        pictures[code] = (tmp_path / code / "counter.png").read_bytes()
        assert ended.stderr.count("fonts-nanum") == ended.stderr.count("\n") == (code == "ko")
    assert pictures["ko"] == pictures["en"]
