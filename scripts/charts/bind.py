# SPDX-License-Identifier: MIT
"""A port that somebody has: who else may bind it, how two listeners share what comes, and what it does not decide."""
from matplotlib.patches import Rectangle

from language import MESSAGE, say, translated

from . import style

STATES = {  # as the rows name them: in words
    "bound": MESSAGE("the first one is bound,\ndoes not listen"),
    "listening": MESSAGE("the first one listens"),
    "connected": MESSAGE("its listener is closed,\na connection is left"),
    "time-wait": MESSAGE("all is closed, a connection\nis left in TIME_WAIT"),
    "wildcard": MESSAGE("the first one listens,\nthe second binds 0.0.0.0"),
    "other-address": MESSAGE("the first one listens, the\nsecond binds 127.0.0.2"),
    "udp": MESSAGE("the first one listens,\nthe second binds UDP"),
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
        return translated("not seen"), style.PALE, style.BLACK
    if errors == {(0, 0)}:
        return "✓ " + translated("works"), style.SKY, style.BLACK
    if len(errors) > 1:
        return translated("mixed"), style.YELLOW, style.BLACK
    name = samples[0]["bind"] if samples[0]["bind_errno"] else samples[0]["listen"]
    return "✗ " + translated("in use") if name == "EADDRINUSE" else name, style.ORANGE, style.BLACK


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
    for words, at in ((translated("first program sets"), -0.035), (translated("second program sets"), -0.125)):
        axes.text(-0.55, at, words, ha="right", va="center", color=style.GREY, size=9,
                  transform=axes.get_xaxis_transform())
    axes.set_yticks(range(len(STATES)), map(translated, STATES.values()))
    axes.tick_params(length=0, labelsize=9)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(translated("May a second program bind a TCP port, and listen there?"))


def draw_spread(axes, samples):
    first = style.column(samples, "first_connections")
    second = style.column(samples, "second_connections")
    axes.set_title(translated("Both listen by REUSEPORT:\nwho gets the connections?"))
    for trial, (a, b) in enumerate(zip(first, second)):
        axes.barh(trial, a, color=style.BLUE, height=0.7)
        axes.barh(trial, b, left=a, color=style.GREEN, height=0.7)
        axes.text(a / 2, trial, f"{a:,}", ha="center", va="center", color="white")
        axes.text(a + b / 2, trial, f"{b:,}", ha="center", va="center", color="white")
    axes.set_yticks(range(len(first)), [say("trial {number}", number=trial + 1) for trial in range(len(first))])
    axes.set_ylim(len(first) - 0.4, -1.0)
    if len(first):
        axes.text(0, -0.5, translated("first"), color=style.BLUE, va="bottom")
        axes.text(first[0] + second[0], -0.5, translated("second"), color=style.GREEN, va="bottom", ha="right")
    axes.set_xlabel(translated("connections"))
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)


def title_of(samples):
    """What the row of listeners shows, in words."""
    listening = [s for s in samples if s.get("held") == "listening"]
    works = {s["options"] for s in listening if not s["bind_errno"] and not s["listen_errno"]}
    fails = {s["options"] for s in listening} - works
    if works == {"reuseport-both"} and fails:
        return translated("A second program may listen at a port only if both set REUSEPORT")
    if works and fails:
        return translated("Whether a second program may listen at a port depends on the options of both")
    return (translated("A second program may always listen at a port") if works else
            translated("A second program may never listen at a port"))


# --- what else a bound port does not decide -----------------------------------------------------------

PROCESSES = {"reuseport": MESSAGE("two listeners,\nSO_REUSEPORT"), "forked": MESSAGE("one listener,\nby fork"),
             "alone": MESSAGE("one process")}
FAMILIES = {"dual": MESSAGE("without\nIPV6_V6ONLY"), "v6only": MESSAGE("with\nIPV6_V6ONLY")}
AGAIN = {"twice": MESSAGE("that socket"), "fresh": MESSAGE("a fresh\nsocket")}


