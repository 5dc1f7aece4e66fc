/* SPDX-License-Identifier: MIT */
/*
 * answer.h - what the two halves of conn.h know of each other: answer.c has what an echo is, conn.c
 * who is connected.  Models include conn.h only.
 */
#ifndef ANSWER_H
#define ANSWER_H

#include <netinet/in.h>

#include "conn.h"

/* Once, before the others; where the rules are from then on. */
void answer_begin(const struct conn_rules *all);
extern struct conn_rules rules;

/* The greeting is all that it will be told; false if there is no memory. */
bool answer_greet(struct conn *conn);

/* Forgets what waits for the peer, and what there is of a line. */
void answer_drop(struct conn *conn);

/* With --verbose; the format has one %s, the address of the peer. */
void answer_log(const struct conn *conn, const char *format);

/* Under --verbose: its address, which a peer that has reset the connection has not any more. */
const struct sockaddr_in *conn_peer(const struct conn *conn);

/* The clock of conn->seen_ms. */
uint32_t answer_now_ms(void);

#endif
