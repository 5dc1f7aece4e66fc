/* SPDX-License-Identifier: MIT */
/*
 * listener.h - the sockets the server is reached at.
 */
#ifndef LISTENER_H
#define LISTENER_H

#include <netinet/in.h>
#include <stdbool.h>

/*
 * A bound socket of this type, listening if it is SOCK_STREAM; share: with SO_REUSEPORT.  Ends the
 * process with status 2 and one line if the address is not to be had.
 */
int listener_open(int type, const struct sockaddr_in *address, int backlog, bool share);

/* More sockets may be opened on the same port from now on (SO_REUSEPORT). */
void listener_share(int fd);

struct sockaddr_in listener_address(int fd);

#endif
