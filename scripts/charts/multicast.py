# SPDX-License-Identifier: MIT
"""What each socket received of what was sent once: those it is for, and those it is not for."""
import numpy as np

from language import MESSAGE, say, translated

from . import style

CROWDS = {
    "broadcast": MESSAGE("broadcast, loopback"),
    "broadcast-link": MESSAGE("broadcast, over a cable"),
    "multicast": MESSAGE("multicast, loopback"),
    "multicast-link": MESSAGE("multicast, over a cable"),
}

CROWDED = 8  # receivers: more have no room for figures


def median(samples, field):
    return float(np.median(style.column(samples, field)))


def gap(receivers):
    """Between those it is for and the others, so that what stands above has room."""
    return max(2, receivers * 0.4)


def draw_crowd(axes, at, samples):
    """A square for each receiver, filled as far as it was reached; who should not be, beside."""
    sends, receivers = median(samples, "sends"), int(median(samples, "receivers"))
    each = median(samples, "received_datagrams") / sends / receivers
    outsider = median(samples, "outsider_datagrams") / sends
    marks = [(1 + place, each, style.GREEN) for place in range(receivers)]
    marks.append((receivers + gap(receivers), outsider, style.RED))
    if samples[0]["part"] == "multicast":
        marks.append((receivers + 2 * gap(receivers),
                      median(samples, "trapped_datagrams") / sends, style.ORANGE))
    for x, share, colour in marks:
        axes.barh(at, 0.7, left=x - 0.35, height=0.55, color="white", edgecolor=colour,
                  linewidth=1.5)
        axes.barh(at, 0.7 * share, left=x - 0.35, height=0.55, color=colour)
        if receivers <= CROWDED:
            axes.text(x, at, f"{share * 100:.0f} %", ha="center", va="center",
                      size=style.CAPTION, color="white" if share > 0.5 else colour)
    counted = median(samples, "out_datagrams")
    if counted:
        style.beside(axes, at, say("{left:,.0f} datagrams left,\n{received:,.0f} were received",
                                   left=counted, received=median(samples, "in_datagrams")))


def draw_crowds(axes, crowds):
    receivers = max(int(median(samples, "receivers")) for samples in crowds.values())
    style.rows_of(axes, [translated(CROWDS.get(name, name)) for name in crowds])
    for at, samples in enumerate(crowds.values()):
        draw_crowd(axes, at, samples)
    axes.set_xlim(0.4, receivers + 2.45 * gap(receivers))
    axes.set_xticks([])
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)
    for x, words, colour in (
            ((receivers + 1) / 2, translated("for whom it is"), style.GREEN),
            (receivers + gap(receivers), translated("not addressed,\nor no member"), style.RED),
            (receivers + 2 * gap(receivers), translated("no member, but\nIP_MULTICAST_ALL"), style.ORANGE)):
        axes.text(x, -0.55, words, ha="center", va="bottom", color=colour)


def title_of(crowds):
    reach = min(median(s, "received_datagrams") / median(s, "sends") for s in crowds.values())
    trapped = any(style.column(s, "trapped_datagrams").any() for s in crowds.values())
    return say(MESSAGE("One send reaches {receivers} receivers, and a socket that never joined the group") if trapped
               else MESSAGE("One send reaches {receivers} receivers"), receivers=style.figures(reach))


def draw(result):
    crowds = style.of_variants(result.samples, *CROWDS)
    page = style.Page(result, title_of(crowds),
                      translated("How much each socket received of what was sent once."))
    grid = page.grid(1, 1, left=0.19, right=0.81, above=0.08, below=0.02)
    draw_crowds(page.fig.add_subplot(grid[0]), crowds)
    return page.fig
