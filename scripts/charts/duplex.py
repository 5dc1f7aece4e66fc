# SPDX-License-Identifier: MIT
"""Bytes received over time in each direction: alone, both at once, and by turns."""
import numpy as np

from language import MESSAGE, say, translated

from . import style

PANELS = {"there": MESSAGE("There alone"), "back": MESSAGE("Back alone"), "both": MESSAGE("Both at once"),
          "turns": MESSAGE("By turns")}
WAYS = {"there": (MESSAGE("there"), style.BLUE), "back": (MESSAGE("back"), style.RED)}


def median(samples, field):
    values = [s[field] for s in samples if s[field]]
    return float(np.median(values)) if values else 0


def title_of(result):
    there, back, turns = (result.number("tcp-full-duplex", f"{name}.mid")
                          for name in ("there", "back", "turns"))
    if there is None:
        return translated("Sending and receiving at the same time: bytes over time")
    told = [say("Both ways at once, each has {there:.2f} and {back:.2f} of its speed alone", there=there, back=back)]
    if turns:
        told.append(say("by turns it takes {turns:.2f} times as long", turns=turns))
    return "; ".join(told)


def draw_trial(axes, result, name, sample):
    first = "back" if 0 < sample["back_ns"] < sample["there_ns"] else "there"
    for way, (label, colour) in WAYS.items():
        above = way == first  # the curve that is ahead has its name on that side
        looks = [row for row in result.kinds.get("progress", []) if row["variant"] == name
                 and row["trial"] == sample["trial"] and row["way"] == way]
        if not looks:
            continue
        at = np.append(0, style.column(looks, "at_ns")) / 1e6
        received = np.append(0, style.column(looks, "received_bytes")) / 1024
        axes.plot(at, received, color=colour, linewidth=2.5, drawstyle="steps-post")
        middle = len(at) // 2 + (len(at) // 5 if above else -len(at) // 5)
        axes.annotate(translated(label), (at[middle], received[middle]), textcoords="offset points",
                      xytext=(-7, 4) if above else (8, -10),
                      ha="right" if above else "left", color=colour, weight="bold")
    axes.axvline(sample["elapsed_ns"] / 1e6, color=style.GREY, linewidth=1, linestyle=":")


def draw(result):
    variants = style.of_variants(result.samples, *PANELS)
    params = result.run["params"]
    first = result.samples[0]
    rate = style.figures(params["rate_bytes_per_s"] * 8 / 1e6)
    path = (MESSAGE("the link to another host") if "peer" in result.run else
            MESSAGE("a cable that carries {rate} Mbit/s in each direction") if first["cable"] else
            MESSAGE("loopback, each end sending at {rate} Mbit/s"))
    total = params["total_bytes"]
    page = style.Page(result, title_of(result), say(
        "{total} each way over one TCP connection, on {path}. The first trial of each; in the titles the medians of "
        "all.", total=style.bytes_of(total), path=say(path, rate=rate)))
    columns = min(2, len(variants))
    rows = (len(variants) + columns - 1) // columns
    grid = page.grid(rows, columns, left=0.085, hspace=0.4, wspace=0.12, above=0.055)
    longest = max(s["elapsed_ns"] for s in result.samples) / 1e6
    for at, (name, samples) in enumerate(variants.items()):
        axes = page.fig.add_subplot(grid[at // columns, at % columns])
        axes.set_title(f"{translated(PANELS.get(name, name))}: {style.time_of(median(samples, 'elapsed_ns'))}")
        draw_trial(axes, result, name, samples[0])
        axes.set_xlim(0, longest * 1.04)
        axes.set_ylim(0, total / 1024 * 1.04)
        if at % columns == 0:
            axes.set_ylabel(translated("received (KiB)"))
        if at // columns == rows - 1:
            axes.set_xlabel(translated("time (ms)"))
    return page.fig
