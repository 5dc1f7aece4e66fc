# SPDX-License-Identifier: MIT
"""A signal comes while recv, then connect, waits.  Does Python go on with the call?

eintr.py     prints two words, for recv and connect: "resumed", "EINTR" or what else came;
             for Python 2.7 and all since

The first signal's handler does nothing.  The second one comes only if the call still waits, which
proves that it was resumed: then bytes are sent, which recv must return, and connect is given up.
"""
import errno
import os
import signal
import socket
import sys

PAUSE = 0.03  # seconds
signals = []


class StillWaiting(Exception):
    pass


def interrupted(call, second):
    """What came of a call that the signals interrupt."""
    def handle(_number, _frame):
        signals.append(1)
        if len(signals) == 2:
            second()

    del signals[:]
    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, PAUSE, PAUSE)
    try:
        return call()
    except StillWaiting:
        return "resumed"
    except (OSError, socket.error) as error:  # which are two in Python 2
        return "EINTR" if error.errno == errno.EINTR else str(error.errno)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def give_up():
    raise StillWaiting()


signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # no words when nobody reads any more
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(1)
near = socket.create_connection(listener.getsockname())
far, _ = listener.accept()
recv = interrupted(lambda: "resumed" if near.recv(10) == b"late" and len(signals) > 1 else "other",
                   lambda: far.send(b"late"))

listener.listen(0)  # room for one: further connects wait
queue = []
for _ in range(3):
    queue.append(socket.socket())
    queue[-1].setblocking(False)
    queue[-1].connect_ex(listener.getsockname())
waits = socket.socket()
connect = interrupted(lambda: waits.connect(listener.getsockname()) or "other", give_up)
sys.stdout.write("%s %s\n" % (recv, connect))
sys.stdout.flush()
os._exit(0)
