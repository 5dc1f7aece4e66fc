/* SPDX-License-Identifier: MIT */
#include "filling.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "pattern.h"
#include "span.h"
#include "tcpinfo.h"

enum { READ = 1 << 20, LOOK_NS = 500000, PATIENCE_NS = 1000000000 };
enum { UNDER_WAY = 16 /* datagrams to another host, between two looks at it */ };

/* What the near half wants of the receivers; then it hears what each of them holds. */
enum order { LOOK, HURRY, DRAIN };

bool filling_datagrams(enum net_kind kind)
{
	return kind == NET_UDP || kind == NET_UNIX_DGRAM || kind == NET_UNIX_SEQPACKET;
}

static void do_not_wait(int fd)
{
	check_fd(fcntl(fd, F_SETFL, O_NONBLOCK), "fcntl");
}

/* --- the receiver ------------------------------------------------------------ */

static struct filling_receiver receive_at(int fd, enum net_kind kind, int64_t write)
{
	do_not_wait(fd);
	if (kind == NET_TCP)
		net_set(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* for hurry() */
	return (struct filling_receiver){
		.kind = kind, .fd = fd, .write = write, .held.rcvbuf = net_rcvbuf(fd), .last = -1};
}

static int64_t dropped(const struct filling_receiver *r)
{
	return r->kind == NET_UDP ? net_memory(r->fd).drops * r->write : 0;
}

static void look_at(struct filling_receiver *r)
{
	if (!filling_datagrams(r->kind))
		r->held.inq = net_inq(r->fd);
	if (r->kind != NET_PIPE)
		r->held.memory = net_memory(r->fd);
	r->held.dropped = dropped(r);
}

/*
 * A receiver that nobody reads from may delay each acknowledgement by 40 to 200 ms; a small send
 * buffer would take many seconds to fill a large receive buffer.  A byte on the way back takes the
 * acknowledgement along.
 */
static void hurry(const struct filling_receiver *r)
{
	char byte = 0;

	if (send(r->fd, &byte, 1, 0) < 0 && errno != EAGAIN)
		err(EXIT_USAGE, "send");
}

/* One read of a stream: at most the rest, compared with its place.  False if there was nothing. */
static bool read_stream(struct filling_receiver *r, uint8_t *buffer)
{
	ssize_t n = read(r->fd, buffer, READ);

	if (n < 0 && errno != EAGAIN && errno != ECONNRESET)
		err(EXIT_USAGE, "read");
	r->ended = n == 0 || (n < 0 && errno == ECONNRESET);
	if (n <= 0)
		return false;
	r->held.misplaced +=
		(int64_t)pattern_misplaced(buffer, (size_t)n, (uint64_t)r->held.drained);
	r->held.drained += n;
	return true;
}

/*
 * One datagram: a whole one, a later one than the last, with the bytes of its number.  False when
 * there is none.
 */
static bool read_datagram(struct filling_receiver *r, uint8_t *buffer)
{
	int64_t number = -1;
	ssize_t n = recv(r->fd, buffer, READ, 0);

	if (n < 0 && errno != EAGAIN)
		err(EXIT_USAGE, "recv");
	if (n < 0) {
		r->held.dropped = dropped(r);
		r->ended = r->held.drained + r->held.dropped == r->accepted;
		return false;
	}
	memcpy(&number, buffer, sizeof(number));
	if (n != r->write || number <= r->last)
		r->held.misplaced += n;
	else
		r->held.misplaced += (int64_t)pattern_misplaced(
			buffer + sizeof(number), (size_t)n - sizeof(number),
			(uint64_t)(number * r->write) + sizeof(number));
	r->last = number;
	r->held.drained += n;
	return true;
}

/* Reads what there is; true if there was anything. */
static bool read_until_empty(struct filling_receiver *r, uint8_t *buffer)
{
	int64_t before = r->held.drained;

	while (!r->ended && !run_stopped() &&
	       (filling_datagrams(r->kind) ? read_datagram(r, buffer) : read_stream(r, buffer)))
		;
	return r->held.drained > before;
}

/* By turns, as TCP may be slow to notice that its window is open again. */
static void empty(struct filling_receiver *receivers, size_t n)
{
	uint8_t *buffer = check_alloc(malloc(READ));
	int64_t changed_ns = span_now();
	size_t ended = 0;

	while (ended < n && span_now() < changed_ns + 5LL * PATIENCE_NS) {
		ended = 0;
		for (size_t i = 0; i < n; i++) {
			if (read_until_empty(&receivers[i], buffer))
				changed_ns = span_now();
			ended += receivers[i].ended;
		}
		if (ended < n && !run_sleep_until(span_now() + LOOK_NS))
			break;
	}
	free(buffer);
}

static void obey(struct filling_receiver *receivers, size_t n, enum order order)
{
	if (order == DRAIN) {
		empty(receivers, n);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (order == HURRY && receivers[i].kind == NET_TCP)
			hurry(&receivers[i]);
		look_at(&receivers[i]);
	}
}

/* --- the receivers of the far half ------------------------------------------- */

struct wish {
	int64_t kind, write;
};

void filling_accept(struct filling_receiver *receiver, struct peer *near)
{
	struct wish wish;

	peer_hear(near, &wish, sizeof(wish));
	*receiver = receive_at(peer_accept(near), (enum net_kind)wish.kind, wish.write);
	peer_say(near, &receiver->held, sizeof(receiver->held));
}

static void say_held(struct peer *near, const struct filling_receiver *receivers, size_t n)
{
	struct filling_held *held = check_alloc(calloc(n, sizeof(*held)));

	for (size_t i = 0; i < n; i++)
		held[i] = receivers[i].held;
	peer_say(near, held, n * sizeof(*held));
	free(held);
}

void filling_answer(struct peer *near, struct filling_receiver *receivers, size_t n)
{
	int64_t order;

	peer_hear(near, &order, sizeof(order));
	while (order != DRAIN) {
		obey(receivers, n, (enum order)order);
		say_held(near, receivers, n);
		peer_hear(near, &order, sizeof(order));
	}
}

void filling_empty(struct peer *near, struct filling_receiver *receivers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		peer_hear(near, &receivers[i].accepted, sizeof(receivers[i].accepted));
	obey(receivers, n, DRAIN);
	say_held(near, receivers, n);
	for (size_t i = 0; i < n; i++)
		close(receivers[i].fd);
}

/* --- the receivers, as the near half sees them ------------------------------- */

static void take(struct filling *f, const struct filling_held *held)
{
	f->inq = held->inq;
	f->rx = held->memory;
	f->dropped = held->dropped;
	f->drained = held->drained;
	f->misplaced = held->misplaced;
}

static void order_far(struct filling *fillings, size_t n, enum order order)
{
	struct filling_held *held = check_alloc(calloc(n, sizeof(*held)));
	struct peer *far = fillings->far;
	int64_t said = order;

	peer_say(far, &said, sizeof(said));
	for (size_t i = 0; order == DRAIN && i < n; i++)
		peer_say(far, &fillings[i].accepted, sizeof(fillings[i].accepted));
	peer_hear(far, held, n * sizeof(*held));
	for (size_t i = 0; i < n; i++)
		take(&fillings[i], &held[i]);
	free(held);
}

static void order_here(struct filling *fillings, size_t n, enum order order)
{
	struct filling_receiver *receivers = check_alloc(calloc(n, sizeof(*receivers)));

	for (size_t i = 0; i < n; i++) {
		receivers[i] = fillings[i].receiver;
		receivers[i].accepted = fillings[i].accepted;
	}
	obey(receivers, n, order);
	for (size_t i = 0; i < n; i++) {
		fillings[i].receiver = receivers[i];
		take(&fillings[i], &receivers[i].held);
	}
	free(receivers);
}

static void give_order(struct filling *fillings, size_t n, enum order order)
{
	if (n == 0)
		return;
	if (fillings->far)
		order_far(fillings, n, order);
	else
		order_here(fillings, n, order);
}

/* --- filling --------------------------------------------------------------- */

static struct filling fill_from(enum net_kind kind, struct net_pair fd, int64_t write)
{
	do_not_wait(fd.tx);
	return (struct filling){.kind = kind,
				.fd = fd,
				.write = write,
				.sndbuf = net_sndbuf(fd.tx),
				.buffer = check_alloc(malloc((size_t)write))};
}

void filling_begin(struct filling *f, enum net_kind kind, struct net_pair fd, int64_t write)
{
	*f = fill_from(kind, fd, write);
	f->receiver = receive_at(fd.rx, kind, write);
	f->rcvbuf = f->receiver.held.rcvbuf;
}

void filling_connect(struct filling *f, struct peer *far, struct link *cable, enum net_kind kind,
		     struct net_ask ask, int64_t write)
{
	struct wish wish = {kind, write};
	struct filling_held held;
	struct net_pair fd;

