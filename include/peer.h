/* SPDX-License-Identifier: MIT */
/*
 * peer.h - the other half of an experiment: a thread of this process, or, under --peer, a process on
 * another host that `NAME --serve` started there.
 *
 * main() is the near half.  The far one is a function of the same file, declared in about->halves, that
 * has its own socket and its own clock:
 *
 *	near                                    far: receive(peer)
 *	peer_begin(peer, receive, TEAM_SPREAD);
 *	peer_say(peer, &told, sizeof(told));    peer_hear(peer, &told, sizeof(told));
 *	fd = peer_connect(peer, ...);           fd = peer_accept(peer);
 *	peer_say(peer, NULL, 0);                peer_hear(peer, NULL, 0);
 *	...                                     ...
 *	peer_hear(peer, &saw, sizeof(saw));     peer_say(peer, &saw, sizeof(saw));
 *	peer_end(peer);                         close(fd);
 *
 * What they tell each other goes over a connection beside those that are measured, also within one
 * process.  Times are told as durations: the clocks of two hosts are never compared.  Messages are
 * integers as they are in memory, so hosts whose builds or processors differ are refused.
 *
 * A far half reads the options of its experiment, which are the near one's, and calls what is for any
 * thread (exp.h); run_sham() and what else the near half knows it has to be told.
 *
 * A peer that goes away, or does not answer for 10 s, ends the process with status 2 and one line.
 */
#ifndef PEER_H
#define PEER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "exp.h"
#include "link.h"
#include "net.h"
#include "team.h"

struct peer;

/*
 * Of the near half, before run_next(): connects to the host of --peer and agrees on the version and the
 * options; without --peer the far half will be here.  It lasts as long as the run.
 */
struct peer *peer_open(struct run *run);

/* Whether the far half is on another host. */
bool peer_remote(const struct peer *peer);

/*
 * Starts a function of about->halves over there.  Both halves are placed as a team's members, the caller as
 * member 0, until peer_end(); on another host the far half has all CPUs.
 */
void peer_begin(struct peer *peer, void (*half)(struct peer *peer), enum team_place place);

/* Waits until the far half has returned. */
void peer_end(struct peer *peer);

/*
 * A message of so many bytes, to the other half and from it; 0 is a signal to go on.  Hearing one of
 * another size ends the process: the halves disagree.  Also a run that was stopped is talked to its end: loops
 * end early, and what is said stays the same.
 */
void peer_say(struct peer *peer, const void *message, size_t size);
void peer_hear(struct peer *peer, void *message, size_t size);

/*
 * Of what was heard: the number, if it lies in [least, most]; else ends the process.  For what an index, or
 * the length of the next message, is made of: whoever reaches a served half may say anything.
 */
int64_t peer_within(int64_t number, int64_t least, int64_t most);

/*
 * A pair as of net_pair(), or of link_pair() where there is a cable; between two hosts NET_TCP or NET_UDP.
 * tx is the near half's and rx the far one's, which its peer_accept() returns: in one process the near
 * half has a descriptor of it to look at, on another host -1.  Each half closes what it has got.
 */
struct net_pair peer_connect(struct peer *peer, struct link *cable, enum net_kind kind,
			     struct net_ask ask);
int peer_accept(struct peer *peer);

/* The next connection to a listener of the far half's own: the near half's, no other host's. */
int peer_take(const struct peer *peer, int listener);

/*
 * After a call on a measured socket has failed: ends the process with status 2 and a line, which is that
 * of a peer that has gone, if it has.
 */
_Noreturn void peer_failed(const char *call);

/* Where a half has its own sockets: its address, which the other one reaches. */
struct in_addr peer_here(const struct peer *peer);

#endif
