# SPDX-License-Identifier: MIT
"""Which race detector reports what, and what x was: a table."""
from matplotlib.patches import Rectangle

from . import style

TOOLS = {"tsan-gcc": "ThreadSanitizer\n(gcc)", "tsan-clang": "ThreadSanitizer\n(clang)",
         "helgrind": "helgrind", "drd": "drd", "no-tool": "no tool"}
KINDS = {"plain": "x += 1", "volatile": "volatile x", "relaxed": "relaxed load\nand store",
         "joined": "x += 1, with a join\nbetween the threads", "mutex": "under a mutex",
         "atomic": "one atomic addition"}
RACE, QUIET = "#F3C3A2", "#9FD9C7"  # red and green that text can stand on


def title_of(result):
    numbers = [result.number("race-detectors", name) for name in ("tsan", "helgrind")]
    if None in numbers:
        return "What race detectors report of x += 1"
    seen, runs = (sum(number[part] for number in numbers) for part in "kn")
    return f"x was 0, and the race was reported all the same in {seen} of {runs} runs"


def of_x(samples):
    values = sorted({sample["final_x"] for sample in samples})
    return f"x = {values[0]:,}" if len(values) == 1 else f"x = {values[0]:,}\nto {values[-1]:,}"


def draw_cell(axes, x, y, samples):
    if not samples:
        return
    known = [sample["reported"] for sample in samples if "reported" in sample]
    colour = style.PALE if not known else RACE if any(known) else QUIET
    text = f"race in {sum(known)} of {len(known)}\n" if any(known) else "nothing\n" if known else ""
    axes.add_patch(Rectangle((x - 0.47, y - 0.43), 0.94, 0.86, color=colour, linewidth=0))
    axes.text(x, y, text + of_x(samples), ha="center", va="center", size=style.CAPTION + 0.5)


def draw(result):
    shown = style.of_variants(result.all_samples, *TOOLS)
    under = {s["iterations"] for s in result.all_samples if s["variant"] != "no-tool"}
    alone = {s["iterations"] for s in shown.get("no-tool", [])}
    page = style.Page(result, title_of(result), "x += 1 in one thread, x -= 1 in the other"
                      + "".join(f", {n:,} times each under a tool" for n in under)
                      + "".join(f", {n:,} times without" for n in alone) + ".")
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.18, right=0.98, above=0.1, below=0.02)[0])
    style.rows_of(axes, list(KINDS.values()))
    axes.set_xlim(-0.5, len(shown) - 0.5)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    for x, (name, samples) in enumerate(shown.items()):
        axes.text(x, -0.55, TOOLS[name], ha="center", va="bottom")
        for y, what in enumerate(KINDS):
            draw_cell(axes, x, y, [s for s in samples if s["kind"] == what])
    return page.fig
