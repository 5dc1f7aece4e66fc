# SPDX-License-Identifier: MIT
"""The notes' program and its kin, run in whatever CPython this is: 2.7, 3.x, with a GIL or without.

Two threads update one x, one upwards and one downwards, N times each.  Each argument is one run:

    plain:1000000    one of PROGRAMS, N times; prints "x plain X ELAPSED_NS"
    interval:500     from here on, threads ask for the GIL every so many microseconds
    places:150       for so many milliseconds, looks again and again where the threads of "plain"
                     gave up the GIL; prints "place OPCODE INSIDE COUNT" for each place, INSIDE
                     being 1 between the load of x and its store
"""
import sys
import threading
import time

PROGRAMS = {
    "plain": ("x += 1", "x -= 1"),
    "call": ("x += f()", "x -= f()"),
    "call-first": ("x = f() + x", "x = -f() + x"),
    "split": ("t = x; x = t + 1", "t = x; x = t - 1"),
    "attribute": ("o.x += 1", "o.x -= 1"),
    "item": ("l[0] += 1", "l[0] -= 1"),
    "locked": ("with lock: x += 1", "with lock: x -= 1"),
}

LOOP = """
def loop(n):
    global x
    for _ in range(n):
        {}
"""

clock = getattr(time, "perf_counter", time.time)


class Object(object):
    x = 0


def f():
    return 1


def prepare(name):
    """Both loops of a program, and the variables they share."""
    shared = {"x": 0, "o": Object(), "l": [0], "f": f, "lock": threading.Lock(),
              "range": xrange if sys.version_info[0] == 2 else range}  # noqa: F821
    loops = []
    for update in PROGRAMS[name]:
        exec(LOOP.format(update), shared)  # pylint: disable=exec-used
        loops.append(shared["loop"])
    return loops, shared


def start(loops, work):
    """Threads that begin together; work(loop) is what each does."""
    go = threading.Event()

    def body(loop):
        go.wait()
        work(loop)

    threads = [threading.Thread(target=body, args=(loop,)) for loop in loops]
    for thread in threads:
        thread.daemon = True  # where one cannot be started, those that wait for it end with the program
        thread.start()
    go.set()
    return threads


def measure(name, count):
    loops, shared = prepare(name)
    begins, ends = [], []

    def work(loop):
        begins.append(clock())
        loop(count)
        ends.append(clock())

    for thread in start(loops, work):
        thread.join()
    x = {"attribute": shared["o"].x, "item": shared["l"][0]}.get(name, shared["x"])
    print("x %s %d %d" % (name, x, (max(ends) - min(begins)) * 1e9))


def opcodes(code):
    """The offset and the name of each instruction."""
    from opcode import HAVE_ARGUMENT, opname
    text = bytearray(code.co_code)
    at = 0
    while at < len(text):
        yield at, opname[text[at]]
        at += 2 if sys.version_info[0] > 2 else 3 if text[at] >= HAVE_ARGUMENT else 1


def load_and_store(code):
    """The offsets between which x is loaded and not stored yet."""
    load = None
    for at, name in opcodes(code):
        if name == "LOAD_GLOBAL":
            load = at
        if name == "STORE_GLOBAL":
            return load, at
    raise ValueError("no store")


def places(duration):
    """While this thread runs no other does: each stands where it gave up the GIL."""
    loops, _ = prepare("plain")
    windows = {loop.__code__: load_and_store(loop.__code__) for loop in loops}
    names = {loop.__code__: dict(opcodes(loop.__code__)) for loop in loops}
    ended = []
    seen = {}

    def work(loop):
        while not ended:
            loop(100000)

    threads = start(loops, work)
    until = clock() + duration
    while clock() < until:
        time.sleep(0.0002)
        for frame in sys._current_frames().values():
            if frame.f_code in windows:
                load, store = windows[frame.f_code]
                place = (names[frame.f_code].get(frame.f_lasti, "?"),
                         int(load <= frame.f_lasti < store))
                seen[place] = seen.get(place, 0) + 1
    ended.append(True)
    for thread in threads:
        thread.join()
    for (name, inside), count in seen.items():
        print("place %s %d %d" % (name, inside, count))


for argument in sys.argv[1:]:
    what, number = argument.split(":")
    if what == "places":
        places(int(number) / 1e3)
    elif what != "interval":
        measure(what, int(number))
    elif hasattr(sys, "setswitchinterval"):  # 2.7 counts opcodes instead
        sys.setswitchinterval(int(number) / 1e6)
