# SPDX-License-Identifier: MIT
"""What the charts share: the page with title and caption, colours, dots, numbers for people.

Pictures are 1600 x 1000 pixels and meant to be read at half of that: nothing is under 8.5 points.
"""
import math
import textwrap

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.ticker import FuncFormatter, LogLocator

from language import say, translated

# Okabe and Ito's colours, which colour-blind readers can tell apart; shapes say the same once more.
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PINK = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
GREY, PALE = "#666666", "#DDDDDD"
CYCLE = ((BLUE, "o"), (RED, "s"), (GREEN, "^"), (ORANGE, "D"), (PINK, "v"), (SKY, "P"),
         (BLACK, "X"))

Z95 = 1.959964  # of the normal distribution: 95 % lie within so many standard deviations

TITLE, PANEL, BODY, CAPTION = 14, 11.5, 10.5, 8.5  # points

LOOK = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.labelsize": BODY,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": PANEL,
    "font.family": "DejaVu Sans",  # it comes with matplotlib: the same picture everywhere
    "font.size": BODY,
    "grid.color": PALE,
    "grid.linewidth": 0.7,
    "savefig.dpi": 160,
    "svg.hashsalt": "stallrace",  # else the ids in an SVG are random
    "text.parse_math": False,  # a "$" in a machine's name is no formula
    "xtick.color": GREY,
    "xtick.labelcolor": BLACK,
    "xtick.labelsize": BODY,
    "ytick.color": GREY,
    "ytick.labelcolor": BLACK,
    "ytick.labelsize": BODY,
}
INCHES = (10, 6.25)
LEFT, RIGHT = 0.015, 0.985
LINE = 1.35  # of a line of text, in font sizes


class Page:
    """A figure: what was found as its title, the machine as its caption, room between them."""

    def __init__(self, result, title, note=""):
        # half of a second, for which only who draws has to wait
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.fig = Figure(figsize=INCHES, dpi=LOOK["savefig.dpi"])
        FigureCanvasAgg(self.fig)
        self.top = 0.985
        for warning in warnings_of(result):
            self.down(warning, BODY, color="white", weight="bold",
                      bbox={"facecolor": RED, "edgecolor": RED, "boxstyle": "square,pad=0.3"})
            self.top -= 0.012
        self.down(title, TITLE, weight="bold")
        if note:
            self.down(note, BODY, color=GREY)
        caption = self.wrap(caption_of(result), CAPTION)
        self.bottom = 0.012 + self.height(caption, CAPTION)
        self.fig.text(LEFT, 0.012, caption, size=CAPTION, color=GREY, va="bottom",
                      linespacing=LINE / 1.2)

    def grid(self, rows, columns, left=0.08, right=RIGHT, above=0.06, below=0.09, **how):
        """The room between title and caption as rows and columns of panels."""
        return self.fig.add_gridspec(rows, columns, left=left, right=right,
                                     top=self.top - above, bottom=self.bottom + below, **how)

    def down(self, text, size, **how):
        """Text at the top, below what is there already."""
        text = self.wrap(text, size, how.get("weight", "normal"))
        self.fig.text(LEFT, self.top, text, size=size, va="top", linespacing=LINE / 1.2, **how)
        self.top -= self.height(text, size)

    def height(self, text, size):
        return (text.count("\n") + 1) * size * LINE / 72 / INCHES[1]

    def wrap(self, text, size, weight="normal"):
        """The text in lines that fit the page, as measured."""
        renderer = self.fig.canvas.get_renderer()
        probe = self.fig.text(0, 0, text, size=size, weight=weight)
        room = (RIGHT - LEFT) * self.fig.bbox.width
        columns = max(map(len, text.split("\n")))
        while (width := probe.get_window_extent(renderer).width) > room and columns > 20:
            columns = min(columns - 1, int(columns * room / width) + 2)  # lines differ in width
            probe.set_text("\n".join(textwrap.fill(line, columns) for line in text.split("\n")))
        lines = probe.get_text()
        probe.remove()
        return lines


def warnings_of(result):
    if result.simulated:
        yield translated("SIMULATED: nothing of this run was measured")
    if result.sham:
        yield say("SHAM: what {name} is about was taken away in this run", name=result.sham)
    if not result.controls_held and not result.interrupted:
        yield translated("A CONTROL FAILED in this run: do not trust it")
    if result.interrupted:
        yield say("INTERRUPTED ({by}): this run is not complete", by=result.interrupted)


