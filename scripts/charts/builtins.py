# SPDX-License-Identifier: MIT
"""Which updates of builtin objects are lost when threads make them at once, by interpreter."""
from matplotlib.patches import Rectangle

from language import MESSAGE, say, translated
from . import style

OPERATIONS = {"append": "l.append(i)", "extend": "l += [i]", "dict": "d[k] += 1", "count": "next(count())",
              "queue": "queue: put, get", "locked": MESSAGE("d[k] += 1\nwith a lock")}


def lost_of(samples, name):
    """How many updates were lost, of how many."""
    return (sum(sample[f"{name}_lost"] for sample in samples),
            sum(sample[f"{name}_updates"] for sample in samples))


def title_of(shown):
    unsafe = [translated(OPERATIONS[name]).replace("\n", " ") for name in OPERATIONS
              if any(lost_of(samples, name)[0] for samples in shown.values())]
    losing = sum(lost_of(samples, "dict")[0] > 0 for samples in shown.values())
    if not unsafe:
        return say("No update of a builtin object was lost, in {n} Pythons", n=len(shown))
    if unsafe == [OPERATIONS["dict"]]:
        return say("d[k] += 1 loses updates in {k} of {n} Pythons, the other operations in none", k=losing,
                   n=len(shown))
    return say("Threads lose updates of: {operations}", operations=", ".join(unsafe))


def draw(result):
    shown = style.of_variants(result.all_samples, *result.run["variants"])
    params = result.run["params"]
    page = style.Page(result, title_of(shown), say(
        "{threads} threads update one object for {duration}; what share of the updates is missing in the end.",
        threads=params["threads"], duration=style.time_of(params["duration_ms"] * 1e6)))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.13, right=0.985, above=0.1, below=0.02)[0])
    style.rows_of(axes, list(shown))
    axes.set_xlim(-0.5, len(OPERATIONS) - 0.5)
    axes.set_xticks([])
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)
    for x, (name, words) in enumerate(OPERATIONS.items()):
        axes.text(x, -0.65, translated(words), ha="center", va="bottom", size=style.BODY)
        for y, samples in enumerate(shown.values()):
            lost, made = lost_of(samples, name)
            axes.add_patch(Rectangle((x - 0.47, y - 0.42), 0.94, 0.84, linewidth=0,
                                     color=style.RED if lost else style.GREEN, alpha=0.85 if lost else 0.3))
            axes.text(x, y, f"{100 * lost / made:.1f} %" if lost else say("{k} of {n}", k=0, n=f"{made:,}"),
                      ha="center", va="center", size=style.BODY, color="white" if lost else style.BLACK)
    return page.fig
