# SPDX-License-Identifier: MIT
"""Which recorded setting separates machines whose verdicts on a claim differ, or that none does.

A setting splits the machines: a word or a yes into a group for each value, a number or a version at a threshold;
where it was not recorded is a group of its own.  How well a split predicts the verdict is its information gain.  Some
setting always predicts best, so it is named only if it does better than the best of all settings does when the verdicts
are dealt to the machines at random, and that for all claims of a page together (Holm).  So if what the machines say of
a claim has nothing to do with their settings, a page names one for any such claim with a probability of at most ALPHA.
"""
import collections
import re
from types import SimpleNamespace

import numpy as np

ALPHA = 0.05
LEAST = 999  # permutations of a claim's verdicts
CUTS = 32  # thresholds tried of one setting at most; of more values some, evenly chosen
BATCH = 250  # permutations at a time: bounds the memory
SEED = 1  # of the permutations: the same page each time
TINY = 1e-9
NUMBERS = re.compile(r"-?\d+(\s+-?\d+)+")  # as in tcp_rmem
VERSION = re.compile(r"(\d+(?:\.\d+)*)(\D.*)?")


# --- settings, a column each ----------------------------------------------------------------------

def columns_of(settings):
    """{name: [value or None of each machine]} of {name: value} of each; what is equal everywhere is left out.

    A list that has several members somewhere becomes a column for each member, a text of several numbers one for each.
    """
    columns = {}
    for name in dict.fromkeys(name for some in settings for name in some):
        columns.update(split(name, [some.get(name) for some in settings]))
    return {name: values for name, values in columns.items() if len(set(values)) > 1}


def split(name, values):
    present = [value for value in values if value is not None]
    if any(isinstance(value, list) for value in present):
        lists = [value if isinstance(value, list) else [value] for value in values]
        if max(map(len, lists)) > 1:
            members = dict.fromkeys(str(member) for some in lists for member in some)
            return {f"{name}: {member}": [None if value is None else member in map(str, some)
                                          for value, some in zip(values, lists)] for member in members}
        values = [some[0] if some else None for some in lists]
    elif present and all(isinstance(value, str) and NUMBERS.fullmatch(value) for value in present):
        parts = [value.split() if value else [] for value in values]
        count = max(map(len, parts))
        return {f"{name} ({at + 1} of {count})": [some[at] if at < len(some) else None for some in parts]
                for at in range(count)}
    return {name: [value if value is None or isinstance(value, (bool, int, float)) else str(value) for value in values]}


