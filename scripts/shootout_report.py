# SPDX-License-Identifier: MIT
"""What scripts/shootout says of its samples: tables, verdicts and ranks.

Everything is computed from the rows of that run: figures are medians over the rounds, ratios are
those within a round, and intervals are bootstrapped.
"""
import locale
import random
import re
import statistics
import textwrap

SECOND = 1000000000  # ns
BOOTSTRAPS = 1000

SUMMARY = "Which model of an echo server is ideal here?"
CLAIMS = {
    "srv-iterative-waits": "an iterative server makes every other client wait for the one in "
                           "service",
    "srv-concurrent-at-once": "a concurrent server answers the others at once",
    "srv-threads-cost": "threads or processes cost more resources than one event loop",
    "srv-async-efficient": "for network waits, asynchronous beats multi-threaded in resource use",
    "srv-nm-efficient": "N:M threading is the most efficient of 1:1, N:1 and N:M",
    "srv-prefork": "pre-forked processes serve in parallel and isolated from each other",
    "srv-ideal": "the ideal server blocks least, overlaps I/O with work, uses the fewest threads "
                 "and the least CPU and memory",
}

ASYNCHRONOUS = ("epoll", "epoll-et", "io_uring", "coroutine")  # one thread for all
THREADED = ("thread", "fork")  # against one event loop
SPINNING = ("busy-poll",)
ENOUGH = 6  # rounds, for intervals
ALIKE = 0.9  # a difference of less than a tenth is none
STEP = 0.1  # nor is one of less than a tenth of a criterion's unit: a sleep, a us, a KiB

try:
    locale.setlocale(locale.LC_CTYPE, "")
except locale.Error:
    pass  # it is C, then
DOT = " · " if locale.nl_langinfo(locale.CODESET) == "UTF-8" else " - "


def rate_of(row):
    """What was answered in the window: the answers after it, of thousands at once, are no rate."""
    return row["in_window"] * SECOND / row["elapsed_ns"]


def interval(values):
    """The median and a 95 % bootstrap interval of it (include/stats.h).

    Of n values all lie on one side of the true median in 2 / 2^n of all runs: fewer than ENOUGH
    cannot have such an interval.  Theirs is their range, and holds the median less often.
    """
    values, rng = list(values), random.Random(1)
    medians = sorted(statistics.median(rng.choices(values, k=len(values)))
                     for _ in range(BOOTSTRAPS))
    return (statistics.median(values), medians[int(0.025 * BOOTSTRAPS)],
            medians[int(0.975 * BOOTSTRAPS) - 1])


def clearly_less(one, other):
    """Of two intervals: by a tenth at least, and by a STEP."""
    return one[2] < ALIKE * other[1] and other[1] - one[2] >= STEP


def ratio(values, to):
    """The interval of the ratio within each round, or None."""
    ratios = [values[trial] / to[trial] for trial in values if to.get(trial)]
    return interval(ratios) if ratios else None


def told(figure, digits=2):
    mid, low, high = (f"{part:,.{digits}f}" for part in figure)
    return f"{mid} ({low} to {high})"


