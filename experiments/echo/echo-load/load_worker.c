/* SPDX-License-Identifier: MIT */
/*
 * A worker of the load generator: one thread, one epoll loop, its share of the connections.
 *
 * A request costs one send, one recv and a share of an epoll_wait.  Connections are watched
 * edge-triggered for all events from the beginning, so that epoll_ctl is called once; and a recv
 * that returns less than the buffer's size has returned all there is, so that no recv ends in
 * EAGAIN.
 *
 * All connections send the same endless stream, each from an offset of its own: bytes that repeat
 * after a prime number, so that lost, doubled, or another connection's bytes do not match.  An
 * answer is verified by memcmp with that stream.
 */
#include <err.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "load.h"
#include "net.h"
#include "pattern.h"
#include "rng.h"
#include "thread.h"

enum {
	PERIOD = 65521,       /* of the stream: a prime */
	READ_SIZE = 64 << 10, /* of one recv */
	EVENTS = 256,
	SOURCES = 4096,   /* addresses of 127/8 that connections are bound to */
	WORKER_BITS = 16, /* of a worker's number: MAX_THREADS * MAX_PROCESSES are not more */
	CONNECT_S = 10,   /* to open a connection before the start */
	ANSWER_S = 30,    /* that a warm-up with turns waits for an answer, at least */
};

struct request {
	int64_t due_ns;
	uint32_t size, left; /* bytes of the answer: all, and those still missing */
	bool wrong;
};

/* A connection. */
struct link {
	int fd;                     /* -1 = closed */
	bool idle;                  /* it never sends */
	bool served;                /* it received an answer */
	uint32_t write_at, read_at; /* in the stream */
	int64_t unsent;             /* bytes of requests that do not fit into the send buffer */
	struct request *requests;   /* a ring of plan->pipeline, sent or to be sent, unanswered */
	int64_t first, waiting;
};

/* When requests are due.  Their numbers are apart, so that these depend neither on sizes nor on answers. */
struct arrivals {
	struct rng rng;
	double number; /* of mean distances since the first */
	int64_t due_ns;
};

struct worker {
	const struct load_plan *plan;
	struct load_window *window;
	struct load_tally *tally;
	int64_t number;
	struct rng sizes;
	int epoll;

	struct link *links; /* the active ones first */
	int64_t active, idle;
	int64_t live;    /* active connections that can be used */
	int64_t waiting; /* requests of all of them */
	int64_t opened;

	/*
	 * Of the open loop, and of a closed one with turns: a ring of connections with room for a
	 * request, of which the first one waits longest.
	 */
	struct link **free;
	int64_t free_first, free_n;
	struct arrivals due;  /* open loop: the next request to be sent */
	struct arrivals seen; /* the next one that is not yet due, as far as this thread has seen */
	bool could_send;      /* it had a free connection when it last waited */
	int64_t turns;        /* connections with requests at a time; 0 = all, without a ring */
	bool asks_all;        /* it warms up with turns: until all were asked and have answered */
	int64_t unasked;      /* connections that are still to be asked then */
	int64_t answered_ns;  /* the last answer */

	int64_t count_ns; /* requests that were due from then on count */
	int64_t end_ns;
	int64_t ready_ns; /* of the last window: for so long it had no CPU */
	char *buffer;     /* of READ_SIZE */
};

/* The stream, and its beginning again, so that any request is contiguous. */
static char *stream;
static size_t stream_size;

void load_prepare(const struct load_plan *plan)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz .,:-!";
	int64_t longest = READ_SIZE;

	for (int i = 0; i < plan->sizes.n; i++)
		if (plan->sizes.range[i].high > longest)
			longest = plan->sizes.range[i].high;
	stream_size = PERIOD + (size_t)longest;
	stream = child_share(stream_size);
	pattern_fill(stream, PERIOD, 0);
	for (size_t i = 0; plan->text && i < PERIOD; i++)
		stream[i] = letters[(uint8_t)stream[i] % (sizeof(letters) - 1)];
	for (size_t i = PERIOD; i < stream_size; i++)
		stream[i] = stream[i - PERIOD];
}

