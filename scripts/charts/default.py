# SPDX-License-Identifier: MIT
"""Any experiment that has no chart of its own: how long each trial of each variant took."""
from language import translated

from . import style


def draw(result):
    variants = style.of_variants([s for s in result.samples if "elapsed_ns" in s])
    if not variants:
        raise ValueError("no sample has elapsed_ns")
    ns = {name: style.column(samples, "elapsed_ns") for name, samples in variants.items()}
    page = style.Page(result, f"{result.name}: {style.compared(ns)}",
                      translated("A dot is a trial, a bar the median."))
    style.spread(page, ns, translated("time of a trial"))
    return page.fig
