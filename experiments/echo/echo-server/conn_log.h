/* SPDX-License-Identifier: MIT */
/*
 * conn_log.h - what --verbose prints to stdout: connections, what is received, and closes.
 *
 * The lines are those of the programs in lecture notes that the server plays: a threaded one that
 * runs on; with --once one that serves one connection; with --greet, --reverse, --udp those.  An
 * address is written as Python writes it: ('127.0.0.1', 47622).
 *
 * To be called under --verbose only, after conn_log_begin(); conn_log_datagram() also without.
 */
#ifndef CONN_LOG_H
#define CONN_LOG_H

#include <stddef.h>

#include "address.h"
#include "conn.h"

/*
 * The table of the addresses of all peers, by descriptor.  They are kept because getpeername(2) of
 * a connection that was reset fails.
 */
void conn_log_begin(struct address *table, const struct conn_rules *rules);

void conn_log_connected(int fd, const struct address *peer);
void conn_log_closed(int fd);

/* Without line breaks, and with a dot for each control character; its beginning, if it is long. */
void conn_log_received(int fd, const char *bytes, size_t length);
void conn_log_datagram(const struct address *peer, const char *bytes, size_t length);

/* By Ctrl-C, whose ^C a terminal shows at the beginning of a line. */
void conn_log_interrupted(void);

#endif