static void *allocate(int64_t n, size_t size)
{
	return check_alloc(calloc((size_t)n + 1, size));
}

static int64_t earliest(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t latest(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Adds to a count of this worker. */
static void count(struct worker *w, enum load_count which, int64_t more)
{
	histogram_bump(&w->tally->count[which], more);
}

/* --- times and sizes --------------------------------------------------------- */

static uint32_t draw_size(struct worker *w)
{
	const struct load_sizes *sizes = &w->plan->sizes;
	int i = 0;
	int64_t place;

	if (sizes->n > 1) {
		place = (int64_t)rng_below(&w->sizes, (size_t)sizes->weight);
		while (place >= sizes->range[i].weight)
			place -= sizes->range[i++].weight;
	}
	if (sizes->range[i].low == sizes->range[i].high)
		return (uint32_t)sizes->range[i].low;
	place = (int64_t)rng_below(&w->sizes,
				   (size_t)(sizes->range[i].high - sizes->range[i].low + 1));
	return (uint32_t)(sizes->range[i].low + place);
}

/* Exponential distances in each worker make Poisson arrivals of all together. */
static void next_due(const struct worker *w, struct arrivals *arrivals)
{
	const struct load_plan *plan = w->plan;
	double mean_ns = 1e9 * (double)plan->workers / (double)plan->rate;

	arrivals->number += plan->fixed ? 1 : -log(rng_uniform(&arrivals->rng));
	arrivals->due_ns =
		atomic_load(&w->window->begin_ns) + (int64_t)(arrivals->number * mean_ns);
}

/* Fixed ones come one after the other, from all workers of all generators. */
static void first_due(struct worker *w)
{
	double turn = (double)atomic_load(&w->window->generator) /
		      (double)atomic_load(&w->window->generators);

	w->due.number = ((double)w->number + turn) / (double)w->plan->workers - 1;
	if (!w->plan->fixed)
		w->due.number = 0;
	next_due(w, &w->due);
	w->seen = w->due;
	w->could_send = true;
}

/* --- connections ------------------------------------------------------------- */

static enum load_count kind_of(int error)
{
	switch (error) {
	case 0:
		return LOAD_CLOSED;
	case ECONNREFUSED:
		return LOAD_REFUSED;
	case ECONNRESET:
	case EPIPE:
		return LOAD_RESET;
	case ETIMEDOUT:
		return LOAD_TIMED_OUT;
	case EADDRNOTAVAIL:
		return LOAD_NO_PORT;
	default:
		return LOAD_OTHER;
	}
}

/*
 * A socket to connect.  On 127/8 each is bound to the next of many addresses: an address has
 * a limited number of ports, and those of closed connections are in TIME_WAIT for a minute.
 */
static int new_socket(struct worker *w, int flags)
{
	const int on = 1;
	int64_t number = w->opened++ * w->plan->workers + w->number;
	struct sockaddr_in from = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(0x7f010001 + number % SOURCES)};
	const struct address *server = &w->plan->server;
	int fd = socket(server->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	if (fd < 0)
		err(EXIT_USAGE, "socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (server->any.sa_family == AF_INET &&
	    ntohl(server->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET) {
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
		check_fd(bind(fd, (struct sockaddr *)&from, sizeof(from)), "bind");
	}
	return fd;
}

static int connect_to(const struct worker *w, int fd)
{
	return connect(fd, &w->plan->server.any, w->plan->server.size);
}

static void watch(struct worker *w, struct link *link)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
				    .data.ptr = link};

	check_fd(epoll_ctl(w->epoll, EPOLL_CTL_ADD, link->fd, &event), "epoll_ctl");
}

static void attach(struct worker *w, struct link *link, int fd)
{
	link->fd = fd;
	count(w, LOAD_OPEN, 1);
	link->read_at = link->write_at =
		(uint32_t)((w->opened * w->plan->workers + w->number) * 8191 % PERIOD);
	watch(w, link);
}

/* Before the start: waits until it is open.  0 or an errno. */
static int open_link(struct worker *w, struct link *link)
{
	const struct timeval limit = {.tv_sec = CONNECT_S};
	int fd = new_socket(w, 0);

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect_to(w, fd) != 0) {
		int error = errno == EINPROGRESS ? ETIMEDOUT : errno;

		close(fd);
		return error;
	}
	attach(w, link, fd);
	return 0;
}

