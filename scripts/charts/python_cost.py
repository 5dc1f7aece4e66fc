# SPDX-License-Identifier: MIT
"""Python servers: CPU time a request and memory a connection, of threads and of event loops."""
from . import servers, style


def title_of(result):
    claim = "srv-asyncio-efficient"
    verdict = result.verdict(claim)
    if verdict == "depends":
        return (f"In Python asyncio takes {style.times(result.number(claim, 'cpu.mid'))} times the CPU a request "
                f"of threads, and {style.times(result.number(claim, 'memory.mid'))} times their memory a connection")
    if verdict == "holds":
        return "In Python asyncio spares CPU and memory against threads"
    return "CPU and memory of Python's servers"


def draw(result):
    variants = servers.of_run(result, [s for s in result.samples if s.get("requests")])
    helps = result.run["variants"]
    page = style.Page(
        result, title_of(result),
        f"{result.run['params']['connections']:,} connections of 64 bytes a request, and memory of "
        f"{result.run['params']['held']:,} that are only held. A dot is a trial, a bar the median. "
        + "; ".join(f"{name}: {helps[name].split(' (')[0]}" for name in variants) + ".")
    if variants:
        servers.side_by_side(page, list(variants), (
            ("CPU a request", "of the server",
             {name: servers.cpu(samples) for name, samples in variants.items()}, style.time_of),
            ("Memory a connection", "with kernel stacks",
             {name: servers.memory(samples) for name, samples in variants.items()}, style.bytes_of)))
        memory = page.fig.axes[1]
        style.octaves(memory.xaxis, *memory.get_xlim(), 3)
    return page.fig
