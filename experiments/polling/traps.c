/* SPDX-License-Identifier: MIT */
/*
 * traps - two ways to get epoll wrong, each with its cure beside it.
 *
 * 1. Edge-triggered epoll tells once that bytes have arrived.  A reader that then reads once, less
 *    than there is, is not told again: the rest lies there until something else arrives.
 *
 * 2. A socket that can be written to is always ready for EPOLLOUT, if level-triggered.  A loop that
 *    asks for it while it has nothing to send never sleeps.
 *
 * select's trap is in fdset.c, accept's are in herd.c.
 */
#include <err.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "old.h"
#include "net.h"
#include "pattern.h"
#include "span.h"
#include "text.h"

enum { EDGE_ONCE, EDGE_DRAIN, LEVEL, ONESHOT, OUT_FORGOTTEN, OUT_NEEDED, VARIANTS };
enum { MESSAGE = 4096, READ = 1024, PIECE = 65536 };

static const struct variant variants[] = {
	[EDGE_ONCE] = {"edge-once", "edge-triggered epoll, one read each time (trap)"},
	[EDGE_DRAIN] = {"edge-drain", "edge-triggered, read until EAGAIN (cure)"},
	[LEVEL] = {"level", "level-triggered, one read each time (cure)"},
	[ONESHOT] = {"oneshot", "EPOLLONESHOT, re-armed after each read (cure)"},
	[OUT_FORGOTTEN] = {"out-forgotten", "EPOLLOUT is left on (trap)"},
	[OUT_NEEDED] = {"out-needed", "EPOLLOUT only while there is something to send (cure)"},
	{0}};

static const struct claim claims[] = {
	{"poll-edge-trap", "edge-triggered epoll that reads once loses the wake-up"},
	{"poll-epollout-spin", "a forgotten level-triggered EPOLLOUT spins"},
	{0}};

static int64_t wait_ms = 20;
static int64_t idle_ms = 50;

static const struct opt opts[] = {
	{'w', "wait", "after so long without a wake-up the rest is stuck", .num = &wait_ms,
	 .min = 5, .quick = 10, .max = 500, .unit = OPT_MS},
	{'i', "idle", "how long a loop that has nothing to do is watched", .num = &idle_ms,
	 .min = 10, .quick = 20, .max = 500, .unit = OPT_MS},
	{0}};

static const struct experiment about = {
	.name = "traps",
	.group = "polling",
	.summary = "How a program that waits by epoll gets stuck or spins.",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 20,
	.quick_trials = 3,
};