static void close_link(struct worker *w, struct link *link)
{
	close(link->fd); /* which removes it from the epoll instance */
	link->fd = -1;
	count(w, LOAD_OPEN, -1);
}

/*
 * The request is in the histogram with a latency until the window's end, at least: that its
 * connection was lost early is no short latency.
 */
static void count_unanswered(struct worker *w, int64_t due_ns, int64_t now)
{
	if (now < w->count_ns)
		return; /* in the warm-up; what is still unanswered at the start counts */
	count(w, LOAD_UNANSWERED, 1);
	histogram_add(&w->tally->latency, (now > w->end_ns ? now : w->end_ns) - due_ns);
}

static void drop_requests(struct worker *w, struct link *link, int64_t now)
{
	for (int64_t i = 0; i < link->waiting; i++)
		count_unanswered(w, link->requests[(link->first + i) % w->plan->pipeline].due_ns,
				 now);
	w->waiting -= link->waiting;
	link->waiting = 0;
	link->unsent = 0;
}

/* It has no connection left.  Its requests stay due while other workers have connections. */
static void lost_all(struct worker *w)
{
	uint64_t one = 1;

	if (atomic_fetch_sub(&w->window->workers, 1) > 1)
		return;
	atomic_store(&w->window->end_ns, span_now()); /* no worker has one */
	check_fd((int)write(w->plan->stop, &one, sizeof(one)), "eventfd");
}

/* The connection failed: error is an errno, or 0 if the server closed it. */
static void lose(struct worker *w, struct link *link, int error)
{
	int64_t live = w->live;

	count(w, kind_of(error), 1);
	atomic_store(&w->tally->last_error, error);
	close_link(w, link);
	if (w->plan->churn && (error == ECONNREFUSED || error == EADDRNOTAVAIL))
		w->live = 0; /* the server listens no longer, or no port is left */
	else if (!w->plan->churn && !link->idle)
		w->live--;
	if (live && !w->live)
		lost_all(w);
	w->end_ns = earliest(w->end_ns, atomic_load(&w->window->end_ns));
	drop_requests(w, link, span_now());
}

/* --- sending ----------------------------------------------------------------- */

