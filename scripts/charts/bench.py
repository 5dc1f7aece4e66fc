# SPDX-License-Identifier: MIT
"""Whole programs, timed from outside by hyperfine."""
import numpy as np

from . import style


def draw(bench):
    ns = {row["variant"]: np.array(row["times_s"]) * 1e9 for row in bench.results}
    page = style.Page(bench, f"The whole program {bench.name[len('bench-'):]}: "
                      f"{style.compared(ns)}",
                      f"{bench.document['iterations']:,} {bench.document.get('unit', 'updates of each thread')}, "
                      "the start of the process included. A dot is a run, a bar the median.")
    style.spread(page, ns, "time of a run")
    return page.fig
