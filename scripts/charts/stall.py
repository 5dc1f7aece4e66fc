# SPDX-License-Identifier: MIT
"""Stalls of send(): both queues and the length of every call, on one time axis."""
import numpy as np
from matplotlib.ticker import MaxNLocator

from language import MESSAGE, say, translated
from . import style

CAUSES = {  # as the rows name them: how people would, and their look
    "peer-window": (MESSAGE("receiver's buffer full"), style.RED, "o"),
    "send-buffer": (MESSAGE("send buffer too small"), style.BLUE, "s"),
    "network": (MESSAGE("network is slow"), style.ORANGE, "D"),
    "too-short": (MESSAGE("too brief to tell why"), style.PINK, "v"),
    "unknown": (MESSAGE("the kernel does not tell"), style.BLACK, "X"),
    "none": (MESSAGE("did not block"), style.GREY, "."),
}
ZOOM = 3  # stalls to be seen where many follow each other
KIB = 1024
FLOOR_MS, ROOF_MS = 5e-4, 3e4  # of the axis of the calls; no call takes less, some take more
AGAIN = ("drain", "slow")  # many stalls, of which a few are shown
WAITS = {"sleep": MESSAGE("a sleeping receiver makes send() wait {time}"),
         "drain": MESSAGE("a slow receiver makes send() wait {time} again and again"),
         "slow": MESSAGE("a slow link makes send() wait {time} again and again"),
         "eager": MESSAGE("an eager receiver makes send() wait {time}")}
TOO = {"drain": MESSAGE("a slow receiver {time} again and again"),  # after another one
       "slow": MESSAGE("a slow link {time} again and again")}
NEVER = {"sleep": MESSAGE("a sleeping receiver never makes send() wait"),
         "drain": MESSAGE("a slow receiver never makes send() wait"),
         "slow": MESSAGE("a slow link never makes send() wait"),
         "eager": MESSAGE("an eager receiver never makes send() wait")}


class Trial:
    """The first trial of a variant, with its time line."""

    def __init__(self, result, variant):
        self.variant = variant
        self.sample = next(s for s in result.samples if s["variant"] == variant)
        self.calls = self.rows_of(result, "call")
        self.queue = self.rows_of(result, "queue")
        self.stalls = [call for call in self.calls if call["blocked"]]
        self.begin, self.end = 0, self.sample["elapsed_ns"]

    def rows_of(self, result, kind):
        return [row for row in result.kinds.get(kind, [])
                if row["variant"] == self.variant and row["trial"] == self.sample["trial"]]

    def zoom(self):
        """Narrows the view to a few long stalls from the middle of the trial."""
        longest = max((call["elapsed_ns"] for call in self.stalls), default=0)
        long = [call for call in self.stalls if call["elapsed_ns"] > longest / 4]
        if len(long) <= ZOOM:
            return
        first = (len(long) - ZOOM) // 2
        last = long[first + ZOOM - 1]
        self.begin, self.end = long[first]["begin_ns"], last["begin_ns"] + last["elapsed_ns"]
        margin = (self.end - self.begin) * 0.08
        self.begin, self.end = self.begin - margin, self.end + margin

    def usual(self):
        """How long the stalls in view are."""
        return float(np.median([call["elapsed_ns"] for call in self.stalls
                                if self.begin <= call["begin_ns"] <= self.end]))


def title_of(trials):
    told = []
    for trial in trials.values():
        if trial.stalls:
            time = trial.usual() if trial.variant in AGAIN else trial.sample["blocked_ns"]
            told.append(say((TOO if told else WAITS)[trial.variant], time=style.time_of(time)))
        else:
            told.append(translated(NEVER[trial.variant]))
    title = ", ".join(told)
    return title[0].upper() + title[1:]


def heading(trial, params):
    if trial.variant == "sleep":
        return say("Receiver sleeps {time}", time=style.time_of(params["sleep_ms"] * 1e6))
    if trial.variant in AGAIN:
        rate = style.bytes_of(params["rate_bytes_per_s"])
        words = (say("Receiver reads {rate}/s", rate=rate) if trial.variant == "drain" else
                 say("Link carries {rate}/s", rate=rate))
        return say("{heading} (zoom)", heading=words) if trial.begin else words
    return translated("Receiver reads at once")


