/* SPDX-License-Identifier: MIT */
#include "filling.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "pattern.h"
#include "span.h"

enum { READ = 1 << 20, LOOK_NS = 500000, PATIENCE_NS = 1000000000 };

bool filling_datagrams(enum net_kind kind)
{
	return kind == NET_UDP || kind == NET_UNIX_DGRAM || kind == NET_UNIX_SEQPACKET;
}

void filling_begin(struct filling *f, enum net_kind kind, struct net_pair fd, int64_t write)
{
	*f = (struct filling){.kind = kind, .fd = fd, .write = write, .last = -1};
	f->sndbuf = net_sndbuf(fd.tx);
	f->rcvbuf = net_rcvbuf(fd.rx);
	f->buffer = check_alloc(malloc((size_t)write));
	check_fd(fcntl(fd.tx, F_SETFL, O_NONBLOCK), "fcntl");
	check_fd(fcntl(fd.rx, F_SETFL, O_NONBLOCK), "fcntl");
	if (kind == NET_TCP)
		net_set(fd.rx, IPPROTO_TCP, TCP_NODELAY, 1); /* for hurry() */
}

/* --- filling --------------------------------------------------------------- */

/* Makes the next bytes of the pattern, once for all attempts to write them. */
static void make_next(struct filling *f)
{
	uint64_t number = (uint64_t)(f->accepted / f->write);

	if (f->made)
		return;
	pattern_fill(f->buffer, (size_t)f->write, (uint64_t)f->accepted);
	if (filling_datagrams(f->kind))
		memcpy(f->buffer, &number, sizeof(number));
	f->made = true;
}

/* False for EAGAIN. */
static bool write_next(struct filling *f)
{
	ssize_t n;

	make_next(f);
	n = write(f->fd.tx, f->buffer, (size_t)f->write);
	if (n < 0 && errno != EAGAIN && errno != ENOBUFS)
		err(EXIT_USAGE, "write");
	if (n <= 0)
		return false;
	f->accepted += n;
	f->made = false;
	return true;
}

static int64_t dropped(const struct filling *f)
{
	return f->kind == NET_UDP ? net_memory(f->fd.rx).drops * f->write : 0;
}

/* Writes until nothing more fits for the moment, or the receiver drops; true if anything fitted. */
static bool write_until_full(struct filling *f)
{
	int64_t before = f->accepted;

	while (!run_stopped() && dropped(f) == 0 && write_next(f))
		;
	return f->accepted > before;
}

static void look(struct filling *f)
{
	bool tcp = f->kind == NET_TCP;

	f->inq = filling_datagrams(f->kind) ? 0 : net_inq(f->fd.rx);
	f->outq = tcp ? net_outq(f->fd.tx) : 0;
	f->grown_sndbuf = net_sndbuf(f->fd.tx);
	f->grown_rcvbuf = net_rcvbuf(f->fd.rx);
	f->dropped = dropped(f);
	if (f->kind != NET_PIPE) {
		f->tx = net_memory(f->fd.tx);
		f->rx = net_memory(f->fd.rx);
	}
}

/* What arrived counts in both of TCP's queues until its acknowledgement has come back. */
static bool accounted(struct filling *f)
{
	look(f);
	return f->kind != NET_TCP || f->inq + f->outq == f->accepted;
}

/*
 * A receiver that nobody reads from may delay each acknowledgement by 40 to 200 ms; a small send
 * buffer would take many seconds to fill a large receive buffer.  A byte on the way back takes the
 * acknowledgement along.
 */
static void hurry(struct filling *f)
{
	char byte = 0;

	if (send(f->fd.rx, &byte, 1, 0) < 0 && errno != EAGAIN)
		err(EXIT_USAGE, "send");
	if (recv(f->fd.tx, &byte, 1, 0) < 0 && errno != EAGAIN)
		err(EXIT_USAGE, "recv");
}

/* Whether anything fitted into any of them. */
static bool write_all(struct filling *fillings, size_t n, bool hurried)
{
	bool fitted = false;

	for (size_t i = 0; i < n; i++) {
		if (hurried)
			hurry(&fillings[i]);
		fitted |= write_until_full(&fillings[i]);
	}
	return fitted;
}

