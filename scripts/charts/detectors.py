# SPDX-License-Identifier: MIT
"""Which race detector reports what, and what x was: a table."""
from matplotlib.patches import Rectangle

from language import MESSAGE, say, translated
from . import style

TOOLS = {"tsan-gcc": "ThreadSanitizer\n(gcc)", "tsan-clang": "ThreadSanitizer\n(clang)",
         "helgrind": "helgrind", "drd": "drd", "no-tool": MESSAGE("no tool")}
KINDS = {"plain": "x += 1", "volatile": "volatile x", "relaxed": MESSAGE("relaxed load\nand store"),
         "joined": MESSAGE("x += 1, with a join\nbetween the threads"), "mutex": MESSAGE("under a mutex"),
         "atomic": MESSAGE("one atomic addition")}
RACE, QUIET = "#F3C3A2", "#9FD9C7"  # red and green that text can stand on


def title_of(result):
    numbers = [result.number("race-detectors", name) for name in ("tsan", "helgrind")]
    if None in numbers:
        return translated("What race detectors report of x += 1")
    seen, runs = (sum(number[part] for number in numbers) for part in "kn")
    return say("x was 0, and the race was reported all the same in {seen} of {runs} runs", seen=seen, runs=runs)


def of_x(samples):
    values = sorted({sample["final_x"] for sample in samples})
    return (f"x = {values[0]:,}" if len(values) == 1 else
            say("x = {least:,}\nto {most:,}", least=values[0], most=values[-1]))


def note_of(samples):
    """With how many updates of each thread."""
    under, alone = (max((s["iterations"] for s in samples if (s["variant"] == "no-tool") == tool), default=0)
                    for tool in (False, True))
    return say(
        MESSAGE("x += 1 in one thread, x -= 1 in the other, {under:,} times each under a tool.") if not alone else
        MESSAGE("x += 1 in one thread, x -= 1 in the other, {alone:,} times without.") if not under else
        MESSAGE("x += 1 in one thread, x -= 1 in the other, {under:,} times each under a tool, {alone:,} times "
                "without."), under=under, alone=alone)


def draw_cell(axes, x, y, samples):
    if not samples:
        return
    known = [sample["reported"] for sample in samples if "reported" in sample]
    colour = style.PALE if not known else RACE if any(known) else QUIET
    text = say("race in {k} of {n}", k=sum(known), n=len(known)) if any(known) else translated("nothing")
    axes.add_patch(Rectangle((x - 0.47, y - 0.43), 0.94, 0.86, color=colour, linewidth=0))
    axes.text(x, y, (text + "\n" if known else "") + of_x(samples), ha="center", va="center", size=style.CAPTION + 0.5)


def draw(result):
    shown = style.of_variants(result.all_samples, *TOOLS)
    page = style.Page(result, title_of(result), note_of(result.all_samples))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.18, right=0.98, above=0.1, below=0.02)[0])
    style.rows_of(axes, list(map(translated, KINDS.values())))
    axes.set_xlim(-0.5, len(shown) - 0.5)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    for x, (name, samples) in enumerate(shown.items()):
        axes.text(x, -0.55, translated(TOOLS[name]), ha="center", va="bottom")
        for y, what in enumerate(KINDS):
            draw_cell(axes, x, y, [s for s in samples if s["kind"] == what])
    return page.fig
