# SPDX-License-Identifier: MIT
"""Lines of a terminal, in which Hangul and the like take two columns a character (as text.h)."""
import textwrap
import unicodedata

WIDTH = 80
HALF = "\0"  # the second column of a character: textwrap counts characters


def widened(text):
    return "".join(letter + HALF * (unicodedata.east_asian_width(letter) in "WF") for letter in text)


def columns(text):
    """How many columns it takes."""
    return len(widened(text))


def padded(text, width):
    return text + " " * (width - columns(text))


def wrapped(text, indent=""):
    return textwrap.fill(widened(text), WIDTH, initial_indent=indent, subsequent_indent=indent).replace(HALF, "")


def shortened(text, width):
    """Its first words."""
    return textwrap.shorten(widened(text), width, placeholder=" ...").replace(HALF, "")