	peer_say(far, &wish, sizeof(wish));
	fd = peer_connect(far, cable, kind, ask);
	peer_hear(far, &held, sizeof(held));
	if (fd.rx >= 0)
		close(fd.rx); /* the far half has it */
	fd.rx = -1;
	*f = fill_from(kind, fd, write);
	f->far = far;
	f->rcvbuf = held.rcvbuf;
}

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

/* False for EAGAIN, which of UDP is a queue of the network's that will be sent. */
static bool write_next(struct filling *f)
{
	ssize_t n;

	make_next(f);
	do
		n = write(f->fd.tx, f->buffer, (size_t)f->write);
	while (n < 0 && errno == EAGAIN && f->kind == NET_UDP &&
	       run_wait_fd(f->fd.tx, POLLOUT, span_now() + PATIENCE_NS));
	f->refused = n < 0 && errno == EMSGSIZE;
	if (n < 0 && errno != EAGAIN && errno != ENOBUFS && !f->refused)
		err(EXIT_USAGE, "write");
	if (n <= 0)
		return false;
	f->accepted += n;
	f->made = false;
	return true;
}

/* Whether UDP has dropped what did not fit. */
static bool drops(struct filling *f)
{
	bool often = !f->far || !peer_remote(f->far);

	if (f->kind == NET_UDP && (often || f->accepted / f->write % UNDER_WAY == 0))
		give_order(f, 1, LOOK);
	return f->dropped > 0;
}

/* Writes until nothing more fits for the moment, or the receiver drops; true if anything fitted. */
static bool write_until_full(struct filling *f)
{
	int64_t before = f->accepted;

	while (!run_stopped() && !drops(f) && write_next(f))
		;
	return f->accepted > before;
}

/* Whether anything fitted into any of them. */
static bool write_all(struct filling *fillings, size_t n)
{
	bool fitted = false;

	for (size_t i = 0; i < n; i++)
		fitted |= write_until_full(&fillings[i]);
	return fitted;
}

/* What the receivers hold; what came back to hurry acknowledgements is thrown away. */
static int64_t arrived(struct filling *fillings, size_t n, bool hurried)
{
	char bytes[64];
	int64_t sum = 0;

	give_order(fillings, n, hurried ? HURRY : LOOK);
	for (size_t i = 0; i < n; i++) {
		sum += fillings[i].inq;
		if (hurried)
			net_recv_now(fillings[i].fd.tx, bytes, sizeof(bytes));
	}
	return sum;
}

/* How long TCP itself may be silent before it sends a segment again that a network has lost. */
static int64_t longest_silence(const struct filling *fillings, size_t n)
{
	int64_t longest_ns = 0;

	if (!fillings->far || !peer_remote(fillings->far))
		return 0;
	for (size_t i = 0; i < n; i++) {
		struct tcpinfo info = tcpinfo_read(fillings[i].fd.tx);

		if (info.unacked > 0 && info.rto > longest_ns)
			longest_ns = info.rto;
	}
	return longest_ns;
}

/*
 * Writes to all until nothing has fitted, nor arrived, for a while; at first as slowly as it likes.
 */
static void settle(struct filling *fillings, size_t n, int64_t settle_ns)
{
	int64_t begin_ns = span_now();
	int64_t changed_ns = begin_ns;
	int64_t held = 0;

	while (span_now() < changed_ns + settle_ns + longest_silence(fillings, n) &&
	       run_sleep_until(span_now() + LOOK_NS)) {
		int64_t before = held;

		held = arrived(fillings, n, span_now() > begin_ns + settle_ns);
		if (write_all(fillings, n) || held != before)
			changed_ns = span_now();
	}
}

/* What arrived counts in both of TCP's queues until its acknowledgement has come back. */
static bool accounted(struct filling *fillings, size_t n)
{
	bool all = true;

	give_order(fillings, n, LOOK);
	for (size_t i = 0; i < n; i++) {
		struct filling *f = &fillings[i];

		f->outq = f->kind == NET_TCP ? net_outq(f->fd.tx) : 0;
		f->grown_sndbuf = net_sndbuf(f->fd.tx);
		if (f->kind != NET_PIPE)
			f->tx = net_memory(f->fd.tx);
		all &= f->kind != NET_TCP || f->inq + f->outq == f->accepted;
	}
	return all;
}

void filling_fill(struct filling *fillings, size_t n, int64_t settle_ms)
{
	int64_t deadline_ns;

	for (size_t i = 0; i < n; i++) {
		write_until_full(&fillings[i]);
		fillings[i].first_full = fillings[i].accepted - fillings[i].dropped;
	}
	if (n > 0 && fillings->kind == NET_TCP)
		settle(fillings, n, settle_ms * 1000000);
	deadline_ns = span_now() + PATIENCE_NS;
	while (!accounted(fillings, n) && span_now() < deadline_ns &&
	       run_sleep_until(span_now() + LOOK_NS))
		;
}

/* --- draining -------------------------------------------------------------- */

/* So that the reader of a stream finds its end. */
static void close_sender(struct filling *f)
{
	if (f->kind == NET_TCP && run_stopped()) {
		net_reset(f->fd.tx);
		f->fd.tx = -1;
	} else if (f->kind == NET_PIPE) {
		close(f->fd.tx);
		f->fd.tx = -1;
	} else if (!filling_datagrams(f->kind)) {
		shutdown(f->fd.tx, SHUT_WR);
	}
}

void filling_drain(struct filling *fillings, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close_sender(&fillings[i]);
	give_order(fillings, n, DRAIN);
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