def caption_of(result):
    return f"{machine_of(result)}\n{made_by(result)}"


def machine_of(result):
    run = result.run
    return (f"{host_of(result)} · stallrace {run.get('version', '?')} {run.get('commit', '?')}"
            + (" " + translated("(changed)") if run.get("dirty") else ""))


def host_of(result):
    """The machine without the version of the suite."""
    return " · ".join(host_parts(result))


CPUS, KERNEL = 1, 3  # of the parts


def host_parts(result):
    run = result.run
    cpus = run.get("cpus_online", "?")
    guest = run.get("virtualisation", "unknown")
    quota = run.get("cpu_quota_cpus")
    counted = translated("1 CPU") if cpus == 1 else say("{count} CPUs", count=cpus)
    return (
        str(run.get("cpu_model") or run.get("arch") or translated("unknown CPU")),
        say("{cpus}, quota {quota}", cpus=counted, quota=f"{quota:.3g}") if quota else counted,
        translated("bare metal") if guest == "none" else say("{hypervisor} guest", hypervisor=guest),
        f"Linux {run.get('kernel', '?')}",
        result.compiler,
    )


def where_of(result):
    """Where the other half of the experiment was, as in what the program prints."""
    return translated("to another host") if "peer" in result.run else translated("over loopback")


def made_by(result):
    """When, and how to get the same picture there."""
    run = result.run
    return " · ".join([
        run.get("utc", "?").replace("T", " ").replace("Z", " UTC"),
        result.name,
        *to_the_peer(result),
        *disturbed(result),
        *(parameter(name, value) for name, value in run.get("params", {}).items()
          if matters(name, value)),
    ])


def to_the_peer(result):
    """The machine of the other half, if it was another one, as a list of one; or an empty one."""
    peer = result.run.get("peer")
    return [say("to the peer {machine}", machine=peer.get("summary", "?"))] if isinstance(peer, dict) else []


def disturbed(result):
    """That what is shown was disturbed, and of which variants, as a list of one; or an empty one."""
    if not result.disturbed:
        return []
    if {row.get("variant") for row in result.samples} == set(result.disturbed):
        return [translated("every trial was disturbed")]
    return [say("every trial was disturbed of {variants}", variants=", ".join(result.disturbed))]


def matters(name, value):
    """Whether a parameter can change what is seen."""
    return (name not in ("output", "quiet", "brief", "describe", "variants", "left_out")
            and value not in (None, False, ""))


def parameter(name, value):
    """A parameter in words: write_bytes 16384 is "write 16 KiB"."""
    for suffix, words in (("_bytes_per_s", lambda n: f"{bytes_of(n)}/s"), ("_bytes", bytes_of),
                          ("_ms", lambda n: time_of(n * 1e6)), ("_us", lambda n: time_of(n * 1e3)),
                          ("_ns", time_of)):
        if name.endswith(suffix) and isinstance(value, int):
            return f"{name[:-len(suffix)].replace('_', ' ')} {words(value)}"
    name = name.replace("_", " ")
    if value is True:
        return name
    return f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}"


def of_variants(samples, *order):
    """The samples of each variant: those named first in that order, others by name."""
    names = {sample.get("variant", "") for sample in samples}
    ordered = [name for name in order if name in names] + sorted(names - set(order))
    return {name: [sample for sample in samples if sample.get("variant", "") == name]
            for name in ordered}


def column(samples, field):
    """One field of the samples that have it."""
    return np.array([sample[field] for sample in samples if field in sample])


def wilson(k, n):
    """Wilson's 95 % interval of k of n, as the program's."""
    centre = (k + Z95 * Z95 / 2) / (n + Z95 * Z95)
    half = Z95 / (n + Z95 * Z95) * math.sqrt(k * (n - k) / n + Z95 * Z95 / 4)
    return max(0, centre - half), min(1, centre + half)


def jitter(count, width):
    """Offsets that keep equal dots apart; the same ones each time."""
    return ((np.arange(count) * 0.618034 + 0.5) % 1 - 0.5) * width


def dots(axes, values, at, colour, marker):
    """One dot per trial along a row of the panel."""
    axes.plot(values, at + jitter(len(values), 0.42), marker, color=colour, markersize=6,
              alpha=0.55, markeredgewidth=0, linestyle="none")


