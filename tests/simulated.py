# SPDX-License-Identifier: MIT
"""Rows of many machines, made of the reference run's; nothing of them was measured, and each run row says so.

    python3 tests/simulated.py --machines 1000 DIR

Each machine has settings of its own, drawn at random.  Most verdicts are the reference's everywhere.  Those of PLANTED
depend on one setting, those of RANDOM on none.
"""
import argparse
import json
import random
from pathlib import Path

from program import ROOT

REFERENCE = ROOT / "results" / "reference"
SETTINGS = {
    "kernel": ["5.10.0-30-amd64", "6.1.0-25-amd64", "6.6.9-200.fc39.x86_64", "6.12.12-1-MANJARO"],
    "cpu_model": ["Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz", "AMD Ryzen 5 5600U", "Intel(R) N100", "Cortex-A76"],
    "cpus_online": [2, 4, 8, 16],
    "cpu_quota_cpus": [None, None, 0.5, 1.5],
    "virtualisation": ["none", "none", "KVM", "VMware"],
    "compiler": ["gcc 12.2", "gcc 14.2", "clang 14.0"],
    "loopback_mtu_bytes": [65536, 65536, 16436, 1500],
}
SYSCTLS = {
    "net.ipv4.tcp_congestion_control": ["bbr", "cubic", "reno"],
    "net.core.somaxconn": ["128", "4096"],
    "net.core.default_qdisc": ["fq", "fq_codel", "pfifo_fast"],
    "net.ipv4.tcp_wmem": ["4096 16384 4194304", "4096 16384 6291456"],
    "kernel.sched_autogroup_enabled": ["0", "1"],
}
PLANTED = {  # claim: the setting, and whether with this value the verdict is the reference's
    "tcp-backlog-n": ("kernel", lambda value: value.startswith("6.")),
    "buf-cliff": ("loopback_mtu_bytes", lambda value: value > 1500),
    "race-ordering": ("cpus_online", lambda value: value <= 4),
    "net-bind-visibility": ("net.ipv4.tcp_congestion_control", lambda value: value == "bbr"),
}
RANDOM = ("buf-default-65536", "race-zero-is-safe")
OTHER = {"holds": "refuted", "refuted": "holds", "depends": "holds", "not-seen": "holds"}


def settings_of(rng):
    """(those of the run row, its sysctls) of a machine."""
    return [{name: rng.choice(values) for name, values in some.items()} for some in (SETTINGS, SYSCTLS)]


def verdict_of(row, settings, rng, planted, at_random):
    verdict, claim = row["verdict"], row["claim"]
    if claim in planted:
        setting, same = planted[claim]
        return verdict if same(settings[setting]) else OTHER[verdict]
    if claim in at_random:
        return rng.choice([verdict, OTHER[verdict]])
    return "unclear" if rng.random() < 0.01 else verdict


def scaled(number, factor):
    """A number with its interval as another machine may have it; others as they are."""
    if not isinstance(number, dict) or number["low"] is None:
        return number
    if "k" in number:
        k = min(number["n"], round(number["k"] * factor))
        shift = (k - number["k"]) / max(1, number["n"])
        return {**number, "k": k, **{name: min(1, max(0, number[name] + shift)) for name in ("low", "high")}}
    mid, low, high = (number[name] * factor for name in ("mid", "low", "high"))
    return {**number, "mid": mid, "low": low, "high": high}


def simulated(source, settings, sysctls, rng, planted, at_random):
    """The rows of a run: of the samples only one for each interpreter and compiler."""
    run, end = dict(source[0]), dict(source[-1])
    run.update(simulated=True, load=[rng.random() for _ in range(3)], sysctl={**run["sysctl"], **sysctls},
               utc=f"2026-01-{rng.randint(1, 28):02}T{rng.randrange(24):02}:00:00Z",
               **{name: value for name, value in settings.items() if value is not None})
    samples = {(row.get("python"), row.get("compiler")): row for row in source if row["row"] == "sample"}
    factor = rng.lognormvariate(0, 0.3)
    verdicts = []
    for row in source:
        if row["row"] == "verdict":
            verdict = verdict_of(row, {**settings, **sysctls}, rng, planted, at_random)
            numbers = {name: scaled(number, factor * (1 if verdict == row["verdict"] else 3))
                       for name, number in (row.get("numbers") or {}).items()}
            verdicts.append({**row, "verdict": verdict, "numbers": numbers})
    return [run, *samples.values(), *verdicts, {**end, "samples": len(samples)}]


def fleet(folder, count, seed=1, names=None, planted=PLANTED, at_random=RANDOM):
    """Makes the machines' folders, machine-0001 ..., with the experiments of these names (all)."""
    rng = random.Random(seed)
    paths = [REFERENCE / f"{name}.jsonl" for name in names] if names else sorted(REFERENCE.glob("*.jsonl"))
    sources = [[json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] for path in paths]
    for number in range(1, count + 1):
        settings, sysctls = settings_of(rng)
        for source in sources:
            rows = simulated(source, settings, sysctls, rng, planted, at_random)
            run = rows[0]
            path = Path(folder) / f"machine-{number:04}" / run["group"] / f"{run['experiment']}-20260101T000000Z.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument("--machines", type=int, default=30, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    fleet(options.folder, options.machines, options.seed)
