# SPDX-License-Identifier: MIT
"""What one send took of what it was given; what a signal did to a call that waited."""
import numpy as np

from . import style

SENDS = {"nonblock": "non-blocking", "block": "blocking,\nundisturbed",
         "sndtimeo": "blocking, cut by\nSO_SNDTIMEO", "signal": "blocking, cut\nby a signal",
         "signal-restart": "the same with\nSA_RESTART"}
CALLS = {"recv": "C: recv", "recv-restart": "C: recv, SA_RESTART",
         "recv-timeout": "C: SA_RESTART, SO_RCVTIMEO", "accept": "C: accept",
         "accept-restart": "C: accept, SA_RESTART", "connect": "C: connect",
         "connect-restart": "C: connect, SA_RESTART"}
EINTR, RESUMED, OTHER = ("fails: EINTR", style.RED), ("is resumed", style.GREEN), (
    "something else", style.GREY)


def draw_sends(axes, variants, total):
    axes.set_title("One send, then a loop")
    names = [name for name in SENDS if name in variants]
    style.rows_of(axes, [SENDS[name] for name in names])
    for at, name in enumerate(names):
        took = max(0, float(np.median(style.column(variants[name], "result"))))
        calls = int(np.median(style.column(variants[name], "calls")))
        missing = int(style.column(variants[name], "missing_bytes").max())
        axes.barh(at, 100 * took / total, 0.62, color=style.BLUE)
        axes.barh(at, 100 - 100 * took / total, 0.62, left=100 * took / total, color=style.SKY,
                  alpha=0.45)
        axes.text(2, at + 0.42, f"{style.bytes_of(took)} in the first send"
                  + (f", all{' but ' + str(missing) if missing else ''} after {calls} sends"
                     if calls > 1 else ""), size=8.5, va="center", color=style.GREY)
    axes.set_xlim(0, 100)
    axes.set_ylim(len(names) - 0.4, -0.5)
    axes.set_xlabel(f"of the {style.bytes_of(total)} that send was given (%)")


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


def draw_calls(axes, rows):
    axes.set_title("A signal while a call waits")
    style.rows_of(axes, list(rows))
    axes.tick_params(axis="y", labelsize=8.5)
    for at, (eintr, resumed, count) in enumerate(rows.values()):
        begin = 0
        for part, (label, colour) in ((eintr, EINTR), (resumed, RESUMED),
                                      (count - eintr - resumed, OTHER)):
            if part:
                axes.barh(at, 100 * part / count, 0.7, left=begin, color=colour)
                axes.text(begin + 50 * part / count, at, label, ha="center", va="center",
                          size=8.5, color="white", weight="bold")
            begin += 100 * part / count
    axes.set_xlim(0, 100)
    axes.set_xlabel("calls (%)")


def title_of(variants):
    told = []
    cut = [s for name in SENDS if name not in ("block",) for s in variants.get(name, [])]
    if cut:
        brief = sum(0 <= s["result"] < s["given_bytes"] for s in cut)
        told.append(f"send took a part in {brief} of {len(cut)} cases, a loop sends the rest")
    bare = [s for name in ("recv", "accept", "connect") for s in variants.get(name, [])]
    new = [s for s in variants.get("python", []) if s["version"] >= 305]
    if bare:
        told.append(f"in C a signal made {sum(s['eintr'] for s in bare)} of {len(bare)} calls fail")
    if new:
        good = sum(s["recv_resumed"] and s["connect_resumed"] for s in new)
        told.append(f"CPython since 3.5 went on in {good} of {len(new)} runs")
    title = "; ".join(told) or "What a signal does to a call"
    return title[0].upper() + title[1:]


def draw(result):
    variants = style.of_variants(result.samples, *SENDS, *CALLS, "python")
    sends = any(name in variants for name in SENDS)
    rows = outcomes(variants)
    page = style.Page(result, title_of(variants), "Dark blue: what the first send took; light "
                      "blue: what the loop sent afterwards.")
    both = sends and bool(rows)
    grid = page.grid(1, 2 if both else 1, left=0.13, wspace=0.62, above=0.06, below=0.09)
    if sends:
        draw_sends(page.fig.add_subplot(grid[0]), variants, result.run["params"]["total_bytes"])
    if rows:
        draw_calls(page.fig.add_subplot(grid[-1]), rows)
    return page.fig