def median_bar(axes, values, at):
    if len(values):
        axes.plot([np.median(values)] * 2, [at - 0.33, at + 0.33], color=BLACK, linewidth=2,
                  solid_capstyle="butt", zorder=3)


def beside(axes, at, text):
    """Text right of a row of the panel."""
    axes.text(1.015, at, text, va="center", transform=axes.get_yaxis_transform())


def rows_of(axes, labels):
    """Makes a panel of rows, the first at the top, without lines between them."""
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)


def spread(page, ns, label):
    """A panel with all times (in ns) of each name, one row a name, and what its median is."""
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.15, right=0.89, above=0.03)[0])
    rows_of(axes, list(ns))
    shortest, longest = min(v.min() for v in ns.values()), max(v.max() for v in ns.values())
    size, unit = time_unit(longest * 0.2)
    if 0 < shortest < longest / 10:
        axes.set_xscale("log")
        if longest < shortest * 300:
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: figures(value)))
        axes.minorticks_off()
    else:
        axes.set_xlim(0, max(longest, 1) / size * 1.05)
    for at, (name, values) in enumerate(ns.items()):
        dots(axes, values / size, at, *CYCLE[at % len(CYCLE)])
        median_bar(axes, values / size, at)
        beside(axes, at, time_of(np.median(values)))
    axes.set_xlabel(f"{label} ({unit})")


def compared(ns):
    """The slowest and the fastest in words."""
    medians = {name: np.median(values) for name, values in ns.items()}
    slow, fast = max(medians, key=medians.get), min(medians, key=medians.get)
    if medians[fast] <= 0 or medians[slow] / medians[fast] < 1.05:
        time = time_of(medians[slow])
        if len(ns) > 1:
            return say("each takes {time}", time=time)
        return say("{variant} takes {time}", variant=slow, time=time) if slow else say("a trial takes {time}", time=time)
    return say("{slow} takes {times} times as long as {fast}", slow=slow, fast=fast,
               times=times(medians[slow] / medians[fast]))


def figures(value, count=3):
    """The value to so many significant figures, without an exponent."""
    digits = 0 if value == 0 else max(0, count - 1 - int(math.floor(math.log10(abs(value)))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def scaled(value, units):
    """The value in the greatest unit that leaves 1 or more of it."""
    for size, unit in units:
        if abs(value) >= size or size == units[-1][0]:
            return f"{figures(value / size)} {unit}"


def time_of(ns):
    return scaled(ns, ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns")))


def bytes_of(count):
    return scaled(count, ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"),
                          (1, translated("byte") if count == 1 else translated("bytes"))))


def octaves(axis, low, high, step):
    """Ticks at every step-th power of two in between, as sizes."""
    ticks = [2 ** n for n in range(0, 34, step) if low <= 2 ** n <= high]
    axis.set_ticks(ticks, [bytes_of(tick).replace(f" {translated('bytes')}", " B") for tick in ticks])


def times(ratio):
    return figures(ratio, 2) if ratio < 10 else f"{ratio:,.0f}"


def time_unit(ns):
    """The unit that suits a whole axis, and its length in ns."""
    for size, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if ns >= size:
            return size, unit
    return 1, "ns"


def heat(axes, values, words, rows, columns, scale=None):
    """A table as a map: values[row][column] as colour on a logarithmic scale, its words in each
    cell.  scale: the least and the most of all maps that are compared.  Not finite: no colour."""
    values = np.asarray(values, dtype=float)
    seen = values[np.isfinite(values) & (values > 0)]
    low, high = scale or ((seen.min(), seen.max()) if seen.size else (1, 1))
    norm = LogNorm(low, max(high, low * 1.01), clip=True)
    axes.imshow(np.ma.masked_invalid(values), cmap="cividis", norm=norm, aspect="auto")
    for (row, column_), value in np.ndenumerate(values):
        dark = np.isfinite(value) and norm(max(value, low)) < 0.55
        axes.text(column_, row, words[row][column_], ha="center", va="center", size=CAPTION,
                  color="white" if dark else BLACK)
    axes.set_xticks(range(len(columns)), columns, size=CAPTION)
    axes.set_yticks(range(len(rows)), rows, size=CAPTION)
    axes.tick_params(length=0)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
