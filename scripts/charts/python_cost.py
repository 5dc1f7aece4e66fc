# SPDX-License-Identifier: MIT
"""Python servers: CPU time a request and memory a connection, of threads and of event loops."""
from language import say, translated

from . import servers, style


def title_of(result):
    claim = "srv-asyncio-efficient"
    verdict = result.verdict(claim)
    if verdict == "depends":
        cpu, memory = (style.times(result.number(claim, name)) for name in ("cpu.mid", "memory.mid"))
        return say("In Python asyncio takes {cpu} times the CPU a request of threads, "
                   "and {memory} times their memory a connection", cpu=cpu, memory=memory)
    if verdict == "holds":
        return translated("In Python asyncio spares CPU and memory against threads")
    return translated("CPU and memory of Python's servers")


def draw(result):
    variants = servers.of_run(result, [s for s in result.samples if s.get("requests")])
    params = result.run["params"]
    page = style.Page(
        result, title_of(result),
        say("{connections:,} connections of 64 bytes a request, and memory of {held:,} that are only held. "
            "A dot is a trial, a bar the median.", connections=params["connections"], held=params["held"]) + " "
        + "; ".join(f"{name}: {translated(result.help(name)).split(' (')[0]}" for name in variants) + ".")
    if variants:
        servers.side_by_side(page, list(variants), (
            (translated("CPU a request"), translated("of the server"),
             {name: servers.cpu(samples) for name, samples in variants.items()}, style.time_of),
            (translated("Memory a connection"), translated("with kernel stacks"),
             {name: servers.memory(samples) for name, samples in variants.items()}, style.bytes_of)))
        memory = page.fig.axes[1]
        style.octaves(memory.xaxis, *memory.get_xlim(), 3)
    return page.fig
