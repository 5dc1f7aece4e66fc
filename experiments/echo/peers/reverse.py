#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A thread for every connection, which answers each line reversed, character by character."""
import codecs
import threading

import common


def answers(lines, decode, connection):
    """The reversed lines of what comes; with --pieces at once what is there of one."""
    rest = ""
    while True:
        data = connection.recv(1024)
        *whole, rest = (rest + decode(data, final=not data)).split("\n")
        yield "".join(line[::-1] + "\n" for line in whole)
        if lines and data:
            continue
        yield rest[::-1]
        rest = ""
        if not data:
            return


def serve(connection, address):
    common.say("Connected to :", address[0], ":", address[1])
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode  # a read may end within a character
    try:
        for answer in answers(not common.options.pieces, decode, connection):
            connection.sendall(answer.encode())
    except OSError:  # it was reset
        pass
    finally:
        connection.close()
        common.say(f"{address[0]}: Closed")


def main():
    server = common.listener(__doc__, port=8888,
                             pieces="answer what one recv brings, for clients that send no newline")
    while True:
        threading.Thread(target=serve, args=server.accept(), daemon=True).start()


common.run(main)