static void flush(struct worker *w, struct link *link)
{
	while (link->unsent > 0) {
		size_t length = stream_size - link->write_at;
		ssize_t n;

		if ((int64_t)length > link->unsent)
			length = (size_t)link->unsent;
		n = send(link->fd, stream + link->write_at, length, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			lose(w, link, errno);
		if (n < 0)
			return;
		link->unsent -= n;
		link->write_at = (link->write_at + (size_t)n) % PERIOD;
	}
}

/*
 * With --churn: a connection for the next request, which is sent once it is established.  False if
 * no port is left.
 */
static bool reopen(struct worker *w, struct link *link)
{
	int fd = new_socket(w, SOCK_NONBLOCK);
	int error = connect_to(w, fd) == 0 || errno == EINPROGRESS ? 0 : errno;

	if (error && error != EADDRNOTAVAIL)
		err(EXIT_USAGE, "connect"); /* no route: this machine's limits */
	attach(w, link, fd);
	if (error)
		lose(w, link, error);
	return !error;
}

static void add_request(struct worker *w, struct link *link, int64_t due_ns)
{
	uint32_t size = draw_size(w);
	int64_t last = link->first + link->waiting;

	if (last >= w->plan->pipeline)
		last -= w->plan->pipeline;
	link->requests[last] = (struct request){due_ns, size, size, false};
	link->waiting++;
	w->waiting++;
	link->unsent += size;
}

/* Closed loop: as many requests as may be under way, sent together. */
static void refill(struct worker *w, struct link *link, int64_t now)
{
	if (link->waiting == w->plan->pipeline || !w->live)
		return;
	if (link->fd < 0 && !reopen(w, link))
		return;
	while (link->waiting < w->plan->pipeline)
		add_request(w, link, now);
	flush(w, link);
}

static void now_free(struct worker *w, struct link *link)
{
	if (w->plan->churn || link->fd >= 0)
		w->free[(w->free_first + w->free_n++) % w->active] = link;
}

static struct link *take_free(struct worker *w)
{
	struct link *link = w->free[w->free_first];

	w->free_first = (w->free_first + 1) % w->active;
	w->free_n--;
	return link;
}

/* Closed loop with turns: the turn of the connection that waits longest. */
static void next_turn(struct worker *w, int64_t now)
{
	bool sent = false;

	while (!sent && w->free_n > 0 && w->live) {
		struct link *link = take_free(w);

		if (w->unasked > 0)
			w->unasked--;
		if (link->fd < 0 && !w->plan->churn)
			continue; /* lost meanwhile */
		refill(w, link, now);
		sent = link->waiting > 0;
	}
}

/*
 * Counts how late this thread is to see what has become due: its own lateness, as it would have sent that
 * before.  Without a free connection it slept rightly.
 */
static void see_due(struct worker *w, int64_t now)
{
	for (; w->seen.due_ns <= now && w->seen.due_ns < w->end_ns; next_due(w, &w->seen)) {
		int64_t late_ns = now - w->seen.due_ns;

		if (!w->could_send || w->seen.due_ns < w->count_ns)
			continue;
		count(w, LOAD_LATE_NS, late_ns);
		count(w, LOAD_LATE_SENDS, late_ns > load_late_ns);
	}
}

/* Open loop: sends all that is due, as far as connections are free. */
static void dispatch(struct worker *w, int64_t now)
{
	while (w->due.due_ns <= now && w->due.due_ns < w->end_ns && w->free_n > 0 && w->live) {
		struct link *link = take_free(w);

		if (link->fd < 0 && !w->plan->churn)
			continue; /* lost meanwhile */
		if (link->fd < 0 && !reopen(w, link))
			return;
		add_request(w, link, w->due.due_ns);
		next_due(w, &w->due);
		flush(w, link);
		if (link->waiting < w->plan->pipeline)
			now_free(w, link);
	}
}

/* --- receiving --------------------------------------------------------------- */

static void found_wrong(struct worker *w, const char *bytes, const char *right, size_t length)
{
	int64_t wrong = 0;

	for (size_t i = 0; i < length; i++)
		wrong += bytes[i] != right[i];
	count(w, LOAD_WRONG_BYTES, wrong);
}

static void answered(struct worker *w, struct link *link, const struct request *request,
		     int64_t now)
{
	if (request->wrong)
		count(w, LOAD_WRONG, 1);
	if (request->due_ns >= w->count_ns) {
		histogram_add(&w->tally->latency, now - request->due_ns);
		if (now <= w->end_ns) {
			count(w, LOAD_IN_WINDOW, 1);
			count(w, LOAD_BYTES, request->size);
		}
	}
	if (!link->served && !w->plan->churn) {
		link->served = true;
		count(w, LOAD_SERVED, 1);
	}
	w->answered_ns = now;
	w->waiting--;
	link->waiting--;
	if (++link->first == w->plan->pipeline)
		link->first = 0;
}

/* What was received answers the oldest requests; more bytes than requested are wrong, too. */
static void match_answers(struct worker *w, struct link *link, const char *bytes, size_t length,
			  int64_t now)
{
	while (length > 0 && link->waiting > 0) {
		struct request *request = &link->requests[link->first];
		const char *right = stream + link->read_at;
		size_t part = length < request->left ? length : request->left;

		if (memcmp(bytes, right, part) != 0) {
			request->wrong = true;
			found_wrong(w, bytes, right, part);
		}
		link->read_at = (link->read_at + part) % PERIOD;
		bytes += part;
		length -= part;
		request->left -= (uint32_t)part;
		if (request->left == 0)
			answered(w, link, request, now);
	}
	if (length > 0) {
		count(w, LOAD_WRONG, 1);
		count(w, LOAD_WRONG_BYTES, (int64_t)length);
	}
}

/*
 * Reads all there is; returns the time of the last read.  An edge reports data and end of file
 * together, so at end of file it reads until recv(2) returns that.
 */
static int64_t receive(struct worker *w, struct link *link, bool at_end)
{
	int64_t now = 0;
	ssize_t n;

	do {
		n = recv(link->fd, w->buffer, READ_SIZE, MSG_DONTWAIT);
		now = span_now();
		if (n > 0)
			match_answers(w, link, w->buffer, (size_t)n, now);
		else if (n == 0 || errno != EAGAIN)
			lose(w, link, n == 0 ? 0 : errno);
	} while (n > 0 && (at_end || n == READ_SIZE));
	return now;
}

static void handle(struct worker *w, struct link *link, uint32_t events)
{
	bool full = link->waiting == w->plan->pipeline;
	bool asked = link->waiting > 0;
	int64_t now;

	if (events & ~(uint32_t)EPOLLOUT)
		now = receive(w, link, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
	else
		now = span_now();
	if (link->fd >= 0 && link->unsent)
		flush(w, link);
	if (link->idle)
		return;
	if (w->plan->churn && link->fd >= 0 && link->waiting == 0)
		close_link(w, link);
	if (w->plan->rate && full && link->waiting < w->plan->pipeline)
		now_free(w, link);
	if (w->turns && asked && link->waiting == 0) {
		now_free(w, link);
		if (now < w->end_ns || w->unasked)
			next_turn(w, now);
	}
	if (!w->plan->rate && !w->turns && now < w->end_ns && (w->plan->churn || link->fd >= 0))
		refill(w, link, now);
}

/* --- the loop ---------------------------------------------------------------- */

/* Waits for events, or until CLOCK_MONOTONIC is until_ns. */
static int wait_for(struct worker *w, struct epoll_event *events, int64_t now, int64_t until_ns)
{
	int64_t left = until_ns > now ? until_ns - now : 0;
	struct timespec timeout = {left / 1000000000, left % 1000000000};
	int n;

	if (w->plan->rate) /* milliseconds are too coarse */
		n = epoll_pwait2(w->epoll, events, EVENTS, &timeout, NULL);
	else
		n = epoll_wait(w->epoll, events, EVENTS, (int)((left + 999999) / 1000000));
	if (n < 0 && errno != EINTR)
		err(EXIT_USAGE, "epoll_pwait2");
	return n;
}

/* When nothing is waited for any longer. */
static int64_t last_ns(const struct worker *w)
{
	if (w->asks_all && w->live)
		return latest(w->answered_ns, w->end_ns) + ANSWER_S * INT64_C(1000000000);
	return w->end_ns + load_grace_ns;
}

/* When the loop has to go on without events. */
static int64_t next_timeout(const struct worker *w, int64_t now)
{
	int64_t timeout = now < w->end_ns ? w->end_ns : last_ns(w);

	if (w->plan->rate && w->free_n > 0 && w->live && w->due.due_ns < w->end_ns)
		timeout = earliest(timeout, w->due.due_ns);
	return timeout;
}

static bool at_end(const struct worker *w, int64_t now)
{
	if (!atomic_load(&w->window->workers) || now >= last_ns(w))
		return true;
	return now >= w->end_ns && !w->waiting && !w->unasked &&
	       !(w->plan->rate && w->live && w->due.due_ns < w->end_ns);
}

/* All that was due and is unanswered after load_grace_ns. */
static void count_rest_unanswered(struct worker *w, int64_t now)
{
	for (int64_t i = 0; i < w->active; i++)
		drop_requests(w, &w->links[i], now);
	for (; w->plan->rate && w->due.due_ns < earliest(w->end_ns, now); next_due(w, &w->due))
		count_unanswered(w, w->due.due_ns, now);
}

/*
 * In a warm-up, each connection of a closed loop is asked once, however long that takes: a slow machine
 * would begin to measure when some were not yet.
 */
static void begin_load(struct worker *w)
{
	int64_t begin_ns = atomic_load(&w->window->begin_ns);
	int64_t end_ns = atomic_load(&w->window->end_ns);
	bool in_any_case = w->count_ns == INT64_MAX && begin_ns < end_ns;
	int64_t busy = 0;

	/* generators of one barrier would all send at the same times */
	uint64_t apart =
		((uint64_t)atomic_load(&w->window->generator) << WORKER_BITS) + (uint64_t)w->number;

	w->end_ns = end_ns;
	w->free_n = 0;
	w->due.rng = w->sizes = (struct rng){(uint64_t)w->plan->seed};
	w->sizes.state = rng_next(&w->due.rng) + apart;
	w->due.rng.state = rng_next(&w->due.rng) + apart;
	if (w->plan->rate)
		first_due(w);
	for (int64_t i = 0; i < w->active; i++) {
		busy += w->links[i].waiting > 0;
		if ((w->plan->rate && w->links[i].waiting < w->plan->pipeline) ||
		    (w->turns && w->links[i].waiting == 0))
			now_free(w, &w->links[i]);
		else if (!w->plan->rate && !w->turns && (in_any_case || span_now() < end_ns))
			refill(w, &w->links[i], span_now());
	}
	w->asks_all = w->turns && in_any_case;
	w->unasked = w->asks_all ? w->free_n : 0;
	for (; busy < w->turns; busy++)
		if (w->unasked || span_now() < end_ns)
			next_turn(w, span_now());
}

/* The window has changed: it ends earlier. */
static void cut_short(struct worker *w)
{
	w->end_ns = atomic_load(&w->window->end_ns);
	w->asks_all = false;
	w->unasked = 0;
}

/* For how long this thread could have run so far, but had no CPU; 0 where the kernel does not count. */
static int64_t ready_so_far(void)
{
	struct thread_counts counts = {0};

	thread_count(gettid(), &counts);
	return counts.ready_ns;
}

static void end_window(struct worker *w, struct span *span)
{
	span_end(span);
	w->ready_ns += ready_so_far();
}

/* Sends until the window ends, which the span ({0} at first) covers, and waits for the answers. */
static void run_load(struct worker *w, struct span *span)
{
	struct epoll_event events[EVENTS];
	int64_t now;

	w->ready_ns = -ready_so_far();
	span_begin(span);
	now = span->begin_ns;
	for (begin_load(w); !at_end(w, now); now = span_now()) {
		int n;

		if (!span->end_ns && now >= w->end_ns)
			end_window(w, span);
		if (w->plan->rate) {
			see_due(w, now);
			dispatch(w, now);
			w->could_send = w->free_n > 0;
			now = span_now();
		}
		n = wait_for(w, events, now, next_timeout(w, now));
		for (int i = 0; i < n; i++)
			if (events[i].data.ptr)
				handle(w, events[i].data.ptr, events[i].events);
			else
				cut_short(w);
	}
	if (!span->end_ns)
		end_window(w, span);
}

static void warm_up(struct worker *w)
{
	w->count_ns = INT64_MAX;
	run_load(w, &(struct span){0});
}

static void run_measured(struct worker *w)
{
	struct span all;

	w->count_ns = atomic_load(&w->window->begin_ns);
	span_begin(&all);
	run_load(w, &w->tally->span);
	span_end(&all);
	w->tally->span.begin_ns =
		w->count_ns; /* the same for all workers, whenever this one was scheduled */
	w->tally->cpu_ns = all.cpu_ns;
	w->tally->ready_ns = w->ready_ns;
	count_rest_unanswered(w, all.end_ns);
}

/* --- a worker ---------------------------------------------------------------- */

/* This worker's part of so many. */
static int64_t part_of(const struct load_plan *plan, int64_t all, int64_t number)
{
	return all / plan->workers + (number < all % plan->workers);
}

static void set_up(struct worker *w)
{
	const struct load_plan *plan = w->plan;
	struct epoll_event stop = {.events = EPOLLIN | EPOLLONESHOT}; /* no link */

	w->active = w->live = part_of(plan, plan->connections, w->number);
	w->idle = part_of(plan, plan->idle, w->number);
	w->turns = part_of(plan, plan->at_once, w->number);
	w->links = allocate(w->active + w->idle, sizeof(*w->links));
	w->links->requests = allocate(w->active * plan->pipeline, sizeof(struct request));
	w->free = allocate(w->active, sizeof(struct link *));
	w->buffer = check_alloc(net_buffer(READ_SIZE));
	for (int64_t i = 0; i < w->active + w->idle; i++) {
		w->links[i].fd = -1;
		w->links[i].idle = i >= w->active;
		if (!w->links[i].idle)
			w->links[i].requests = w->links->requests + i * plan->pipeline;
	}
	w->epoll = check_fd(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
	check_fd(epoll_ctl(w->epoll, EPOLL_CTL_ADD, plan->stop, &stop), "epoll_ctl");
}

static void tear_down(struct worker *w)
{
	for (int64_t i = 0; i < w->active + w->idle; i++)
		if (w->links[i].fd >= 0)
			close(w->links[i].fd);
	close(w->epoll);
	free(w->buffer);
	free(w->links->requests);
	free(w->links);
	free(w->free);
	free(w);
}

/* Opens the idle connections, then the active ones, over the time of the ramp. */
static int open_all(struct worker *w)
{
	int64_t n = w->active + w->idle;
	int64_t begin = span_now();
	int error = 0;

	for (int64_t i = 0; i < n && !error; i++) {
		struct link *link = &w->links[(w->active + i) % n];
		int64_t at =
			begin + (int64_t)((double)w->plan->ramp_ns * (double)(i + 1) / (double)n);
		struct timespec when = {at / 1000000000, at % 1000000000};

		if (w->plan->ramp_ns)
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
		error = open_link(w, link);
		if (!error && w->plan->churn && !link->idle)
			close_link(w, link); /* it was only to find out whether a server listens */
	}
	return error;
}

/* Counts itself as ready, and waits for the semaphore. */
static void wait_for_start(const struct load_plan *plan, int semaphore)
{
	uint64_t one = 1;

	check_fd((int)write(plan->ready, &one, sizeof(one)), "eventfd");
	check_fd((int)read(semaphore, &one, sizeof(one)), "eventfd");
}

int load_work(const struct load_plan *plan, struct load_window *window, struct load_tally *tally,
	      int64_t number)
{
	struct worker *w = allocate(1, sizeof(*w));
	int error;

	prctl(PR_SET_TIMERSLACK,
	      1); /* ns instead of 50 us, so that requests are sent when they are due */
	w->plan = plan;
	w->window = window;
	w->tally = tally;
	w->number = number;
	set_up(w);
	error = open_all(w);
	if (!error) {
		wait_for_start(plan, plan->warm);
		warm_up(w);
		wait_for_start(plan, plan->start);
		run_measured(w);
		/* the connections stay open for the last snapshot of the server */
		wait_for_start(plan, plan->leave);
	}
	tear_down(w);
	return error;
}
