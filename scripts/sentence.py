# SPDX-License-Identifier: MIT
"""Sentences from their templates and numbers, exactly as the programs say them (include/sentence.h).

tests/test_contract.py compares every sentence that a program writes with the one made here.
"""
import decimal
import math
import re

TIMES = {"_ns": 1, "_us": 1e3, "_ms": 1e6}
RATES = {"_bytes_per_s": ("B/s", "kB/s", "MB/s", "GB/s"),
         "_bits_per_s": ("bit/s", "kbit/s", "Mbit/s", "Gbit/s")}


def fixed(value, digits):
    """As C's printf: the exact binary value, rounded half to even."""
    exact = decimal.Decimal(value).quantize(decimal.Decimal(1).scaleb(-digits),
                                            rounding=decimal.ROUND_HALF_EVEN)
    return f"{exact:.{digits}f}"


def whole(value):
    """As C's llround: halves away from zero."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def plain(value):
    size = abs(value)
    if value == math.floor(value) and size < 1e15:
        return f"{int(value):,}"
    if size >= 999.5:
        return f"{whole(value):,}"
    if size >= 99.95:
        return fixed(value, 0)
    if size >= 9.995:
        return fixed(value, 1)
    return f"{value:.2g}" if size < 0.0995 else fixed(value, 2)


def time(ns):
    units = ["ns", "us", "ms", "s"]
    while abs(ns) >= 999.5 and len(units) > 1:
        ns /= 1000
        units.pop(0)
    digits = 2 if abs(ns) < 9.995 else 1 if abs(ns) < 99.95 else 0
    return f"{fixed(ns, digits)} {units[0]}"


def share(part):
    if 0 < part < 0.0005:
        return "<0.1 %"
    if 0.9995 <= part < 1:
        return ">99.9 %"
    return f"{fixed(part * 100, 1)} %"


def rate(value, units):
    units = list(units)
    while abs(value) >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{plain(value)} {units[0]}"


def value_of(name, value):
    """A number formatted by the unit that its name ends with."""
    if value is None:
        return "-"
    for suffix, ns in TIMES.items():
        if name.endswith(suffix):
            return time(value * ns)
    for suffix, units in RATES.items():
        if name.endswith(suffix):
            return rate(value, units)
    if name.endswith("_bytes"):
        return f"{whole(value):,} bytes"
    if name.endswith("_share"):
        return share(value)
    if name.endswith("_per_s"):
        return f"{whole(value):,}"
    return plain(value)


def part_of_share(number, part):
    k, n = number["k"], number["n"]
    if part == "share":
        return share(k / n) if n else "-"
    if part == "range":
        if number["low"] is None:
            return "-"
        return f"{fixed(number['low'] * 100, 0)} to {fixed(number['high'] * 100, 0)} %"
    return {"k": f"{k:,}", "n": f"{n:,}", "": f"{k:,} of {n:,}"}[part]


def part_of_interval(name, number, part):
    mid = value_of(name, number["mid"])
    bounded = number["low"] is not None
    limits = (f"{value_of(name, number['low'])} to {value_of(name, number['high'])}" if bounded
              else "-")
    return {"mid": mid, "range": limits, "": f"{mid} ({limits})" if bounded else mid}[part]


def sentence(template, numbers):
    """The template with its numbers put in; KeyError for one that is not there."""
    def put(match):
        if match[0] == "{{":
            return "{"
        name, _, part = match[1].partition(".")
        number = numbers[name]
        if isinstance(number, dict):
            return (part_of_share(number, part) if "k" in number
                    else part_of_interval(name, number, part))
        return number if isinstance(number, str) else value_of(name, number)
    return re.sub(r"{{|{([^}]*)}", put, template)
