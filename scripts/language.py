# SPDX-License-Identifier: MIT
"""What people read, in their language: gettext's messages, of po/LANGUAGE.po, which make compiles.

Sources and rows are in English; of a row's template and numbers sentence.py makes a sentence in any
language.  Programs do the same (include/language.h).
"""
import contextlib
import gettext
import os

from command import ROOT, Failed

DOMAIN = "stallrace"
FOLDER = os.path.join(ROOT, os.environ.get("BUILD") or "build", "locale")

code, messages = "en", gettext.NullTranslations()  # of the language that was chosen


def wanted():
    """The languages that the environment asks for, none for plain English."""
    locale = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "C")
    if locale.partition(".")[0] in ("C", "POSIX"):
        return []
    return (os.environ.get("LANGUAGE") or locale).split(":")


def choose(asked=None):
    """Chooses the language that is asked for (--lang), or the environment's; Failed if there are no messages in it."""
    global code, messages
    messages = gettext.NullTranslations()
    found = gettext.find(DOMAIN, FOLDER, [asked] if asked else wanted())
    if found:
        code = found.split(os.sep)[-3]
        with open(found, "rb") as file:
            messages = gettext.GNUTranslations(file)
    else:
        code = "en"
        if asked not in (None, "en"):
            raise Failed(f"--lang: there are no messages in '{asked}'")


@contextlib.contextmanager
def english():
    """Within it all is in English."""
    global code, messages
    before = code, messages
    code, messages = "en", gettext.NullTranslations()
    try:
        yield
    finally:
        code, messages = before


def add_option(parser):
    """--lang, for parsers of scripts that people read; their main() calls choose(options.lang)."""
    parser.add_argument("--lang", metavar="CODE", help="in this language, such as ko (default: that of LANG)")


def translated(text):
    """A message in that language, or itself."""
    return messages.gettext(text) if text else text  # of an empty one it would be gettext's own header


def say(template, **words):
    """A message with {words} put in."""
    return translated(template).format(**words)


def MESSAGE(text):  # noqa: N802  as in include/language.h
    """Marks a text that is translated where it is shown: scripts/messages finds it."""
    return text
