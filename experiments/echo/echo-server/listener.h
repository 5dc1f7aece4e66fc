/* SPDX-License-Identifier: MIT */
/*
 * listener.h - the sockets the server is reached at.
 */
#ifndef LISTENER_H
#define LISTENER_H

#include <stdbool.h>

#include "address.h"

/*
 * A bound socket of this type, listening if it is SOCK_STREAM; share: with SO_REUSEPORT.  One of [::]
 * is reached by IPv4 as well.  Ends the process with status 2 and one line if the address is not to be
 * had.
 */
int listener_open(int type, const struct address *address, int backlog, bool share);

/* More sockets may be opened on the same port from now on (SO_REUSEPORT). */
void listener_share(int fd);

#endif