def place_of(value):
    """Where a value comes in its order, or None: a number, or a version."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return [value], ""
    if re.fullmatch(r"-?\d+", value):
        return [int(value)], ""
    match = VERSION.fullmatch(value)
    if not match or "." not in match[1]:
        return None
    return [int(part) for part in match[1].split(".")], match[2] or ""


class Setting:
    """The ways to split the machines by one: a row of groups for each, -1 where it was not recorded."""

    def __init__(self, name, values):
        self.names = [name]  # and of those that split the machines in the same ways
        self.values = values
        present = set(value for value in values if value is not None)
        places = {value: place_of(value) for value in present}
        self.ordered = None not in places.values()
        self.levels = sorted(present, key=places.get if self.ordered else str)
        index = {value: at for at, value in enumerate(self.levels)}
        self.at = np.array([index.get(value, -1) for value in values])
        last = len(self.levels) - 1
        self.cuts = (np.unique(np.linspace(0, max(last - 1, 0), min(CUTS, max(last, 1))).astype(int))
                     if self.ordered else [None])
        self.ways = np.array([self.way(cut) for cut in self.cuts])

    def way(self, cut):
        return self.at if cut is None else np.where(self.at < 0, -1, self.at > cut)

    def key(self):
        """Equal of those that split the machines in the same ways, whatever the groups are called."""
        def canonical(way):
            _, first, inverse = np.unique(way, return_index=True, return_inverse=True)
            return np.argsort(np.argsort(first))[inverse].tobytes()
        return frozenset(map(canonical, self.ways))

    def groups(self, way):
        """[([least value, greatest value] or [None], indices of the machines)] of one way."""
        found = []
        for group in np.unique(self.ways[way]):
            members = np.flatnonzero(self.ways[way] == group)
            levels = self.at[members]
            found.append(([None] if group < 0 else
                          [self.levels[at] for at in dict.fromkeys((levels.min(), levels.max()))], members))
        return found


def candidates(settings):
    found = {}
    for name, values in columns_of(settings).items():
        setting = Setting(name, values)
        same = found.setdefault(setting.key(), setting)
        if same is not setting:
            same.names.append(name)
    return list(found.values())


# --- how well each predicts the verdict -----------------------------------------------------------

def gains(tried, verdicts):
    """How well the best way of each setting predicts these verdicts, and which that is: [setting][deal], twice.

    verdicts: [deal][machine], as numbers from 0.  It is n times the information gain, but for a constant.
    """
    rows, way_starts, setting_starts = [], [], []
    for setting in tried:
        setting_starts.append(len(way_starts))
        for way in setting.ways:
            way_starts.append(len(rows))
            rows += [way == group for group in np.unique(way)]
    members = np.array(rows, dtype=np.float32)
    count = members.shape[1]
    log = np.arange(count + 1) * np.log(np.maximum(np.arange(count + 1), 1))  # n log n
    sizes = log[members.sum(axis=1).astype(int)]
    scores, best = [], []
    for begin in range(0, len(verdicts), BATCH):
        some = verdicts[begin:begin + BATCH]
        counts = (members @ (some == verdict).T.astype(np.float32) for verdict in np.unique(verdicts))
        of_ways = np.add.reduceat(sum(log[count.astype(int)] for count in counts) - sizes[:, None], way_starts)
        scores.append(np.maximum.reduceat(of_ways, setting_starts))
        best.append([part.argmax(axis=0) for part in np.split(of_ways, setting_starts[1:])])
    return np.concatenate(scores, axis=1), np.concatenate(best, axis=1)


def off(setting, way, verdicts):
    """How many machines have another verdict than most of their group."""
    return sum(len(members) - max(collections.Counter(verdicts[at] for at in members).values())
               for _, members in setting.groups(way))


def look(settings, verdicts, permutations, rng):
    """Each setting that is not the same everywhere, with its p among all of them, the best first.

    p: how often the best of all settings predicts verdicts dealt at random as well as this one predicts the real ones,
    each measured against what chance gives to that setting.
    """
    tried = candidates(settings)
    if not tried:
        return []
    codes = np.unique(verdicts, return_inverse=True)[1]
    deals = np.array([codes, *(rng.permutation(codes) for _ in range(permutations))])
    scores, best = gains(tried, deals)
    spread = scores.std(axis=1)
    able = spread > TINY  # not one that is another on every machine: it predicts whatever is dealt
    scores = (scores - scores.mean(axis=1, keepdims=True)) / np.where(able, spread, 1)[:, None]
    top = scores[able].max(axis=0) if able.any() else np.zeros(len(deals))
    found = [SimpleNamespace(
        names=setting.names, p=float((top >= score[0] - TINY).mean()) if can else 1.0, score=float(score[0]),
        off=off(setting, way[0], verdicts),
        groups=[(values, collections.Counter(verdicts[at] for at in members))
                for values, members in setting.groups(way[0])])
        for setting, score, way, can in zip(tried, scores, best, able)]
    return sorted(found, key=lambda one: (one.p, -one.score))


def separate(claims):
    """Of each claim (settings of each machine, its verdict there): [setting], the best first, named or not."""
    permutations = max(LEAST, int(2 / ALPHA) * len(claims) - 1)  # so that p can be half of the strictest level
    rng = np.random.default_rng(SEED)
    found = [look(settings, verdicts, permutations, rng) for settings, verdicts in claims]
    least = sorted((one[0].p if one else 1, at) for at, one in enumerate(found))
    named = True
    for place, (p, at) in enumerate(least):
        level = ALPHA / (len(claims) - place)
        named = named and p <= level
        for one in found[at]:
            one.named = named and one.p <= level
    return found
