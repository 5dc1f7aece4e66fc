# SPDX-License-Identifier: MIT
"""scripts/separate.py: the setting that verdicts depend on is named, and none where they depend on none."""
import random

import pytest

pytest.importorskip("numpy")
import separate  # noqa: E402

PAGES = 100  # of random verdicts
CLAIMS = 3  # of each
MACHINES = 30


def machines(rng, count=MACHINES):
    """Settings of each kind, drawn at random; one is another on every machine."""
    return [{"kernel": rng.choice(["5.10.0-30-amd64", "5.15.0-91-generic", "6.1.0-25-amd64", "6.12.1"]),
             "congestion": rng.choice(["bbr", "cubic", "reno"]), "cpus": rng.choice([1, 2, 4, 8, 16]),
             "quota": rng.choice([None, None, 0.5, 1.5]), "wmem": f"4096 16384 {rng.choice([1, 10, 100])}",
             "python": rng.sample(["3.8.20", "3.12.1", "3.13.2t"], rng.randint(0, 3)), "dirty": rng.random() < 0.5,
             "serial": f"machine-{at}", "same": "everywhere"} for at, _ in enumerate(range(count))]


def judged(some, holds):
    return [(some, ["holds" if holds(machine) else "refuted" for machine in some])]


@pytest.mark.parametrize("name, holds, groups", [
    ("congestion", lambda machine: machine["congestion"] == "cubic", [["bbr"], ["cubic"], ["reno"]]),
    ("cpus", lambda machine: machine["cpus"] > 2, [[1, 2], [4, 16]]),
    ("kernel", lambda machine: machine["kernel"] < "6", [["5.10.0-30-amd64", "5.15.0-91-generic"],
                                                        ["6.1.0-25-amd64", "6.12.1"]]),
    ("quota", lambda machine: machine["quota"] is None, [[None], [0.5], [1.5]]),
    ("wmem (3 of 3)", lambda machine: machine["wmem"].endswith("00"), [["1", "10"], ["100"]]),
    ("python: 3.13.2t", lambda machine: "3.13.2t" in machine["python"], [[False], [True]]),
    ("dirty", lambda machine: machine["dirty"], [[False], [True]])])
@pytest.mark.parametrize("seed", range(3))
def test_what_verdicts_depend_on_is_named(name, holds, groups, seed):
    some = machines(random.Random(seed))
    found, = separate.separate(judged(some, holds))
    assert found[0].names == [name] and found[0].named and found[0].off == 0
    assert [values for values, _ in found[0].groups] == groups
    assert all(len(count) == 1 for _, count in found[0].groups)
    assert sum(sum(count.values()) for _, count in found[0].groups) == MACHINES
    assert "same" not in {name for one in found for name in one.names}


@pytest.mark.parametrize("seed", range(3))
def test_with_exceptions(seed):
    """A tenth of the machines are otherwise."""
    rng = random.Random(seed)
    some = machines(rng, 100)
    found, = separate.separate(judged(some, lambda machine: (machine["cpus"] > 2) != (rng.random() < 0.1)))
    assert found[0].names == ["cpus"] and found[0].named and 0 < found[0].off < 25


def test_settings_that_go_together_are_named_together():
    some = [{**machine, "twin": f"of {machine['congestion']}"} for machine in machines(random.Random(1))]
    found, = separate.separate(judged(some, lambda machine: machine["congestion"] == "bbr"))
    assert found[0].named and found[0].names == ["congestion", "twin"]


def test_too_few_machines_name_nothing():
    """Of four machines some setting nearly always separates two from two; one that is alone is not more."""
    for seed in range(20):
        some = machines(random.Random(seed), 4)
        for verdicts in (["holds", "holds", "refuted", "refuted"], ["holds", "holds", "holds", "refuted"]):
            found, = separate.separate([(some, verdicts)])
            assert not any(one.named for one in found)


def test_nothing_that_differs():
    assert separate.separate([([{"same": 1}] * 30, ["holds", "refuted"] * 15)]) == [[]]
    assert separate.separate([]) == []


def test_random_verdicts_name_nothing():
    """On hardly more pages than the stated bound, of which chance alone decides: three standard deviations more."""
    named = 0
    for seed in range(PAGES):
        rng = random.Random(seed)
        some = machines(rng)
        chances = [rng.choice([0.1, 0.3, 0.5]) for _ in range(CLAIMS)]
        found = separate.separate([(some, [rng.choices(["holds", "refuted", "depends"], [chance, 1 - chance, 0.1])[0]
                                           for _ in some]) for chance in chances])
        named += any(one.named for of_claim in found for one in of_claim)
    assert named <= PAGES * separate.ALPHA + 3 * (PAGES * separate.ALPHA * (1 - separate.ALPHA)) ** 0.5


def test_the_same_each_time():
    some = machines(random.Random(5))
    both = [separate.separate(judged(some, lambda machine: machine["cpus"] > 4)) for _ in range(2)]
    assert both[0] == both[1]
