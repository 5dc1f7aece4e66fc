/* SPDX-License-Identifier: MIT */
/*
 * conn_log.h - what --verbose prints to stdout: connections, what is received, and closes.
 *
 * To be called under --verbose only, after conn_log_begin().
 */
#ifndef CONN_LOG_H
#define CONN_LOG_H

#include <stddef.h>

#include "address.h"

/*
 * The table of the addresses of all peers, by descriptor.  They are kept because getpeername(2) of
 * a connection that was reset fails.
 */
void conn_log_begin(struct address *table);

void conn_log_connected(int fd, const struct address *peer);
void conn_log_closed(int fd);

/* Without line breaks, and with a dot for each control character. */
void conn_log_received(int fd, const char *bytes, size_t length);
void conn_log_datagram(const struct address *peer, const char *bytes, size_t length);

#endif
