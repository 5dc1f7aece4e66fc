# SPDX-License-Identifier: MIT
"""Updates of builtin objects by several threads at once, for Python 2.7 and all since, and for Jython.

builtins.py [handover] THREADS MILLISECONDS OPERATION...

The threads do each operation for so long; prints "OPERATION UPDATES LOST" for each.  They ask for the
GIL as often as they can.  handover: what they do is a load, a hand-over of the GIL, and a store.
"""
import itertools
import sys
import threading
import time

try:
    from queue import Empty, Queue
except ImportError:  # Python 2
    from Queue import Empty, Queue

# The i-th update by thread `me`; what it gets, if anything, goes to `mine`.
UPDATES = {
    "append": "l.append(i)",
    "extend": "l += [i]",
    "dict": "d['k'] += 1",
    "count": "mine.append(next(c))",
    "queue": "q.put((me, i)); mine.append(get())",
    "locked": "with lock: d['k'] += 1",
}
HANDOVER = "t = d['k']; sleep(0); d['k'] = t + 1"

# Until then, and until each thread has begun.
LOOP = """
def loop(me, mine, until):
    global l
    while clock() < until or not all(made):
        for i in range(made[me], made[me] + 100):
            {}
        made[me] += 100
"""

clock = getattr(time, "perf_counter", time.time)


def define(update, shared):
    exec(LOOP.format(update), shared)  # pylint: disable=exec-used
    return shared["loop"]


def measure(operation, update):
    """How many updates were made, and how many of them are missing in the end."""
    queue = Queue()

    def get():
        try:
            return queue.get_nowait()
        except Empty:
            return None

    shared = {"l": [], "d": {"k": 0}, "c": itertools.count(), "q": queue, "get": get,
              "lock": threading.Lock(), "clock": clock, "sleep": time.sleep, "made": [0] * threads}
    loop = define(update, shared)
    go = threading.Event()
    got = [[] for _ in range(threads)]

    def body(me):
        go.wait()
        loop(me, got[me], until)

    workers = [threading.Thread(target=body, args=(me,)) for me in range(threads)]
    for worker in workers:
        worker.daemon = True  # where one cannot be started, those that wait for it end with the program
        worker.start()
    until = clock() + duration
    go.set()
    for worker in workers:
        worker.join()
    arrived = len(shared["l"]) or shared["d"]["k"] or len(set(itertools.chain(*got)) - {None})
    made = sum(shared["made"])
    sys.stdout.write("%s %d %d\n" % (operation, made, made - arrived))


arguments = sys.argv[1:]
handover = arguments[0] == "handover" and arguments.pop(0)
threads, duration = int(arguments[0]), int(arguments[1]) / 1e3
if hasattr(sys, "setswitchinterval"):
    sys.setswitchinterval(1e-6)
elif hasattr(sys, "setcheckinterval"):
    sys.setcheckinterval(1)
for name in arguments[2:]:
    measure(name, HANDOVER if handover and name != "locked" else UPDATES[name])
