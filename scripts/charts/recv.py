# SPDX-License-Identifier: MIT
"""How long recv waits: its timeouts against what was asked, and what ends a wait in which case."""
import numpy as np

from language import MESSAGE, say, translated
from . import style

CASES = {  # variant and case, as people would say them
    ("empty", "tcp"): MESSAGE("nothing there (TCP), all comes"),
    ("ready", "tcp"): MESSAGE("all there (TCP)"),
    ("waitall", "without"): MESSAGE("a part there, the rest comes"),
    ("waitall", "rest-comes"): MESSAGE("MSG_WAITALL: the rest comes"),
    ("waitall", "signal"): MESSAGE("MSG_WAITALL: a signal comes"),
    ("waitall", "end"): MESSAGE("MSG_WAITALL: the end comes"),
    ("waitall", "timeout"): MESSAGE("MSG_WAITALL: timeout of 20 ms"),
    ("lowat", "recv"): MESSAGE("SO_RCVLOWAT: more comes"),
    ("lowat", "recv-rest"): MESSAGE("SO_RCVLOWAT: rest (till timeout)"),
    ("lowat", "poll"): MESSAGE("SO_RCVLOWAT: poll, then recv"),
    ("lowat", "dontwait"): MESSAGE("SO_RCVLOWAT, MSG_DONTWAIT"),
    ("flags", "dontwait-empty"): MESSAGE("MSG_DONTWAIT, nothing there"),
    ("flags", "peek"): MESSAGE("MSG_PEEK, a part there"),
}


def draw_timeouts(axes, samples):
    asked = sorted({s["asked_ns"] for s in samples})
    top = max(s["elapsed_ns"] for s in samples) / 1e6 * 1.4
    low = min(asked) / 1e6 * 0.7
    axes.plot([low, top], [low, top], color=style.GREY, linewidth=1, linestyle="--")
    axes.text(2.3, 2, translated("as asked for"), color=style.GREY, va="top")
    for ns in asked:
        here = [s for s in samples if s["asked_ns"] == ns]
        waits = style.column(here, "elapsed_ns") / 1e6
        at = ns / 1e6 * np.exp(style.jitter(len(waits), 0.22))
        axes.plot(at, waits, "o", color=style.RED, markersize=5, alpha=0.55, markeredgewidth=0)
        axes.plot([ns / 1e6], [here[0]["granted_ns"] / 1e6], "_", color=style.BLUE, markersize=22,
                  markeredgewidth=2.5)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(low, top)
    axes.set_ylim(low, top)
    ms = [ns / 1e6 for ns in asked]
    axes.set_xticks(ms, [style.figures(value) for value in ms])
    axes.set_yticks([1, 2, 5, 10, 20, 50, 100], "1 2 5 10 20 50 100".split())
    axes.minorticks_off()
    axes.set_xlabel(translated("SO_RCVTIMEO asked for (ms)"))
    axes.set_ylabel(translated("recv waited (ms)"))
    axes.plot([], [], "_", color=style.BLUE, markersize=14, markeredgewidth=2.5,
              label=translated("as the kernel rounded it"))
    axes.plot([], [], "o", color=style.RED, label=translated("one wait, measured"))
    axes.legend(loc="upper left", frameon=False, handletextpad=0.4)
    axes.set_title(translated("A timeout"))


def outcome(sample):
    if sample["returned_bytes"] < 0:
        return sample["error"]
    if sample["returned_bytes"] == 0:
        return translated("the end")
    return f"{sample['returned_bytes']:,} B"


def draw_cases(axes, samples):
    found = {label: [s for s in samples if (s["variant"], s["case"]) == key]
             for key, label in CASES.items()}
    found = {label: here for label, here in found.items() if here}
    style.rows_of(axes, list(map(translated, found)))
    axes.set_xscale("log")
    for at, here in enumerate(found.values()):
        waits = np.maximum(style.column(here, "elapsed_ns"), 1) / 1e6
        asleep = np.median(style.column(here, "sleeps")) > 0
        look = (style.RED, "o") if asleep else (style.GREEN, "^")
        style.dots(axes, waits, at, *look)
        style.beside(axes, at, outcome(here[0]))
    axes.set_xticks([1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100], ["", "1 µs", "", "100 µs", "", "10 ms", ""])
    axes.minorticks_off()
    axes.tick_params(axis="x", labelsize=style.CAPTION)
    axes.set_xlabel(translated("recv took"))
    axes.text(1.015, -0.75, translated("it returned"), transform=axes.get_yaxis_transform(), color=style.GREY)
    axes.set_title(translated("What ends a wait"))


def title_of(result, timeouts, empty):
    told = []
    if empty and result.verdict("tcp-recv-waits") == "holds":
        wait = style.time_of(np.median(style.column(empty, "elapsed_ns")))
        told.append(say("recv slept {wait}, until the sender sent", wait=wait))
    if timeouts:
        asked = min(s["asked_ns"] for s in timeouts)
        waits = style.column([s for s in timeouts if s["asked_ns"] == asked], "elapsed_ns")
        told.append(say("a timeout of {asked} took {wait}", asked=style.time_of(asked),
                        wait=style.time_of(np.median(waits))))
    return "; ".join(told) or translated("How long recv waits")


def draw(result):
    variants = style.of_variants(result.samples)
    timeouts = variants.pop("timeout", [])
    page = style.Page(result, title_of(result, timeouts, [s for s in variants.get("empty", [])
                                                          if s["case"] == "tcp"]),
                      translated("recv is called for 1,000 bytes; a part is 400 of them. A mark is a call: red dots "
                                 "slept, green triangles did not."))
    rest = [s for samples in variants.values() for s in samples]
    both = bool(timeouts) and bool(rest)
    if timeouts:
        draw_timeouts(page.fig.add_subplot(
            page.grid(1, 1, left=0.065, right=0.39 if both else style.RIGHT)[0]), timeouts)
    if rest:
        draw_cases(page.fig.add_subplot(
            page.grid(1, 1, left=0.64 if both else 0.3, right=0.91)[0]), rest)
    return page.fig
