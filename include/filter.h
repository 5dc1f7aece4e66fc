/* SPDX-License-Identifier: MIT */
/*
 * filter.h - a filter on a socket, which drops or cuts what comes in: a program of classic BPF.
 *
 * Nobody needs root to filter a socket of his own.  But some kernels let only who owns the network
 * namespace filter TCP: then the sockets are made in a namespace of one's own (link.h).
 */
#ifndef FILTER_H
#define FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

#include "link.h"

/* Where TCP can be filtered. */
struct filter_place {
	struct link *own;    /* whose sockets to use; NULL = this process's own will do */
	const char *refused; /* nowhere, and why, in words that end a sentence; NULL = it can */
};

/* Whether this process may filter TCP in the network namespace that it is in. */
bool filter_allowed(void);

/* From the main thread. */
struct filter_place filter_find(void);

/* A fresh AF_INET socket of SOCK_STREAM there, to be joined on 127.0.0.1. */
int filter_socket(const struct filter_place *place);

/*
 * SO_ATTACH_FILTER (socket(7)): the program sees a segment from the TCP header on, a datagram from
 * its UDP header on, and returns how many bytes of it to keep.
 */
void filter_attach(int fd, struct sock_filter *code, size_t length);

void filter_leave(const struct filter_place *place);

#endif
