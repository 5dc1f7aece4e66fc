# SPDX-License-Identifier: MIT
"""A signal comes while recv, then connect, waits.  Does Python go on with the call?

eintr.py     prints two words, for recv and connect: "resumed", "EINTR" or what else came;
             for Python 2.7 and all since

A child sends the signals, each when this process is seen asleep, so a busy machine cannot make two
of one.  The first one's handler does nothing.  The second one comes only if the call still waits,
which proves that it was resumed: then bytes are sent, which recv must return, and connect is given
up.
"""
import errno
import os
import signal
import socket
import sys
import time

LOOK = 0.001  # seconds
signals = []


class StillWaiting(Exception):
    pass


def is_asleep(process):
    with open("/proc/%d/stat" % process) as file:
        return file.read().rpartition(")")[2].split()[0] == "S"


def send_signals(process):
    """Sends two to its parent, and ends: also if that has ended."""
    for _ in range(2):
        while os.getppid() == process and not is_asleep(process):
            time.sleep(LOOK)
        if os.getppid() == process:
            os.kill(process, signal.SIGALRM)
    os._exit(0)


def end(child):
    """Waits, too: whatever signal it still sends comes before this returns."""
    os.kill(child, signal.SIGKILL)
    while True:
        try:
            os.waitpid(child, 0)
            return
        except (OSError, IOError) as error:
            if error.errno != errno.EINTR:
                raise


def interrupted(call, second):
    """What came of a call that the signals interrupt."""
    def handle(_number, _frame):
        signals.append(1)
        if len(signals) == 2:
            second()

    del signals[:]
    signal.signal(signal.SIGALRM, handle)
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        send_signals(parent)
    try:
        return call()
    except StillWaiting:
        return "resumed"
    except (OSError, socket.error) as error:  # which are two in Python 2
        return "EINTR" if error.errno == errno.EINTR else str(error.errno)
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # it was over before the second one
        end(child)


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