def figures(value):
    """Three of them."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def duration(ns):
    for unit, name in ((SECOND, "s"), (1000000, "ms"), (1000, "us")):
        if ns >= unit:
            return f"{figures(ns / unit)} {name}"
    return f"{ns:.0f} ns"


def told_bytes(size):
    return f"{figures(size / 1024)} KiB" if size >= 1024 else f"{size:.0f} B"


def all_of(names):
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def numbers_of(**named):
    """The figures behind a verdict: those that there are, an interval as its three parts."""
    numbers = {}
    for name, value in named.items():
        if isinstance(value, tuple):
            numbers.update(zip((name, f"{name}_low", f"{name}_high"),
                               (round(part, 4) for part in value)))
        elif value is not None:
            numbers[name] = value
    return numbers


class Report:
    """Tables and verdicts, computed from the samples alone."""

    def __init__(self, bench):
        self.bench = bench
        self.options = bench.options
        self.samples = bench.rows.samples
        self.size = self.options.sizes[0]
        self.middle = bench.middle()
        self.models = bench.compared()
        self.idlers = bench.idle_connections()

    # Looking things up: a value of each round.

    def rows(self, scenario, variant, **fields):
        return {row["trial"]: row for row in self.samples
                if row["scenario"] == scenario and row["variant"] == variant
                and all(row.get(name) == value for name, value in fields.items())}

    def matrix(self, model, connections=None, size=None):
        return self.rows("loaded", model, connections=connections or self.middle,
                         size_bytes=size or self.size)

    @staticmethod
    def each(rows, field, by="requests"):
        """A field by another one, such as CPU time by requests."""
        return {trial: row[field] / (row[by] or 1) for trial, row in rows.items() if field in row}

    def cpu(self, model, connections=None):
        return self.each(self.matrix(model, connections), "server_cpu_ns")

    def sleeps(self, model, connections=None):
        return self.each(self.matrix(model, connections), "voluntary_switches")

    def switches(self, model):
        rows = self.matrix(model)
        voluntary, involuntary = (self.each(rows, f"{kind}_switches")
                                  for kind in ("voluntary", "involuntary"))
        return {trial: voluntary[trial] + involuntary[trial] for trial in voluntary}

    def memory(self, model, *parts):
        """Bytes of each connection beyond the first."""
        parts = parts or ("anonymous_bytes", "page_table_bytes", "kernel_stack_bytes")
        found = {}
        for row in self.samples:
            if row["scenario"] == "memory" and row["variant"] == model:
                found.setdefault(row["trial"], {})[row["connections"]] = sum(
                    row[part] for part in parts)
        return {trial: max(held[max(held)] - held[1], 0) / (max(held) - 1)
                for trial, held in found.items() if len(held) == 2}

    def limit(self, kind, size=None):
        rows = self.rows("limits", "limits", size_bytes=size or self.size)
        return {trial: row[f"{kind}_requests"] * SECOND / row[f"{kind}_elapsed_ns"]
                for trial, row in rows.items()}

    def overlap(self, model):
        """Requests in the time that one takes to go there and back between two processes."""
        limit = self.limit("pingpong")
        return {trial: rate_of(row) / limit[trial] for trial, row in self.matrix(model).items()
                if trial in limit}

    # The tables.

    def line(self, text=""):
        print(f"  {text}".rstrip())

    def header(self):
        machine = self.bench.machine
        guest = machine.get("virtualisation", "none")
        level = re.search(r"-O\S", machine.get("flags", ""))
        print(DOT.join([f"shootout   {machine.get('cpus_online', '?')} CPUs",
                        "Linux " + ".".join(machine.get("kernel", "?").split(".")[:2]),
                        f"{machine.get('compiler', '?')} {level[0] if level else ''}".strip(),
                        *([f"{guest} guest"] if guest != "none" else []),
                        f"seed {self.options.seed}"]))
        cpus = self.options.cpus
        self.line(f"{len(self.bench.models)} servers, {self.options.rounds} "
                  f"round{'s' * (self.options.rounds != 1)} of {self.options.duration} ms each; "
                  f"server on CPU {cpus[0]}, load on CPU {cpus[-1]}")
        print(flush=True)

    @staticmethod
    def cell(values, scale=1):
        return figures(statistics.median(values.values()) * scale) if values else "-"

    def rates(self, size):
        first = size == self.size
        counts = self.options.connections
        self.line(f"{size:,} B: 1,000 requests/s by connections"
                  + (f"; CPU and sleeps a request, at {self.middle:,}" if first else ""))
        self.line("model".ljust(15) + "".join(f"{n:>7,}" for n in counts)
                  + (f"{'CPU us':>8}{'sleeps':>8}{'threads':>8}" if first else ""))
        for name, kind in (("ping-pong", "pingpong"), ("bulk", "bulk")):
            limit = self.cell(self.limit(kind, size), 1e-3)
            column = 0 if kind == "pingpong" else len(counts) - 1
            self.line(f"limit: {name}".ljust(15)
                      + "".join(f"{limit if i == column else '':>7}" for i in range(len(counts))))
        for model in self.bench.models:
            cells = [{trial: rate_of(row) for trial, row in self.matrix(model, n, size).items()}
                     for n in counts]
            if any(cells):
                self.line(model.ljust(15) + "".join(f"{self.cell(cell, 1e-3):>7}" for cell in cells)
                          + (self.costs(model) if first else ""))
        print()

    def costs(self, model):
        rows = self.matrix(model)
        threads = statistics.median_high(row["threads"] for row in rows.values()) if rows else "-"
        return (f"{self.cell(self.cpu(model), 1e-3):>8}{self.cell(self.sleeps(model)):>8}"
                f"{threads:>8}")

    def others(self):
        opened = [row for row in self.samples if row["scenario"] == "open"]
        rate = f"{opened[0]['rate']:,}/s" if opened else "half load"
        idle = any(row["scenario"] == "idle" for row in self.samples)
        self.line(f"{'':<15}{'2nd client':>11}{'KiB a con-':>11}"
                  + (f"{'rate with':>11}" if idle else "") + f"{'open loop of ' + rate:>30}")
        self.line(f"{'model':<15}{'waits':>11}{'nection':>11}"
                  + (f"{self.idlers:>6,} idle" if idle else "")
                  + f"{'p50':>10}{'p99':>10}{'p99.9':>10}")
        for model in self.models:
            kept = self.idle_ratio(model)
            self.line(f"{model:<15}{self.time('waits', model, 'latency_ns'):>11}"
                      f"{self.cell(self.memory(model), 1 / 1024):>11}"
                      + (f"{figures(kept[0]) if kept else '-':>11}" if idle else "")
                      + "".join(f"{self.time('open', model, quantile):>10}"
                                for quantile in ("p50_ns", "p99_ns", "p999_ns")))
        print()

    def time(self, scenario, model, field):
        rows = self.rows(scenario, model).values()
        return duration(statistics.median(row[field] for row in rows)) if rows else "-"

    def idle_ratio(self, model):
        """What is left of the rate beside many idle connections."""
        rates = [{trial: rate_of(row) for trial, row in
                  self.rows("idle", model, idle_connections=idle).items()}
                 for idle in (self.idlers, 0)]
        return ratio(*rates)

    def idle_bytes(self, model):
        """What the server itself takes for one idle connection."""
        grown = [self.rows("idle", model, idle_connections=idle) for idle in (self.idlers, 0)]
        return {trial: max(row["grown_bytes"] - grown[1][trial]["grown_bytes"], 0) / self.idlers
                for trial, row in grown[0].items() if trial in grown[1]}

    def alone(self):
        """How near one connection comes to the ping-pong, by the best model that sleeps."""
        limit = self.limit("pingpong")
        reached = {model: found for model in self.models if model not in SPINNING and (
            found := ratio({trial: rate_of(row) for trial, row in self.matrix(model, 1).items()},
                           limit))}
        if reached:
            best = max(reached, key=lambda model: reached[model][0])
            wrapped("  ", 2, f"one connection: {best} reaches {told(reached[best])} of the "
                    "ping-pong, the most of all that do not spin")

    def held(self):
        """What many connections take."""
        idle = {model: statistics.median(found.values()) for model in self.models
                if (found := self.idle_bytes(model))}
        if idle:
            wrapped("  ", 2, "one idle connection takes of the server's own memory: " + ", ".join(
                f"{model} {told_bytes(idle[model])}" for model in sorted(idle, key=idle.get)))
        for row in self.samples:
            if row["scenario"] == "crowd":
                wrapped("  ", 2, f"{row['served_connections']:,} of {row['connections']:,} "
                        f"connections at a time of {row['variant']} in {row['processes'] - 1:,} "
                        "processes were answered; one takes "
                        f"{told_bytes(row['grown_bytes'] / row['connections'])} of theirs and "
                        f"{told_bytes(row['kernel_grown_bytes'] / row['connections'])} of the "
                        "kernel's memory, for both ends")

    # The four criteria: name, in words, digits and scale as shown, whether less is better.

    CRITERIA = (("sleeps", "blocking", 2, 1, True), ("overlap", "overlap", 1, 1, False),
                ("threads", "threads", 0, 1, True), ("cpu_ns", "CPU", 2, 1e-3, True),
                ("memory_bytes", "memory", 2, 1 / 1024, True))

    def criteria(self, model):
        threads = {trial: row["threads"] for trial, row in self.matrix(model).items()}
        found = {"sleeps": self.sleeps(model), "overlap": self.overlap(model), "threads": threads,
                 "cpu_ns": self.cpu(model), "memory_bytes": self.memory(model)}
        if not all(found.values()):
            return None
        return {name: tuple(part * scale for part in interval(found[name].values()))
                for name, _, _, scale, _ in self.CRITERIA}

    def ranking(self):
        """Each model's intervals, ranks and the sum of its ranks, the least first.

        A rank is one more than the number of models that are better by a tenth at least, and by a
        STEP, with the whole of their interval: with few rounds, less than that is seen of models
        that are alike.  CPU and memory are one criterion: half each.
        """
        measured = {model: self.criteria(model) for model in self.models}
        found = {model: mine for model, mine in measured.items() if mine}
        ranked = []
        for model, mine in found.items():
            ranks = {name: 1 + sum(clearly_less(theirs[name], mine[name]) if less else
                                   clearly_less(mine[name], theirs[name])
                                   for theirs in found.values())
                     for name, _, _, _, less in self.CRITERIA}
            total = (ranks["sleeps"] + ranks["overlap"] + ranks["threads"]
                     + (ranks["cpu_ns"] + ranks["memory_bytes"]) / 2)
            ranked.append((total, model, mine, ranks))
        return sorted(ranked, key=lambda row: row[:2])

    def print_ranking(self, ranking):
        if not ranking:
            return
        wrapped("  ", 2, f"the four criteria at {self.middle:,} connections of {self.size:,} B, and "
                f"in brackets the rank: one more than how many are better by a tenth and by {STEP}, "
                "with all of their 95 % interval. CPU and memory count half each.")
        self.line("model".ljust(15) + f"{'blocks':>11}{'overlaps':>12}{'threads':>10}{'CPU':>12}"
                  f"{'memory':>13}")
        self.line(" " * 15 + f"{'sleeps/req':>11}{'req/trip':>12}{'':>10}{'us/req':>12}"
                  f"{'KiB/conn':>13}  sum")
        for total, model, mine, ranks in ranking:
            cells = [f"{mine[name][0]:,.{digits}f} {f'({ranks[name]})':>4}"
                     for name, _, digits, _, _ in self.CRITERIA]
            self.line(f"{model:<15}{cells[0]:>11}{cells[1]:>12}{cells[2]:>10}{cells[3]:>12}"
                      f"{cells[4]:>13}{total:>5g}")
        print()

    # The verdicts: each returns a word, a sentence and the numbers behind it.

    def iterative_waits(self):
        rows = list(self.rows("waits", "iterative").values())
        if not rows:
            return self.without("iterative")
        waited = [row for row in rows if row["latency_ns"] >= row["held_ns"]]
        return ("holds" if len(waited) == len(rows) else "refuted",
                f"in {len(waited)} of {len(rows)} trials the second client had no answer before "
                f"the first one left: after {self.time('waits', 'iterative', 'latency_ns')}, of "
                f"which it was held up {self.time('waits', 'iterative', 'held_ns')}",
                numbers_of(trials=len(rows), waited=len(waited)))

    def concurrent_at_once(self):
        rows = [row for row in self.samples
                if row["scenario"] == "waits" and row["variant"] != "iterative"]
        if not rows:
            return self.without("a concurrent model")
        late = [row for row in rows if row["latency_ns"] >= row["held_ns"]]
        slowest = max(rows, key=lambda row: row["latency_ns"])
        models = len({row["variant"] for row in rows})
        median = duration(statistics.median(row["latency_ns"] for row in rows))
        return ("refuted" if late else "holds",
                (f"{late[0]['variant']} let the second client wait in {len(late)} of {len(rows)} "
                 "trials" if late else f"{models} models answered the second client while the "
                 f"first one was in service in all {len(rows)} trials")
                + f"; the median was {median}, the longest {duration(slowest['latency_ns'])} "
                f"({slowest['variant']})",
                numbers_of(trials=len(rows), late=len(late), longest_ns=slowest["latency_ns"]))

    def threads_cost(self):
        costs = {}
        for model in THREADED:
            found = (ratio(self.cpu(model), self.cpu("epoll")),
                     ratio(self.memory(model), {trial: max(value, 1) for trial, value in
                                                self.memory("epoll").items()}),
                     interval(self.switches(model).values()) if self.switches(model) else None)
            if all(found):
                costs[model] = found
        if not costs:
            return self.without("epoll, or thread and fork")
        epoll = interval(self.switches("epoll").values())
        parts = [f"{model} takes {told(cpu)} times the CPU of epoll a request, {switches[0]:.2f} "
                 f"context switches against {epoll[0]:.3f}, and "
                 f"{self.cell(self.memory(model), 1 / 1024)} KiB a connection against "
                 f"{self.cell(self.memory('epoll'), 1 / 1024)}"
                 for model, (cpu, _, switches) in costs.items()]
        more = [part for cpu, memory, switches in costs.values()
                for part in (cpu[1] > 1, memory[1] > 1, switches[1] > epoll[2])]
        return ("holds" if all(more) else "depends" if any(more) else "refuted",
                f"at {self.middle:,} connections " + "; ".join(parts),
                numbers_of(**{f"{model}_{name}": figure for model, found in costs.items()
                              for name, figure in zip(("cpu_ratio", "memory_ratio", "switches"),
                                                      found)},
                           epoll_switches=epoll))

    def async_efficient(self):
        there = [model for model in ASYNCHRONOUS if self.cpu(model)]
        if not there or not self.cpu("thread"):
            return self.without("thread, or an event loop")
        cases = {}
        for connections in self.options.connections:
            for model in there:
                found = ratio(self.cpu(model, connections), self.cpu("thread", connections))
                if found:
                    cases[connections, model] = found
        wins = [case for case, found in cases.items() if found[2] < 1]
        losses = [case for case, found in cases.items() if found[1] > 1]
        best = min(cases, key=lambda case: cases[case][0])
        worst = max(cases, key=lambda case: cases[case][0])
        memory = {model: statistics.median(self.memory(model).values())
                  for model in [*there, "thread"] if self.memory(model)}
        lean = all(memory[model] < memory.get("thread", 0) for model in there if model in memory)
        most = max((memory[model] for model in there if model in memory), default=0)
        verdict = ("holds" if len(wins) == len(cases) and lean else
                   "depends" if wins or lean else "refuted")
        return (verdict,
                f"less CPU a request than thread in {len(wins)} of {len(cases)} cases, more in "
                f"{len(losses)}: from {cases[best][0]:.2f} times ({best[1]}, {best[0]:,} "
                f"connections) to {cases[worst][0]:.2f} times ({worst[1]}, {worst[0]:,}); "
                f"{most / 1024:.2f} KiB a connection at most against "
                f"{memory.get('thread', 0) / 1024:.1f}, one thread against one each",
                numbers_of(cases=len(cases), less=len(wins), more=len(losses),
                           best_cpu_ratio=cases[best], worst_cpu_ratio=cases[worst]))

    def nm_efficient(self):
        rows = {model: self.rows("unpinned", model)
                for model in ("thread", "coroutine", "coroutine-nm", "two-level")}
        cpu = {model: self.each(found, "server_cpu_ns") for model, found in rows.items()}
        if not all(cpu.values()):
            return self.without("thread, coroutine and coroutine-nm")
        rates = {model: {trial: rate_of(row) for trial, row in found.items()}
                 for model, found in rows.items()}
        names = {"thread": "1:1", "coroutine": "N:1", "two-level": "two-level"}
        against = {model: ratio(cpu["coroutine-nm"], cpu[model]) for model in names}
        faster = {model: ratio(rates["coroutine-nm"], rates[model]) for model in names}
        sentence = (f"at {self.middle:,} connections, not pinned, N:M takes " + ", ".join(
            f"{told(against[model])} times the CPU a request of {name} at {faster[model][0]:.2f} "
            "times its rate" for model, name in names.items()))
        numbers = numbers_of(**{f"{model.replace('-', '_')}_{kind}": figure for kind, of in
                                (("cpu_ratio", against), ("rate_ratio", faster))
                                for model, figure in of.items()})
        if len(self.bench.both) < 2:
            return "skipped", "several loops need more than one CPU: " + sentence, numbers
        if all(figure[2] < 1 for figure in against.values()):
            return "holds", sentence, numbers
        return ("refuted" if any(figure[1] > 1 for figure in against.values()) else "depends",
                sentence, numbers)

    def prefork(self):
        rows = list(self.rows("prefork", "prefork").values())
        if not rows:
            return self.without("prefork")
        good = [row for row in rows if row["answered_before"] == 4 and row["answered_after"] >= 3
                and row["answered_anew"]]
        return ("holds" if len(good) == len(rows) else "refuted",
                f"four clients at a time were served; when one worker was killed, "
                f"{min(row['answered_after'] for row in rows)} of 4 went on and a newcomer was "
                f"{'served' if all(row['answered_anew'] for row in rows) else 'not served'}, in "
                f"{len(good)} of {len(rows)} trials",
                numbers_of(trials=len(rows), good=len(good)))

    def ideal(self, ranking):
        if len(ranking) < 2:
            return self.without("two models that were measured on every criterion")
        total, best, _, ranks = ranking[0]
        first = [model for _, model, _, theirs in ranking if set(theirs.values()) == {1}]
        fit = [model for model in first if self.bears_idlers(model)]
        tied = [model for sum_, model, _, _ in ranking if sum_ == total]
        weak = [heading for name, heading, _, _, _ in self.CRITERIA if ranks[name] > 1]
        if fit:
            sentence = (f"{all_of(fit)} {'is' if len(fit) == 1 else 'are'} first on all four "
                        f"criteria, among {len(ranking)} models")
        elif first:
            sentence = "no model is first on all four criteria whatever else is connected"
        else:
            sentence = (f"no model is first on all four criteria; {all_of(tied)} "
                        f"{'has' if len(tied) == 1 else 'have'} the least sum of ranks ({total:g}) "
                        f"of {len(ranking)} models, {best} not first on {all_of(weak)}")
        unfit = [model for model in first if model not in fit]
        if unfit:
            sentence += (f"; {all_of(unfit)} {'is' if len(unfit) == 1 else 'are'}"
                         f"{', too' if fit else ''}, but not with {self.idlers:,} idle connections beside")
        return ("holds" if fit else "depends", sentence,
                numbers_of(models=len(ranking), best=best, rank_sum=total, first=len(first),
                           fit=len(fit)))

    def bears_idlers(self, model):
        """Not shown to lose a tenth of its rate by idle connections, where that was measured."""
        if not any(row["scenario"] == "idle" for row in self.samples):
            return True
        kept = self.idle_ratio(model)
        return bool(kept) and kept[2] >= ALIKE

    @staticmethod
    def without(what):
        return "skipped", f"this run is without {what}", {}

    def verdicts(self):
        ranking, column = self.ranking(), max(map(len, CLAIMS))
        self.print_ranking(ranking)
        for claim, verdict in (("srv-iterative-waits", self.iterative_waits()),
                               ("srv-concurrent-at-once", self.concurrent_at_once()),
                               ("srv-threads-cost", self.threads_cost()),
                               ("srv-async-efficient", self.async_efficient()),
                               ("srv-nm-efficient", self.nm_efficient()),
                               ("srv-prefork", self.prefork()), ("srv-ideal", self.ideal(ranking))):
            word, sentence, numbers = verdict
            self.bench.rows.write("verdict", claim=claim, verdict=word, sentence=sentence,
                                  numbers=numbers)
            wrapped(f"  {claim:<{column}} {word.upper():<10} ", column + 14, sentence)
        for total, model, mine, ranks in ranking:
            self.bench.rows.write("rank", variant=model, rank_sum=total,
                                  **{f"{name}_rank": rank for name, rank in ranks.items()},
                                  **{name: round(mine[name][0] / scale, 3)
                                     for name, _, _, scale, _ in self.CRITERIA})

    def say(self, kind, first, text):
        """What people read, and a row of it."""
        self.bench.rows.write(kind, text=text)
        wrapped(f"  {first} ", len(first) + 3, text)

    def notes(self):
        self.say("why", "Why:", "an event loop is told by one system call of all connections that "
                 "are ready, so it sleeps only when there is nothing to do. A thread that blocks "
                 "sleeps once for each request, and has a stack of its own and one in the kernel.")
        for why, counts in self.bench.left_out.items():
            what = ", ".join(f"{count:,}" for count in sorted(counts))
            self.say("note", "NOTE",
                     f"left out: {why}" + (f" ({what} connections)" if what else ""))
        if len(self.bench.both) == 1:
            self.say("note", "NOTE", "one CPU: the server and its load take turns on it")
        rounds = self.options.rounds
        if rounds < ENOUGH:
            self.say("note", "NOTE", f"a first look: an interval is the range of {rounds} "
                     f"round{'s' * (rounds > 1)}, which holds the median in "
                     f"{100 - 200 / 2 ** rounds:.0f} % of all runs. --rounds {ENOUGH} makes it 95 %")
        busy = [row for row in self.samples if row["scenario"] == "loaded"]
        full = [row for row in busy if row.get("load_cpu_ns", 0) > 0.9 * row["elapsed_ns"]]
        if full:
            self.say("note", "NOTE", f"in {len(full):,} of {len(busy):,} runs the load used its "
                     "CPU up as well: there the rate is no server's limit. Compare the CPU a "
                     "request.")
        spent = self.bench.spent()
        foreign = ((spent["machine_cpu_ns"] - spent["own_cpu_ns"]) / spent["wall_ns"]
                   / self.bench.machine.get("cpus_online", 1))
        if foreign > 0.1:
            self.say("note", "NOTE", f"noisy machine: other programs used {100 * foreign:.1f} % of "
                     f"the CPU time; close them, or use --rounds {4 * rounds}")
        for failure in dict.fromkeys(self.bench.failures):
            wrapped("  CONTROL FAILED ", 17, failure)

    def print(self):
        self.header()
        for size in self.options.sizes:
            self.rates(size)
        self.others()
        self.alone()
        self.held()
        print()
        self.verdicts()
        self.notes()


def wrapped(first, indent, text):
    print(textwrap.fill(text, 80, initial_indent=first, subsequent_indent=" " * indent,
                        break_long_words=False, break_on_hyphens=False), flush=True)