static int new_epoll(void)
{
	return check_fd(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
}

static void watch(int epoll, int change, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	check_fd(epoll_ctl(epoll, change, fd, &event), "epoll_ctl");
}

static int wait_for(int epoll, struct epoll_event *events, int most, int64_t timeout_ms)
{
	int n;

	do /* a Ctrl-Z and its end interrupt it */
		n = epoll_wait(epoll, events, most, (int)timeout_ms);
	while (n < 0 && errno == EINTR);
	return check_fd(n, "epoll_wait");
}

/* --- 1: edges -------------------------------------------------------------- */

struct reader {
	size_t variant;
	struct net_pair fd;
	int epoll;
	int64_t sent, read, reads, wakeups, misplaced;
};

static uint32_t events_of(size_t variant)
{
	switch (variant) {
	case LEVEL:
		return EPOLLIN;
	case ONESHOT:
		return EPOLLIN | EPOLLONESHOT;
	default:
		return EPOLLIN | EPOLLET;
	}
}

/* One read; false if there was nothing. */
static bool read_once(struct reader *r)
{
	uint8_t buffer[READ];
	ssize_t n = recv(r->fd.rx, buffer, sizeof(buffer), MSG_DONTWAIT);

	r->reads++;
	if (n < 0 && errno != EAGAIN)
		err(EXIT_USAGE, "recv");
	if (n <= 0)
		return false;
	r->misplaced += (int64_t)pattern_misplaced(buffer, (size_t)n, (uint64_t)r->read);
	r->read += n;
	return true;
}

/* Sends so many bytes, and waits until all of them have arrived: there is one edge. */
static void send_message(struct reader *r, int64_t length)
{
	int64_t patience_ns = span_now() + 2000000000;
	uint8_t buffer[MESSAGE];

	pattern_fill(buffer, (size_t)length, (uint64_t)r->sent);
	if (send(r->fd.tx, buffer, (size_t)length, 0) != length)
		err(EXIT_USAGE, "send");
	r->sent += length;
	while (net_inq(r->fd.rx) < r->sent - r->read && span_now() < patience_ns)
		if (!run_sleep_until(span_now() + 50000))
			return;
}

/* The reader's loop, until it has everything or is not woken any more; returns what is stuck. */
static int64_t read_message(struct reader *r)
{
	struct epoll_event event;

	while (r->read < r->sent && wait_for(r->epoll, &event, 1, wait_ms) == 1) {
		r->wakeups++;
		while (read_once(r) && r->variant == EDGE_DRAIN)
			;
		if (r->variant == ONESHOT)
			watch(r->epoll, EPOLL_CTL_MOD, r->fd.rx, events_of(r->variant));
	}
	return net_inq(r->fd.rx);
}

static void measure_edge(struct run *run, size_t variant)
{
	struct reader r = {.variant = variant,
			   .fd = net_pair(NET_TCP, (struct net_ask){0}),
			   .epoll = new_epoll()};
	struct pollfd asked = {.fd = r.fd.rx, .events = POLLIN};
	int64_t begin_ns = span_now();
	int64_t wakeups, read, stuck, later_stuck;
	bool readable;

	watch(r.epoll, EPOLL_CTL_ADD, r.fd.rx, events_of(variant));
	send_message(&r, MESSAGE);
	stuck = read_message(&r);
	wakeups = r.wakeups;
	read = r.read;
	readable = poll(&asked, 1, 0) == 1;
	send_message(&r, 1);
	later_stuck = read_message(&r);
	run_record(run, (struct field[]){{"sent_bytes", MESSAGE},
					 {"read_bytes", read},
					 {"stuck_bytes", stuck},
					 {"wakeups", wakeups},
					 {"poll_in", readable},
					 {"later_sent_bytes", 1},
					 {"later_wakeups", r.wakeups - wakeups},
					 {"later_stuck_bytes", later_stuck},
					 {"reads", r.reads},
					 {"misplaced_bytes", r.misplaced},
					 {"elapsed_ns", span_now() - begin_ns},
					 {0}});
	close(r.epoll);
	net_close(&r.fd);
}

/* --- 2: EPOLLOUT ----------------------------------------------------------- */

/* A loop that sends to itself: one message, more than the buffers hold, and then nothing. */
struct loop {
	size_t variant;
	struct net_pair fd;
	int epoll;
	int64_t sent, received, misplaced;
	int64_t wakeups; /* returns of epoll_wait with something */
};

enum { STREAM = 1 << 20 };

static void send_more(struct loop *l)
{
	uint8_t buffer[PIECE];
	int64_t left = STREAM - l->sent;
	ssize_t n;

	if (left == 0)
		return; /* woken for nothing */
	left = left < PIECE ? left : PIECE;
	pattern_fill(buffer, (size_t)left, (uint64_t)l->sent);
	n = send(l->fd.tx, buffer, (size_t)left, MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN)
		err(EXIT_USAGE, "send");
	l->sent += n > 0 ? n : 0;
	if (l->sent == STREAM && l->variant == OUT_NEEDED)
		watch(l->epoll, EPOLL_CTL_MOD, l->fd.tx, EPOLLIN);
}

static void receive_more(struct loop *l)
{
	uint8_t buffer[PIECE];
	ssize_t n = recv(l->fd.rx, buffer, sizeof(buffer), MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN)
		err(EXIT_USAGE, "recv");
	if (n > 0) {
		l->misplaced +=
			(int64_t)pattern_misplaced(buffer, (size_t)n, (uint64_t)l->received);
		l->received += n;
	}
}

/* The loop, until then, or until everything has arrived. */
static void loop_until(struct loop *l, int64_t end_ns, int64_t enough)
{
	int64_t left_ns;

	while (l->received < enough && (left_ns = end_ns - span_now()) > 0 && !run_stopped()) {
		struct epoll_event events[2];
		int n = wait_for(l->epoll, events, 2, (left_ns + 999999) / 1000000);

		l->wakeups += n > 0;
		for (int i = 0; i < n; i++)
			if (events[i].data.fd == l->fd.tx)
				send_more(l);
			else
				receive_more(l);
	}
}

static void measure_out(struct run *run, size_t variant)
{
	struct loop l = {.variant = variant,
			 .fd = net_pair(NET_TCP, (struct net_ask){.sndbuf = PIECE}),
			 .epoll = new_epoll()};
	struct span idle = {0};
	int64_t busy_wakeups, sleeps;

	watch(l.epoll, EPOLL_CTL_ADD, l.fd.rx, EPOLLIN);
	watch(l.epoll, EPOLL_CTL_ADD, l.fd.tx, EPOLLIN | EPOLLOUT);
	loop_until(&l, span_now() + 2000000000, STREAM);
	run_sleep_until(span_now() + 2000000); /* the last acknowledgement makes it writable */
	busy_wakeups = l.wakeups;
	l.wakeups = 0;
	sleeps = span_sleeps();
	span_begin(&idle);
	loop_until(&l, span_now() + idle_ms * 1000000, INT64_MAX);
	span_end(&idle);
	sleeps = span_sleeps() - sleeps;
	run_record(run, (struct field[]){{"busy_wakeups", busy_wakeups},
					 {"missing_bytes", STREAM - l.received},
					 {"misplaced_bytes", l.misplaced},
					 {"idle_wakeups", l.wakeups},
					 {"idle_sleeps", sleeps},
					 {"idle_ns", span_wall(&idle)},
					 {"idle_cpu_ns", idle.cpu_ns},
					 {0}});
	close(l.epoll);
	net_close(&l.fd);
}

/* --- report -------------------------------------------------------------- */

static bool any_selected(const struct run *run, size_t first, size_t last)
{
	while (first <= last && !run_selected(run, first))
		first++;
	return first <= last;
}

static int64_t median_of(struct run *run, size_t variant, const char *field)
{
	return (int64_t)run_median(run, variant, field);
}

static void print_edge(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run,
		"1. %s bytes arrive at once, a read takes %s at most; then 1 byte more. Stuck is "
		"what is left when no wake-up came for %s.",
		text_count(MESSAGE), text_count(READ), text_time((double)wait_ms * 1e6));
	fprintf(out, "\n  %-15s %8s %8s %8s %10s   %s\n", "variant", "wake-ups", "read", "stuck",
		"poll says", "after 1 byte more");
	for (size_t v = EDGE_ONCE; v <= ONESHOT; v++)
		if (run_selected(run, v))
			fprintf(out, "  %-15s %8s %8s %8s %10s   %s wake-up%s, %s stuck\n",
				variants[v].name, text_count(median_of(run, v, "wakeups")),
				text_count(median_of(run, v, "read_bytes")),
				text_count(median_of(run, v, "stuck_bytes")),
				run_median(run, v, "poll_in") > 0 ? "readable" : "nothing",
				text_count(median_of(run, v, "later_wakeups")),
				median_of(run, v, "later_wakeups") == 1 ? "" : "s",
				text_count(median_of(run, v, "later_stuck_bytes")));
	fputs("\n", out);
}

