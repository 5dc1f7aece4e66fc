# SPDX-License-Identifier: MIT
"""How often a client that writes before it reads gets stuck, against the bytes it writes."""
import math

import numpy as np

from language import say, translated
from . import style

CURES = {"poll": (style.GREEN, "^", -1), "thread": (style.BLUE, "s", 0),
         "window": (style.ORANGE, "D", 1)}
PLAIN = (style.RED, "o")


def shares(samples):
    """The amounts, in ascending order, and (stuck, tries) of each."""
    amounts = sorted({s["amount_bytes"] for s in samples})
    return amounts, [(sum(s["stuck"] for s in samples if s["amount_bytes"] == amount),
                      sum(s["amount_bytes"] == amount for s in samples)) for amount in amounts]


def draw_points(axes, samples, label, look, places, shift=0.0, line="-"):
    colour, marker = look[:2]
    amounts, counts = shares(samples)
    share = np.array([k / n for k, n in counts]) * 100
    limits = np.array([style.wilson(k, n) for k, n in counts]).T * 100
    axes.errorbar([places[amount] + shift for amount in amounts], share,
                  yerr=np.abs(limits - share), color=colour, marker=marker, markersize=7,
                  linewidth=2, linestyle=line, elinewidth=1.2, capsize=3, label=label, zorder=3)


def label_of(result, name):
    return translated(result.help(name)).removesuffix(" (control)")


def asked(samples):
    size = samples[0]["asked_bytes"]
    return say("buffers of {size} asked for", size=style.bytes_of(size)) if size else translated("default buffers")


def title_of(plain):
    """Up to where nobody was stuck, and from where everybody was, with the largest buffers."""
    amounts, counts = shares(plain)
    free = []
    for amount, (k, _) in zip(amounts, counts):
        if k:
            break
        free.append(amount)
    stuck = []
    for amount, (k, n) in zip(reversed(amounts), reversed(counts)):
        if k < n:
            break
        stuck.append(amount)
    if not free or not stuck:
        return translated("A client that writes everything before it reads gets stuck with an echo server")
    return say("Write before you read, and you and the echo server get stuck: never up to {free}, always from {stuck} "
               "({buffers})", free=style.bytes_of(free[-1]), stuck=style.bytes_of(stuck[-1]), buffers=asked(plain))


def draw(result):
    sizes = sorted({s["asked_bytes"] for s in result.samples}, key=lambda size: size or math.inf)
    variants = style.of_variants(result.samples, "plain", *CURES)
    last = [s for s in variants.get("plain", []) if s["asked_bytes"] == sizes[-1]]
    title = translated("A client that writes before it reads, and an echo server")
    if last and result.verdict("buf-echo-deadlock") == "holds":
        title = title_of(last)
    page = style.Page(result, title,
                      translated("The amounts, unevenly spaced, were found at run time around the rise. "
                                 "Bars are 95 % intervals."))
    grid = page.grid(1, len(sizes), left=0.075, above=0.15, below=0.15, wspace=0.08)
    first = None
    for at, size in enumerate(sizes):
        axes = page.fig.add_subplot(grid[at], sharey=first)
        first = first or axes
        here = {name: [s for s in samples if s["asked_bytes"] == size]
                for name, samples in variants.items()}
        places = {amount: place for place, amount in enumerate(
            sorted({s["amount_bytes"] for samples in here.values() for s in samples}))}
        if here.get("plain"):
            draw_points(axes, here["plain"], label_of(result, "plain"), PLAIN, places)
        for name, look in CURES.items():
            if here.get(name):
                draw_points(axes, here[name], label_of(result, name), look, places,
                            0.3 * look[2], "none")
        axes.set_title(asked([{"asked_bytes": size}]))
        axes.set_xticks(range(len(places)), [f"{amount:,}" for amount in places], rotation=40,
                        ha="right", rotation_mode="anchor")
        axes.set_xlim(-0.5, len(places) - 0.4)
        axes.set_xlabel(translated("bytes written before the first read"))
        axes.tick_params(labelleft=at == 0)
        axes.tick_params(axis="x", labelsize=style.CAPTION)
    first.set_ylim(-4, 104)
    first.set_ylabel(translated("clients that got stuck (%)"))
    handles, labels = first.get_legend_handles_labels()
    page.fig.legend(handles, labels, loc="upper left", ncol=2, frameon=False, columnspacing=1.4,
                    handletextpad=0.3, fontsize=style.BODY - 1, borderaxespad=0,
                    bbox_to_anchor=(0.06, page.top - 0.008))
    return page.fig
