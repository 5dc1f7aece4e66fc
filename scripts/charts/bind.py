# SPDX-License-Identifier: MIT
"""A port that somebody has: who else may bind it, and how two listeners share what comes."""
from matplotlib.patches import Rectangle

from . import style

STATES = {  # as the rows name them: in words
    "bound": "the first one is bound,\ndoes not listen",
    "listening": "the first one listens",
    "connected": "its listener is closed,\na connection is left",
    "time-wait": "all is closed, a connection\nis left in TIME_WAIT",
    "wildcard": "the first one listens,\nthe second binds 0.0.0.0",
    "other-address": "the first one listens, the\nsecond binds 127.0.0.2",
    "udp": "the first one listens,\nthe second binds UDP",
}
OPTIONS = {
    "none": ("–", "–"),
    "reuseaddr-second": ("–", "REUSE-\nADDR"),
    "reuseaddr-both": ("REUSE-\nADDR", "REUSE-\nADDR"),
    "reuseport-second": ("–", "REUSE-\nPORT"),
    "reuseport-both": ("REUSE-\nPORT", "REUSE-\nPORT"),
    "reuseport-reuseaddr": ("REUSE-\nPORT", "REUSE-\nADDR"),
}


def cell_of(samples):
    """What the trials of one cell gave, and its look."""
    errors = {(sample["bind_errno"], sample["listen_errno"]) for sample in samples}
    if not errors:
        return "not seen", style.PALE, style.BLACK
    if errors == {(0, 0)}:
        return "✓ works", style.SKY, style.BLACK
    if len(errors) > 1:
        return "mixed", style.YELLOW, style.BLACK
    name = samples[0]["bind"] if samples[0]["bind_errno"] else samples[0]["listen"]
    return "✗ in use" if name == "EADDRINUSE" else name, style.ORANGE, style.BLACK


def draw_cells(axes, samples):
    axes.set_xlim(-0.5, len(OPTIONS) - 0.5)
    axes.set_ylim(len(STATES) - 0.5, -0.5)
    for row, state in enumerate(STATES):
        for column, options in enumerate(OPTIONS):
            words, colour, ink = cell_of([s for s in samples if s.get("held") == state
                                          and s["options"] == options])
            axes.add_patch(Rectangle((column - 0.48, row - 0.46), 0.96, 0.92, color=colour,
                                     alpha=0.6, linewidth=0))
            axes.text(column, row, words, ha="center", va="center", color=ink, size=9)
    axes.set_xticks(range(len(OPTIONS)), [""] * len(OPTIONS))
    for column, (first, second) in enumerate(OPTIONS.values()):
        for words, at in ((first, -0.035), (second, -0.125)):
            axes.text(column, at, words, ha="center", va="center", size=9,
                      transform=axes.get_xaxis_transform())
    for words, at in (("first program sets", -0.035), ("second program sets", -0.125)):
        axes.text(-0.55, at, words, ha="right", va="center", color=style.GREY, size=9,
                  transform=axes.get_xaxis_transform())
    axes.set_yticks(range(len(STATES)), STATES.values())
    axes.tick_params(length=0, labelsize=9)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title("May a second program bind a TCP port, and listen there?")


def draw_spread(axes, samples):
    first = style.column(samples, "first_connections")
    second = style.column(samples, "second_connections")
    axes.set_title("Both listen by REUSEPORT:\nwho gets the connections?")
    for trial, (a, b) in enumerate(zip(first, second)):
        axes.barh(trial, a, color=style.BLUE, height=0.7)
        axes.barh(trial, b, left=a, color=style.GREEN, height=0.7)
        axes.text(a / 2, trial, f"{a:,}", ha="center", va="center", color="white")
        axes.text(a + b / 2, trial, f"{b:,}", ha="center", va="center", color="white")
    axes.set_yticks(range(len(first)), [f"trial {trial + 1}" for trial in range(len(first))])
    axes.set_ylim(len(first) - 0.4, -1.0)
    if len(first):
        axes.text(0, -0.5, "first", color=style.BLUE, va="bottom")
        axes.text(first[0] + second[0], -0.5, "second", color=style.GREEN, va="bottom", ha="right")
    axes.set_xlabel("connections")
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)


def title_of(samples):
    """What the row of listeners shows, in words."""
    listening = [s for s in samples if s.get("held") == "listening"]
    works = {s["options"] for s in listening if not s["bind_errno"] and not s["listen_errno"]}
    fails = {s["options"] for s in listening} - works
    if works == {"reuseport-both"} and fails:
        return "A second program may listen at a port only if both set REUSEPORT"
    if works and fails:
        return "Whether a second program may listen at a port depends on the options of both"
    return f"A second program may {'always' if works else 'never'} listen at a port"


def draw(result):
    page = style.Page(result, title_of(result.samples),
                      "The first program has a TCP port of 127.0.0.1; the second one, a process "
                      "of its own, binds it and listens.")
    grid = page.grid(1, 2, left=0.205, above=0.08, below=0.13, wspace=0.16, width_ratios=(2.5, 1))
    draw_cells(page.fig.add_subplot(grid[0]), result.samples)
    draw_spread(page.fig.add_subplot(grid[1]),
                [sample for sample in result.samples if "first_connections" in sample][:12])
    return page.fig