/* Wake-ups a second of a loop that has nothing to do. */
static double idle_rate(struct run *run, size_t v)
{
	return run_median(run, v, "idle_wakeups") * 1e9 / run_median(run, v, "idle_ns");
}

static double idle_share(struct run *run, size_t v)
{
	return run_median(run, v, "idle_cpu_ns") / run_median(run, v, "idle_ns");
}

static void print_out(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run, "2. A loop has sent and received %s, and has nothing to do for %s.",
		text_bytes(STREAM), text_time((double)idle_ms * 1e6));
	fprintf(out, "\n  %-15s %16s %18s %11s %11s\n", "variant", "wake-ups to send",
		"idle: wake-ups/s", "sleeps", "CPU");
	for (size_t v = OUT_FORGOTTEN; v <= OUT_NEEDED; v++)
		if (run_selected(run, v))
			fprintf(out, "  %-15s %16s %18s %11s %11s\n", variants[v].name,
				text_count(median_of(run, v, "busy_wakeups")),
				text_count((int64_t)idle_rate(run, v)),
				text_count(median_of(run, v, "idle_sleeps")),
				text_share(idle_share(run, v)));
	fputs("\n", out);
}

/* Holds every variant but the trap to having read everything; how many were there, as words. */
static const char *control_cures(struct run *run)
{
	double left_behind = 0;
	int cures = 0;

	for (size_t v = EDGE_ONCE; v <= ONESHOT; v++) {
		struct values left = run_values(run, v, "later_stuck_bytes");
		double misplaced = run_sum(run, v, "misplaced_bytes");

		old_control(run, misplaced == 0, "%s: %.0f bytes were out of place",
			    variants[v].name, misplaced);
		if (v == EDGE_ONCE || left.n == 0)
			continue;
		old_control(run, stats_nonzero(left) == 0,
			    "%s: bytes were stuck in %zu of %zu trials", variants[v].name,
			    stats_nonzero(left), left.n);
		left_behind += stats_sum(left);
		cures++;
	}
	return cures ? text_format(". With %d cures %.0f were", cures, left_behind) : "";
}