/* Writes to all until nothing has fitted for a while; at first as slowly as it likes. */
static void settle(struct filling *fillings, size_t n, int64_t settle_ns)
{
	int64_t begin_ns = span_now();
	int64_t changed_ns = begin_ns;

	while (span_now() < changed_ns + settle_ns && run_sleep_until(span_now() + LOOK_NS))
		if (write_all(fillings, n, span_now() > begin_ns + settle_ns))
			changed_ns = span_now();
}

void filling_fill(struct filling *fillings, size_t n, int64_t settle_ms)
{
	int64_t deadline_ns;

	for (size_t i = 0; i < n; i++) {
		write_until_full(&fillings[i]);
		fillings[i].first_full = fillings[i].accepted - dropped(&fillings[i]);
	}
	if (n > 0 && fillings->kind == NET_TCP)
		settle(fillings, n, settle_ms * 1000000);
	deadline_ns = span_now() + PATIENCE_NS;
	for (size_t i = 0; i < n; i++)
		while (!accounted(&fillings[i]) && span_now() < deadline_ns &&
		       run_sleep_until(span_now() + LOOK_NS))
			;
}

/* --- draining -------------------------------------------------------------- */

/* One read of a stream: at most the rest, compared with its place.  False if there was nothing. */
static bool read_stream(struct filling *f, uint8_t *buffer)
{
	ssize_t n = read(f->fd.rx, buffer, READ);

	if (n < 0 && errno != EAGAIN)
		err(EXIT_USAGE, "read");
	f->ended = n == 0;
	if (n <= 0)
		return false;
	f->misplaced += (int64_t)pattern_misplaced(buffer, (size_t)n, (uint64_t)f->drained);
	f->drained += n;
	return true;
}

/*
 * One datagram: a whole one, a later one than the last, with the bytes of its number.  False when
 * there is none.
 */
static bool read_datagram(struct filling *f, uint8_t *buffer)
{
	int64_t number = -1;
	ssize_t n = recv(f->fd.rx, buffer, READ, 0);

	if (n < 0 && errno != EAGAIN)
		err(EXIT_USAGE, "recv");
	if (n < 0) {
		f->dropped = dropped(f);
		f->ended = filling_missing(f) == 0;
		return false;
	}
	memcpy(&number, buffer, sizeof(number));
	if (n != f->write || number <= f->last)
		f->misplaced += n;
	else
		f->misplaced += (int64_t)pattern_misplaced(
			buffer + sizeof(number), (size_t)n - sizeof(number),
			(uint64_t)(number * f->write) + sizeof(number));
	f->last = number;
	f->drained += n;
	return true;
}

/* Reads what there is; true if there was anything. */
static bool read_until_empty(struct filling *f, uint8_t *buffer)
{
	int64_t before = f->drained;

	while (!f->ended && !run_stopped() &&
	       (filling_datagrams(f->kind) ? read_datagram(f, buffer) : read_stream(f, buffer)))
		;
	return f->drained > before;
}

/* So that the reader of a stream finds its end. */
static void close_sender(struct filling *f)
{
	if (f->kind == NET_PIPE) {
		close(f->fd.tx);
		f->fd.tx = -1;
	} else if (!filling_datagrams(f->kind)) {
		shutdown(f->fd.tx, SHUT_WR);
	}
}

void filling_drain(struct filling *fillings, size_t n)
{
	uint8_t *buffer = check_alloc(malloc(READ));
	int64_t changed_ns = span_now();
	size_t ended = 0;

	for (size_t i = 0; i < n; i++)
		close_sender(&fillings[i]);
	/* by turns, as TCP may be slow to notice that its window is open again */
	while (ended < n && span_now() < changed_ns + 5LL * PATIENCE_NS) {
		ended = 0;
		for (size_t i = 0; i < n; i++) {
			if (read_until_empty(&fillings[i], buffer))
				changed_ns = span_now();
			ended += fillings[i].ended;
		}
		if (ended < n && !run_sleep_until(span_now() + LOOK_NS))
			break;
	}
	free(buffer);
}

int64_t filling_capacity(const struct filling *f)
{
	return (f->kind == NET_UDP ? 0 : f->sndbuf) +
	       (f->kind == NET_UDP || f->kind == NET_TCP ? f->rcvbuf : 0);
}

int64_t filling_missing(const struct filling *f)
{
	return f->accepted - f->drained - f->dropped;
}

void filling_end(struct filling *f)
{
	net_close(&f->fd);
	free(f->buffer);
	f->buffer = NULL;
}
