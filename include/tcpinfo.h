/* SPDX-License-Identifier: MIT */
/*
 * tcpinfo.h - what TCP says of itself: how long something waited to be sent, and for what.
 */
#ifndef TCPINFO_H
#define TCPINFO_H

#include <stdint.h>

/*
 * TCP_INFO's clocks in ns since the connection began (Linux 4.10; they count in kernel ticks, see
 * span_tick()).  The two limits are parts of busy; what is left of it was the network's.
 */
struct tcpinfo {
	int64_t busy;           /* something was sent and not acknowledged, or waited to be sent */
	int64_t rwnd_limited;   /* of that: the peer's receive window was full */
	int64_t sndbuf_limited; /* of that: the send buffer was empty though the window had room */
	int64_t backoff; /* doublings of the timer for window probes and retransmissions, now */
};

/* Ends the process with status 2 if fd is no TCP socket. */
struct tcpinfo tcpinfo_read(int fd);

#endif
