# SPDX-License-Identifier: MIT
"""One UDP socket and many others: sockets a server needs, and receivers that one send reaches."""
import numpy as np

from matplotlib.ticker import MaxNLocator

from . import style

TURNS = {"udp": "UDP", "tcp": "TCP"}
CROWDS = {
    "broadcast": "broadcast, loopback",
    "broadcast-link": "broadcast, over a cable",
    "multicast": "multicast, loopback",
    "multicast-link": "multicast, over a cable",
}

CROWDED = 8  # receivers: more have no room for figures


def median(samples, field):
    return float(np.median(style.column(samples, field)))


def title_of(turns, crowds):
    told = []
    if "udp" in turns:
        told.append(f"one UDP socket answers {median(turns['udp'], 'peers'):.0f} peers")
    if "tcp" in turns:
        sockets = median(turns["tcp"], "server_sockets")
        told.append(f"{'where ' if told else ''}TCP takes {sockets:.0f} sockets")
    if crowds:
        reach = min(median(s, "received_datagrams") / median(s, "sends") for s in crowds.values())
        told.append(f"{'and ' if told else ''}one send reaches {style.figures(reach)} receivers")
    title = ", ".join(told)
    return title[0].upper() + title[1:]


def draw_turns(axes, turns):
    axes.set_title("By turns: sockets that the server needs")
    style.rows_of(axes, [TURNS.get(name, name) for name in turns])
    for at, (name, samples) in enumerate(turns.items()):
        sockets = median(samples, "server_sockets")
        wrong = sum(style.column(samples, "wrong_answers"))
        right = sum(style.column(samples, "answers")) - wrong
        axes.barh(at, sockets, height=0.5, color=style.BLUE if name == "udp" else style.GREY)
        axes.text(sockets, at, f"  {sockets:.0f}", va="center", weight="bold")
        style.beside(axes, at, f"{right:,} answers to\nthe right peer, {wrong:,} wrong")
    axes.set_xlim(0, max(median(s, "server_sockets") for s in turns.values()) * 1.12)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("sockets")


def draw_crowd(axes, at, samples):
    """A square for each receiver, filled as far as it was reached; who should not be, beside."""
    sends, receivers = median(samples, "sends"), int(median(samples, "receivers"))
    each = median(samples, "received_datagrams") / sends / receivers
    outsider = median(samples, "outsider_datagrams") / sends
    marks = [(1 + place, each, style.GREEN) for place in range(receivers)]
    marks.append((receivers + 2, outsider, style.RED))
    if samples[0]["part"] == "multicast":
        marks.append((receivers + 4, median(samples, "trapped_datagrams") / sends, style.ORANGE))
    for x, share, colour in marks:
        axes.barh(at, 0.7, left=x - 0.35, height=0.55, color="white", edgecolor=colour,
                  linewidth=1.5)
        axes.barh(at, 0.7 * share, left=x - 0.35, height=0.55, color=colour)
        if receivers <= CROWDED:
            axes.text(x, at, f"{share * 100:.0f} %", ha="center", va="center",
                      size=style.CAPTION, color="white" if share > 0.5 else colour)
    counted = median(samples, "out_datagrams")
    if counted:
        style.beside(axes, at, f"{counted:.0f} datagrams left,\n"
                     f"{median(samples, 'in_datagrams'):.0f} were received")


def draw_crowds(axes, crowds):
    receivers = max(int(median(samples, "receivers")) for samples in crowds.values())
    axes.set_title("All at once: how much of what was sent once each socket received", pad=34)
    style.rows_of(axes, [CROWDS.get(name, name) for name in crowds])
    for at, samples in enumerate(crowds.values()):
        draw_crowd(axes, at, samples)
    axes.set_xlim(0.4, receivers + 4.9)
    axes.set_xticks([])
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)
    for x, words, colour in ((1 + (receivers - 1) / 2, "for whom it is", style.GREEN),
                             (receivers + 2, "not addressed,\nor no member", style.RED),
                             (receivers + 4, "no member, but\nIP_MULTICAST_ALL", style.ORANGE)):
        axes.text(x, -0.55, words, ha="center", va="bottom", color=colour)


def draw(result):
    turns = style.of_variants([s for s in result.samples if s["part"] == "turns"], *TURNS)
    crowds = style.of_variants([s for s in result.samples if s["part"] != "turns"], *CROWDS)
    page = style.Page(result, title_of(turns, crowds))
    panels = ([(draw_turns, turns, 2)] if turns else []) + (
        [(draw_crowds, crowds, len(crowds))] if crowds else [])
    grid = page.grid(len(panels), 1, left=0.19, right=0.81, hspace=0.75, below=0.02,
                     height_ratios=[height for *_, height in panels])
    for place, (draw_panel, samples, _) in enumerate(panels):
        draw_panel(page.fig.add_subplot(grid[place]), samples)
    return page.fig
