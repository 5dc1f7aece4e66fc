/* SPDX-License-Identifier: MIT */
/*
 * link.h - two hosts of their own, joined by a cable: network namespaces and a veth pair.
 *
 * Loopback has segments of 64 KiB and no queue.  The cable has Ethernet's frames and, if asked for,
 * a rate: a slow link.  Root may make it, and everybody where the kernel allows user namespaces
 * (user_namespaces(7)); it is set up by iproute2's ip and tc.
 *
 * A child process makes the namespaces and hands sockets of either host out.  They live only as
 * long as it and the sockets do, so nothing stays behind, also after a kill.  Nothing outside of
 * the namespaces is touched.
 */
#ifndef LINK_H
#define LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "net.h"

enum link_host { LINK_TX, LINK_RX };

/* What a link that was idle takes at once before its rate begins to hold, in bytes (tbf's burst). */
enum { LINK_BURST = 4 << 10 };

struct link_ask {
	int64_t mtu;    /* bytes; 0 = 1,500 */
	int64_t rate;   /* of what LINK_TX sends, in bytes a second (tbf); 0 = unlimited */
	bool both_ways; /* of what LINK_RX sends, too, apart */
	int64_t queue;  /* what waits for the rate before it is dropped, in bytes; 0 = 256 KiB */
};

struct link;

/*
 * From the main thread.  NULL if this machine does not allow it or lacks a tool; *why says so then,
 * in words that end a sentence.
 */
struct link *link_open(struct link_ask ask, const char **why);

struct in_addr link_address(enum link_host host);

/* A fresh AF_INET socket of that host; type as of socket(2).  The rest is done as with any. */
int link_socket(struct link *link, enum link_host host, int type);

/*
 * A packet socket (packet(7), SOCK_DGRAM) that gets a copy of every packet that this host sends or gets.
 * -1 where the kernel has none; *why says so, as of link_open().
 */
int link_packets(struct link *link, enum link_host host, const char **why);

/* net_pair() from LINK_TX to LINK_RX; NET_TCP or NET_UDP. */
struct net_pair link_pair(struct link *link, enum net_kind kind, struct net_ask ask);

/*
 * Whether that host has gone: frames to it are addressed to a network card that nobody has, so they
 * arrive nowhere, and nobody says so.
 */
void link_gone(struct link *link, enum link_host host, bool gone);

/*
 * Runs a shell command in that host ("cat /proc/net/snmp", "tc -s qdisc show dev cable"), whose end
 * of the cable is called "cable".  What it printed, at most 64 KiB, until the next call.
 */
const char *link_run(struct link *link, enum link_host host, const char *command);

void link_close(struct link *link);

#endif