def draw_table(axes, title, samples, down, columns, field):
    """What bind gave: a row for each value of a field, a column for each variant."""
    rows = list(dict.fromkeys(s[down] for s in samples))
    shown = [name for name in columns if any(s["variant"] == name for s in samples)]
    axes.set_title(title)
    axes.set_xlim(-0.5, len(shown) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    for y, row in enumerate(rows):
        for x, name in enumerate(shown):
            gave = {s[field] for s in samples if s["variant"] == name and s[down] == row}
            works = gave == {"ok"}
            axes.add_patch(Rectangle((x - 0.47, y - 0.45), 0.94, 0.9, alpha=0.6, linewidth=0,
                                     color=style.SKY if works else style.ORANGE))
            axes.text(x, y, translated("works") if works else "\n".join(sorted(gave)), ha="center", va="center",
                      size=style.CAPTION)
    axes.set_xticks(range(len(shown)), [translated(columns[name]) for name in shown])
    axes.set_yticks(range(len(rows)), [translated(row).replace(", ", ",\n") for row in rows])
    axes.tick_params(length=0, labelsize=style.CAPTION)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def draw_processes(axes, samples):
    """Of the connections to one port, how many each of two processes answered, in the first trials."""
    bars = [(name, sample) for name in PROCESSES
            for sample in [s for s in samples if s["variant"] == name][:3]]
    axes.set_title(translated("Which process answers\na connection to one port?"))
    for at, (_, sample) in enumerate(bars):
        first, second = sample["first_answers"], sample["second_answers"]
        for left, count, colour in ((0, first, style.BLUE), (first, second, style.GREEN)):
            axes.barh(at, count, left=left, color=colour, height=0.7)
            if count:
                axes.text(left + count / 2, at, count, ha="center", va="center", color="white")
    places = {name: [at for at, (of, _) in enumerate(bars) if of == name] for name, _ in bars}
    axes.set_yticks([sum(at) / len(at) for at in places.values()], [translated(PROCESSES[name]) for name in places])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelsize=style.CAPTION)
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(translated("connections: first, second process"))


def names_title_of(result):
    if (result.verdict("tcp-bind-twice"), result.verdict("tcp-port-is-process")) == ("holds", "refuted"):
        return translated("A socket is bound once; its port may belong to several processes")
    return translated("A bound port: its socket, its processes, its families")


def draw_names(result):
    """The second picture; None without its variants."""
    again, answered, families = ([s for s in result.samples if s.get("variant") in names]
                                 for names in (AGAIN, PROCESSES, FAMILIES))
    panels = []
    if again:
        panels.append(lambda axes: draw_table(axes, translated("A socket has a port:\nmay it be bound again?"), again,
                                              "again", AGAIN, "again_bind"))
    if answered:
        panels.append(lambda axes: draw_processes(axes, answered))
    if families:
        panels.append(lambda axes: draw_table(
            axes, translated("[::] and 0.0.0.0 at one port:\nmay the second be bound?"), families, "order", FAMILIES,
            "second_bind"))
    if not panels:
        return None
    page = style.Page(result, names_title_of(result),
                      translated("What bind gave, and who answered: each bar is a trial with two processes or one."))
    grid = page.grid(1, len(panels), left=0.11, right=0.98, above=0.1, below=0.09, wspace=0.55)
    for at, draw_panel in enumerate(panels):
        draw_panel(page.fig.add_subplot(grid[at]))
    return page.fig


def draw_port(result):
    """The first picture; None without its variant."""
    samples = [s for s in result.samples if s.get("variant", "port") == "port"]
    if not samples:
        return None
    page = style.Page(result, title_of(samples),
                      translated("The first program has a TCP port of 127.0.0.1; the second one, a process "
                                 "of its own, binds it and listens."))
    grid = page.grid(1, 2, left=0.205, above=0.08, below=0.13, wspace=0.16, width_ratios=(2.5, 1))
    draw_cells(page.fig.add_subplot(grid[0]), samples)
    draw_spread(page.fig.add_subplot(grid[1]),
                [sample for sample in samples if "first_connections" in sample][:12])
    return page.fig


def draw(result):
    """The pictures by what is added to their names."""
    drawn = {"": draw_port(result), "-names": draw_names(result)}
    return {suffix: figure for suffix, figure in drawn.items() if figure}
