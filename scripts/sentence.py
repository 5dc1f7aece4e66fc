# SPDX-License-Identifier: MIT
"""Sentences from their templates and numbers, exactly as programs say them (include/sentence.h).

They are in English, as rows have them, unless words=language.translated makes those for people.

tests/test_sentence.py compares the two, tests/test_contract.py every sentence of every program.
"""
import math
import re

EXACT = 2 ** 53  # below it a float holds every whole number
TIMES = {"_ns": 1.0, "_us": 1e3, "_ms": 1e6, "_s": 1e9}


def is_whole(x):
    return math.isfinite(x) and x == math.floor(x)


def whole(x):
    """As C's llround: halves away from zero."""
    if abs(x) >= EXACT:
        return f"{x:.3g}"
    near = math.trunc(x)
    return f"{near + (math.copysign(1, x) if abs(x - near) >= 0.5 else 0):,.0f}"


def real(x):
    size = abs(x)
    if size >= 999.5:
        return whole(x)
    if size >= 99.95:
        return f"{x:.0f}"
    if size >= 9.995:
        return f"{x:.1f}"
    return f"{x:.3g}" if size < 0.1 else f"{x:.2f}"


def time(ns):
    units = ["ns", "us", "ms", "s"]
    while abs(ns) >= 999.5 and len(units) > 1:
        ns /= 1000
        units.pop(0)
    digits = 0 if ns == 0 else 2 if abs(ns) < 9.995 else 1 if abs(ns) < 99.95 else 0
    return f"{ns:.{digits}f} {units[0]}"


def share(part):
    if 0 < part < 0.0005:
        return "<0.1 %"
    if 0.9995 <= part < 1:
        return ">99.9 %"
    return f"{part * 100:.1f} %"


def rate(x, unit):
    if is_whole(x) and abs(x) < 999.5:
        return f"{whole(x)} {unit}"
    prefixes = ["", "k", "M", "G"]
    while abs(x) >= 999.5 and len(prefixes) > 1:
        x /= 1000
        prefixes.pop(0)
    return f"{real(x)} {prefixes[0]}{unit}"


def put_in(pattern, *texts):
    """A message of printf's with %s, or %2$s for a place, filled."""
    rest = iter(texts)
    return re.sub(r"%(?:(\d)\$)?s|%%",
                  lambda found: "%" if found[0] == "%%" else texts[int(found[1]) - 1] if found[1] else next(rest),
                  pattern)


def formatted(name, x, count, words=str):
    """count: without a unit, it is shown as a count."""
    if x is None or not math.isfinite(x):
        return "-"
    x = float(x)
    if name.endswith("_bytes_per_s"):
        return rate(x, "B/s")
    if name.endswith("_bits_per_s"):
        return rate(x, "bit/s")
    if name.endswith("_per_s"):
        return whole(x)
    for suffix, ns in TIMES.items():
        if name.endswith(suffix):
            return time(x * ns)
    if name.endswith("_bytes"):
        return put_in(words("%s byte" if x == 1 else "%s bytes"), whole(x))
    if name.endswith("_share"):
        return share(x)
    return whole(x) if count else real(x)


def value(name, x, words=str):
    """A number formatted by the unit that its name ends with; "-" for None, NaN and infinities."""
    return formatted(name, x, x is not None and is_whole(x), words)


def has_unit(name):
    return name.endswith(("_per_s", "_bytes", "_share", *TIMES))


def percents(low, high, words):
    return "-" if low is None or high is None else put_in(words("%s to %s %%"), f"{low * 100:.0f}", f"{high * 100:.0f}")


def parts_of_share(number, words):
    k, n = number["k"], number["n"]
    return {"": put_in(words("%s of %s"), f"{k:,}", f"{n:,}"), "k": f"{k:,}", "n": f"{n:,}",
            "share": share(k / n) if n else "-",
            "range": percents(number["low"], number["high"], words)}


def parts_of_interval(name, number, words):
    mid, low, high = number["mid"], number["low"], number["high"]
    bounded = low is not None and high is not None
    count = all(x is not None and is_whole(x) for x in ((mid, low, high) if bounded else (mid,)))
    middle, limits = formatted(name, mid, count, words), "-"
    if bounded:
        limits = (percents(low, high, words) if name.endswith("_share") else
                  put_in(words("%s to %s"), formatted(name, low, count, words), formatted(name, high, count, words)))
    return {"": f"{middle} ({limits})" if bounded else middle, "mid": middle, "range": limits}


def parts_of(name, number, words):
    """What stands for {name}, by "", and for each {name.part}, by the part."""
    if isinstance(number, dict):
        return parts_of_share(number, words) if "k" in number else parts_of_interval(name, number, words)
    if isinstance(number, str):
        return {"": words(number)}
    if isinstance(number, int) and not has_unit(name):
        return {"": f"{number:,}"}  # more digits than a float has
    return {"": value(name, number, words)}


def sentence(template, numbers, words=str):
    """The template with its numbers put in; ValueError where the program ends with status 2."""
    def put(match):
        braces = match[0]
        if braces in ("{{", "}}"):
            return braces[0]
        if len(braces) == 1:
            raise ValueError(f"a brace without its partner in the sentence '{template}'")
        name, dot, part = match[1].partition(".")
        parts = parts_of(name, numbers[name], words) if name in numbers else {}
        if part not in parts or (dot and not part):
            raise ValueError(f"no number for '{braces}' in the sentence '{template}'")
        return parts[part]
    return re.sub(r"{{|}}|{([^}]*)}|[{}]", put, words(template))