def draw_queue(axes, trial, field, what, colour, size):
    """A queue's bytes as steps: they were written when they changed."""
    at = np.array([row["at_ns"] for row in trial.queue] + [trial.sample["elapsed_ns"]]) / size
    held = np.array([row[field] for row in trial.queue])
    held = np.append(held, held[-1:]) / KIB
    axes.fill_between(at[:len(held)], held, step="post", color=colour, alpha=0.3, linewidth=0)
    axes.plot(at[:len(held)], held, color=colour, drawstyle="steps-post", linewidth=1.3)
    axes.set_ylabel(what)


def draw_calls(axes, trial, size):
    """A spike for each call where it begins, as high as it was long, with a flag as long."""
    causes = {}
    for call in trial.calls:
        if call["begin_ns"] <= trial.end and call["begin_ns"] + call["elapsed_ns"] >= trial.begin:
            causes.setdefault(call["cause"], []).append(call)
    for cause, calls in causes.items():
        _, colour, marker = CAUSES.get(cause, CAUSES["unknown"])
        begin = style.column(calls, "begin_ns") / size
        length = np.maximum(style.column(calls, "elapsed_ns"), 1)
        axes.vlines(begin, FLOOR_MS, length / 1e6, color=colour, linewidth=1)
        axes.hlines(length / 1e6, begin, begin + length / size, color=colour, linewidth=3,
                    alpha=0.5)
        axes.plot(begin, length / 1e6, marker, color=colour, markersize=6, markeredgewidth=0)
        label_cause(axes, trial, cause, calls[int(np.argmax(length))], size)
    axes.set_yscale("log")
    axes.set_yticks([1e-3, 1, 1e3], ["1 µs", "1 ms", "1 s"])
    axes.minorticks_off()
    axes.set_ylabel(translated("length of\na send() call"))


def label_cause(axes, trial, cause, call, size):
    """Says a cause where its longest call begins: above it, or beside dots."""
    words, colour, _ = CAUSES.get(cause, CAUSES["unknown"])
    right = call["begin_ns"] - trial.begin > (trial.end - trial.begin) / 2
    low = cause == "none" and trial.stalls
    axes.annotate(translated(words), (call["begin_ns"] / size, 3e-3 if low else call["elapsed_ns"] / 1e6),
                  (-7 if right else 7, 0 if low else 7), textcoords="offset points",
                  ha="right" if right else "left", va="center" if low else "baseline", color=colour)


def draw_trial(panels, trial, params):
    size, unit = style.time_unit((trial.end - trial.begin) * 0.2)
    panels[0].set_title(heading(trial, params))
    draw_queue(panels[0], trial, "outq_bytes", translated("send queue\n(KiB)"), style.BLUE, size)
    draw_queue(panels[1], trial, "inq_bytes", translated("receive queue\n(KiB)"), style.GREEN, size)
    draw_calls(panels[2], trial, size)
    for axes in panels:
        axes.set_xlim(trial.begin / size, trial.end / size)
    panels[2].xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))
    panels[2].set_xlabel(say("time since the trial began ({unit})", unit=unit))


def draw(result):
    params = result.run["params"]
    variants = style.of_variants(result.samples, "sleep", "drain", "slow", "eager")
    shown = [name for name in variants if name != "eager"] or list(variants)
    trials = {name: Trial(result, name) for name in shown}
    for name in set(AGAIN) & set(trials):
        trials[name].zoom()
    page = style.Page(result, title_of(trials),
                      say("One TCP connection, send({size}) again and again. Each call: a spike where it begins, "
                          "a flag as long as it lasts.", size=style.bytes_of(params["write_bytes"])))
    grid = page.grid(3, len(trials), left=0.095, wspace=0.08, hspace=0.14)
    first = None
    for place, trial in enumerate(trials.values()):
        panels = []
        for row in range(3):
            panels.append(page.fig.add_subplot(
                grid[row, place], sharex=panels[0] if panels else None,
                sharey=first[row] if first else None))
        first = first or panels
        draw_trial(panels, trial, params)
        for axes in panels[:2]:
            axes.tick_params(labelbottom=False)
        if place:
            for axes in panels:
                axes.tick_params(labelleft=False)
                axes.set_ylabel("")
    for axes in first[:2]:
        axes.set_ylim(0)
    longest = max(call["elapsed_ns"] for trial in trials.values() for call in trial.calls) / 1e6
    first[2].set_ylim(FLOOR_MS, max(ROOF_MS, 10 * longest))
    return page.fig
