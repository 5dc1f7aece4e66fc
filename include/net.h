/* SPDX-License-Identifier: MIT */
/*
 * net.h - sockets of this machine, connected pairs of them, and what their buffers hold.
 *
 * Everything here ends the process with status 2 if the environment refuses it.
 */
#ifndef NET_H
#define NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum net_kind {
	NET_TCP,
	NET_UNIX_STREAM,
	NET_UNIX_DGRAM,
	NET_UDP,
	NET_PIPE,
	NET_UNIX_SEQPACKET, /* a connection that keeps messages apart */
	NET_KINDS
};

struct net_pair {
	int tx, rx; /* what is written to tx is read from rx */
};

/* What to ask for before the pair is connected. */
struct net_ask {
	int64_t sndbuf,
		rcvbuf; /* SO_SNDBUF of tx and SO_RCVBUF of rx in bytes; 0 = leave the default */
	const char *congestion; /* TCP_CONGESTION of tx; NULL = the system's */
};

/* Asks for all of it at one socket, before it is connected. */
void net_prepare(int fd, struct net_ask ask);

/*
 * TCP and UDP go over 127.0.0.1; AF_UNIX pairs have no name.  The receive buffer is set before
 * connect, because TCP agrees on the window's scale then (tcp(7)).  A pipe has one buffer:
 * sndbuf; where a socket is granted less than it asks for, a pipe is refused and keeps its size.
 */
struct net_pair net_pair(enum net_kind kind, struct net_ask ask);

/*
 * The same of two fresh AF_INET sockets of the caller's, both TCP or both UDP, which it takes over:
 * rx is bound to a free port of this address.
 */
struct net_pair net_join(int tx, int rx, struct in_addr address, struct net_ask ask);

/*
 * AF_UNIX datagram sockets of which only tx is connected: rx has a name, made up by the kernel: no file.
 * Its queue is limited in messages, too; that of a pair whose ends are both connected is not.
 */
struct net_pair net_unix_bound(struct net_ask ask);

void net_close(struct net_pair *pair);

/*
 * The parts of a pair, on 127.0.0.1: a socket bound to a free port (SOCK_STREAM, SOCK_DGRAM and
 * SOCK_NONBLOCK as of socket(2)), one that listens there, one connected to it, one accepted.
 */
int net_bound(int type, struct sockaddr_in *where);
int net_listen(int backlog, struct sockaddr_in *where);
int net_connect(const struct sockaddr_in *where);
int net_accept(int listener);

/* Binds an AF_INET socket to a free port of this address; *where is which. */
void net_bind(int fd, struct in_addr address, struct sockaddr_in *where);

/* A fresh AF_INET socket, not bound; type as of socket(2). */
int net_socket(int type);

/* The address and port that an AF_INET socket has here (getsockname). */
struct sockaddr_in net_name(int fd);

/* Closes with a reset: what was not sent or read is gone, and no TIME_WAIT keeps the port. */
void net_reset(int fd);

/*
 * A listener that answers no SYN, because its queue is full: a connect to it waits.  Those that fill
 * it are to be closed, too.
 */
enum { NET_FILLERS = 4 };
int net_silent(struct sockaddr_in *where, int fillers[NET_FILLERS]);

/* send(2) and recv(2) that do not wait: -1 if there is no room, or nothing to read, now. */
ssize_t net_send_now(int fd, const void *bytes, size_t length);
ssize_t net_recv_now(int fd, void *buffer, size_t size);

/*
 * Memory to receive into, of a multiple of a page's bytes and from the beginning of one; for free(3); NULL = there
 * is none.  The kernel copies what came from its own pages, and where the target begins a little further in its page
 * than the source, AMD's Zen copies at a fraction of its rate (glibc's bug 30994): malloc(3) returns such a place.
 */
void *net_buffer(size_t size);

/* After such a call has failed: returns if the other end has closed the connection, else ends the process. */
void net_must_be_closed(const char *call);

/*
 * Whether a line of "/proc/net/tcp", "/proc/net/udp6" ... has this local port, in this state of
 * <netinet/tcp.h>.  False where there is no such file.
 */
bool net_port_listed(const char *path, unsigned long port, unsigned long state);

/* setsockopt of an int, which must be allowed; SO_RCVTIMEO or SO_SNDTIMEO of so many ms. */
void net_set(int fd, int level, int option, int value);
void net_set_timeout(int fd, int option, int64_t ms);

/* getsockopt SO_SNDBUF, SO_RCVBUF in bytes: what the kernel granted; for a pipe its size. */
int64_t net_sndbuf(int fd);
int64_t net_rcvbuf(int fd);

/*
 * The i-th of n buffer sizes (n > 1) from least to most bytes, each the same multiple of the one
 * before, in whole KiB: for a grid.
 */
int64_t net_grid_size(int64_t least, int64_t most, int64_t i, int64_t n);

/* SIOCOUTQ in bytes: of TCP what is not sent or not acknowledged yet (tcp(7)). */
int64_t net_outq(int fd);

/* SIOCINQ in bytes: what can be read; of a datagram socket the first datagram only (udp(7)). */
int64_t net_inq(int fd);

/* What the buffers of a socket are charged with, in bytes, book-keeping included (SO_MEMINFO). */
struct net_memory {
	int64_t receive; /* SK_MEMINFO_RMEM_ALLOC */
	int64_t send;    /* SK_MEMINFO_WMEM_QUEUED of TCP, SK_MEMINFO_WMEM_ALLOC of others */
	int64_t drops;   /* SK_MEMINFO_DROPS: datagrams dropped for want of room, a count */
};

struct net_memory net_memory(int fd);

#endif
