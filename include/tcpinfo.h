/* SPDX-License-Identifier: MIT */
/*
 * tcpinfo.h - what TCP says of itself: what was sent, how long something waited, and for what.
 */
#ifndef TCPINFO_H
#define TCPINFO_H

#include <stdint.h>

/*
 * TCP_INFO (Linux 4.10): clocks in ns, which count in kernel ticks (span_tick()), and counts, both
 * since the connection began.  The two limits are parts of busy; what is left of it was the
 * network's.
 */
struct tcpinfo {
	int64_t busy;           /* something was sent and not acknowledged, or waited to be sent */
	int64_t rwnd_limited;   /* of that: the peer's receive window was full */
	int64_t sndbuf_limited; /* of that: the send buffer was empty though the window had room */
	int64_t backoff; /* doublings of the timer for window probes and retransmissions, now */
	int64_t state;   /* TCP_ESTABLISHED, TCP_SYN_SENT ... of <netinet/tcp.h> */
	int64_t rtt;     /* smoothed round trip, ns */
	int64_t min_rtt; /* the shortest one of late, ns */
	int64_t cwnd;    /* congestion window, in segments of mss bytes */
	int64_t mss;
	int64_t retransmits;       /* segments sent again so far */
	int64_t segs_out, segs_in; /* all segments, pure acknowledgements too */
	int64_t data_out, data_in; /* segments with data */
	int64_t acked;             /* bytes that the peer has acknowledged */
	int64_t unacked;           /* segments under way: sent and not acknowledged yet */
	int64_t rto;               /* after so long these are sent again, ns */
};

/* Ends the process with status 2 if fd is no TCP socket. */
struct tcpinfo tcpinfo_read(int fd);

#endif