static void judge_edge(struct run *run)
{
	struct values stuck = run_values(run, EDGE_ONCE, "stuck_bytes");
	const char *cures = control_cures(run);
	size_t lost = stats_nonzero(stuck);

	if (stuck.n == 0)
		return;
	old_verdict(run, "poll-edge-trap", lost ? HOLDS : NOT_SEEN,
		    (struct field[]){{"stuck_trials", (int64_t)lost},
				     {"trials", (int64_t)stuck.n},
				     {"stuck_bytes", median_of(run, EDGE_ONCE, "stuck_bytes")},
				     {0}},
		    "in %zu of %zu trials bytes were stuck, %s of %s; poll called them readable in "
		    "%zu. One byte more woke the reader for one read: %s were stuck%s",
		    lost, stuck.n, text_count(median_of(run, EDGE_ONCE, "stuck_bytes")),
		    text_count(MESSAGE), stats_nonzero(run_values(run, EDGE_ONCE, "poll_in")),
		    text_count(median_of(run, EDGE_ONCE, "later_stuck_bytes")), cures);
}

static void judge_out(struct run *run)
{
	double forgotten = idle_rate(run, OUT_FORGOTTEN);
	double needed = idle_rate(run, OUT_NEEDED);
	double share = idle_share(run, OUT_FORGOTTEN);
	double cured = idle_share(run, OUT_NEEDED);

	for (size_t v = OUT_FORGOTTEN; v <= OUT_NEEDED; v++) {
		double wrong =
			run_sum(run, v, "missing_bytes") + run_sum(run, v, "misplaced_bytes");

		old_control(run, wrong == 0, "%s: %.0f bytes were missing or out of place",
			    variants[v].name, wrong);
	}
	if (isnan(forgotten) || isnan(needed))
		return;
	old_verdict(run, "poll-epollout-spin", forgotten > 100 + 10 * needed ? HOLDS : NOT_SEEN,
		    (struct field[]){{"forgotten_wakeups_per_s", (int64_t)forgotten},
				     {"needed_wakeups_per_s", (int64_t)needed},
				     {"forgotten_cpu_share", .real = &share},
				     {"needed_cpu_share", .real = &cured},
				     {0}},
		    "with nothing to do the loop woke up %s times a second, slept %s times and had "
		    "%s of a CPU; with EPOLLOUT only while it is needed %s times, and %s",
		    text_count((int64_t)forgotten),
		    text_count(median_of(run, OUT_FORGOTTEN, "idle_sleeps")), text_share(share),
		    text_count((int64_t)needed), text_share(cured));
}

static void report(struct run *run)
{
	if (any_selected(run, EDGE_ONCE, ONESHOT))
		print_edge(run);
	if (any_selected(run, OUT_FORGOTTEN, OUT_NEEDED))
		print_out(run);
	judge_edge(run);
	judge_out(run);
	old_why(run, "an edge is told once, when bytes arrive: only EAGAIN proves that none are "
		     "left. A socket with room to write is ready, level by level, for as long as "
		     "anybody asks.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run)) {
		size_t variant = run_variant(run);

		if (variant <= ONESHOT)
			measure_edge(run, variant);
		else
			measure_out(run, variant);
	}
	return old_end(run, report);
}
