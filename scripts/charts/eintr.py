# SPDX-License-Identifier: MIT
"""What a signal did to a call that waited, in C and in every CPython."""
from language import MESSAGE, say, translated

from . import style

CALLS = {"recv": "C: recv", "recv-restart": "C: recv, SA_RESTART",
         "recv-timeout": "C: SA_RESTART, SO_RCVTIMEO", "accept": "C: accept",
         "accept-restart": "C: accept, SA_RESTART", "connect": "C: connect",
         "connect-restart": "C: connect, SA_RESTART"}
ENDS = ((MESSAGE("fails: EINTR"), style.RED), (MESSAGE("is resumed"), style.GREEN),
        (MESSAGE("something else"), style.GREY))


def outcomes(variants):
    """A label for each call, with how often it ended how."""
    rows = {}
    for name, label in CALLS.items():
        samples = variants.get(name, [])
        if samples:
            rows[label] = (sum(s["eintr"] for s in samples), sum(s["resumed"] for s in samples),
                           len(samples))
    for sample in sorted(variants.get("python", []), key=lambda s: s["version"]):
        label = f"CPython {sample['python']}: recv, connect"
        eintr, resumed, count = rows.get(label, (0, 0, 0))
        rows[label] = (eintr + sample["recv_eintr"] + sample["connect_eintr"],
                       resumed + sample["recv_resumed"] + sample["connect_resumed"], count + 2)
    return rows


def title_of(variants):
    told = []
    bare = [s for name in ("recv", "accept", "connect") for s in variants.get(name, [])]
    new = [s for s in variants.get("python", []) if s["version"] >= 305]
    if bare:
        told.append(say("in C a signal made {failed} of {calls} calls without SA_RESTART fail",
                        failed=sum(s["eintr"] for s in bare), calls=len(bare)))
    if new:
        good = sum(s["recv_resumed"] and s["connect_resumed"] for s in new)
        told.append(say("CPython since 3.5 went on in {good} of {runs} runs", good=good, runs=len(new)))
    title = "; ".join(told) or translated("What a signal does to a call")
    return title[0].upper() + title[1:]


def draw(result):
    variants = style.of_variants(result.samples)
    rows = outcomes(variants)
    page = style.Page(result, title_of(variants),
                      translated("A signal comes while a call waits that has done nothing yet."))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.26, right=0.97, above=0.03, below=0.09)[0])
    style.rows_of(axes, list(rows))
    for at, (eintr, resumed, count) in enumerate(rows.values()):
        begin = 0
        for part, (label, colour) in zip((eintr, resumed, count - eintr - resumed), ENDS):
            share = 100 * part / count
            axes.barh(at, share, 0.7, left=begin, color=colour)
            axes.text(begin + share / 2, at, translated(label) if part else "", ha="center", va="center",
                      color="white", weight="bold")
            begin += share
    axes.set_xlim(0, 100)
    axes.set_xlabel(translated("calls (%)"))
    return page.fig
