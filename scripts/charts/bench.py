# SPDX-License-Identifier: MIT
"""Whole programs, timed from outside by hyperfine."""
import numpy as np

from language import MESSAGE, say, translated

from . import style

UNIT = MESSAGE("updates of each thread")  # of a bench that names none


def draw(bench):
    ns = {row["variant"]: np.array(row["times_s"]) * 1e9 for row in bench.results}
    page = style.Page(bench, say("The whole program {name}: {found}", name=bench.name[len("bench-"):],
                                 found=style.compared(ns)),
                      say("{count} {unit}, the start of the process included. A dot is a run, a bar the median.",
                          count=f"{bench.document['iterations']:,}",
                          unit=translated(bench.document.get("unit", UNIT))))
    style.spread(page, ns, translated("time of a run"))
    return page.fig
