/* SPDX-License-Identifier: MIT */
/*
 * traps - four ways to get epoll wrong, each with its cure or its opposite beside it.
 *
 * 1. Edge-triggered epoll tells once that bytes have arrived.  A reader that then reads once, less
 *    than there is, is not told again: the rest lies there until something else arrives.
 *
 * 2. A socket that can be written to is always ready for EPOLLOUT, if level-triggered.  A loop that
 *    asks for it while it has nothing to send never sleeps.
 *
 * 3. EPOLLHUP is reported whether or not it was asked for, and a TCP socket that is neither connected
 *    nor listening has it.  A loop that holds such a socket with no events never sleeps.
 *
 * 4. epoll watches an open file description, not a descriptor.  While a duplicate holds it, events
 *    come for a number that was closed, and that number can no longer be removed.
 *
 * select's trap is in fdset.c, accept's are in herd.c.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "judge.h"
#include "net.h"
#include "pattern.h"
#include "span.h"

enum {
	EDGE_ONCE,
	EDGE_DRAIN,
	LEVEL,
	ONESHOT,
	OUT_FORGOTTEN,
	OUT_NEEDED,
	HUP_FRESH,
	HUP_CONNECTED,
	CLOSED_DUP,
	CLOSED_FORK,
	CLOSED_ALONE
};
enum { MESSAGE = 4096, READ = 1024, PIECE = 65536, WAITS = 5 };

static const struct variant variants[] = {
	[EDGE_ONCE] = {"edge-once", "edge-triggered epoll, one read each time (trap)"},
	[EDGE_DRAIN] = {"edge-drain", "edge-triggered, read until EAGAIN (cure)"},
	[LEVEL] = {"level", "level-triggered, one read each time (cure)"},
	[ONESHOT] = {"oneshot", "EPOLLONESHOT, re-armed after each read (cure)"},
	[OUT_FORGOTTEN] = {"out-forgotten", "EPOLLOUT is left on (trap)"},
	[OUT_NEEDED] = {"out-needed", "EPOLLOUT only while there is something to send (cure)"},
	[HUP_FRESH] = {"hup-fresh", "in epoll with no events, never connected (trap)"},
	[HUP_CONNECTED] = {"hup-connected", "in epoll with no events, connected (control)"},
	[CLOSED_DUP] = {"closed-dup", "in epoll and closed, a duplicate is open (trap)"},
	[CLOSED_FORK] = {"closed-fork", "in epoll and closed, a forked child has it, too (trap)"},
	[CLOSED_ALONE] = {"closed-alone", "in epoll and closed, no duplicate (control)"},
	{0}};

static const struct claim claims[] = {
	{"poll-edge-trap", "edge-triggered epoll that reads once loses the wake-up",
	 "edge-once=edge-drain", NOT_SEEN,
	 .why = {[HOLDS] =
			 "an edge is told once, when bytes arrive: only EAGAIN proves that none are left."}},
	{"poll-epollout-spin", "a forgotten level-triggered EPOLLOUT spins",
	 "out-forgotten=out-needed", NOT_SEEN,
	 .why = {[HOLDS] =
			 "a socket with room to write is ready, level by level, for as long as anybody asks."}},
	{"poll-hup-fresh", "a socket with no interest is quiet", "hup-fresh=hup-connected", HOLDS,
	 .why = {[REFUTED] =
			 "a hang-up and an error are reported unasked, level by level, and a TCP socket that is neither connected nor listening counts as hung up: add it once it is connecting."}},
	{"poll-closed-fd", "closing a descriptor takes it from epoll", "close-duplicate", HOLDS,
	 .why = {[DEPENDS] =
			 "epoll watches the open file description, and lets go of it when the last descriptor of it is closed; the closed number does not name it any more: EPOLL_CTL_DEL comes before close."}},
	{0}};

static const struct row_field fields[] = {
	{"sent_bytes", "of the message"},
	{"wakeups", "to read it", "wake-ups"},
	{"read_bytes", "of it", "read"},
	{"stuck_bytes", "that were there when no wake-up came any more", "stuck"},
	{"poll_in", "1: poll called them readable", "poll|sees", SHOW_NONZERO},
	{"later_sent_bytes", "after that"},
	{"later_wakeups", "for them"},
	{"later_stuck_bytes", "after that", "stuck|later"},
	{"reads", "in all"},
	{"elapsed_ns", "of the trial"},
	{"busy_wakeups", "to send and receive a MiB"},
	{"idle_wakeups", "with nothing to do", "idle|wake-ups"},
	{"idle_sleeps", "with nothing to do", "idle|sleeps"},
	{"idle_cpu_ns", "with nothing to do", "of a|CPU", SHOW_SUM, "idle_ns"},
	{"idle_ns", "how long it had nothing to do"},
	{"waits", "calls of epoll_wait, a millisecond each at most, with nothing to do"},
	{"hup_wakeups", "of these that reported EPOLLHUP of a socket in epoll with no events"},
	{"poll_hup", "1: poll reported POLLHUP of it, asked for no events"},
	{"closed_wakeups", "of these that reported a number that was closed"},
	{"del_errno", "error number of EPOLL_CTL_DEL of that number; 0: it was removed"},
	{"connected_hup_wakeups", "hup_wakeups of a connected socket", .zero = true,
	 .sham = "hup-connected=hup-fresh"},
	{"cure_stuck_bytes", "with a cure, at the end", .zero = true, .sham = "level=edge-once"},
	{"missing_bytes", "of the MiB", .zero = true, .sham = "lose"},
	{"misplaced_bytes", "received where another belongs", .zero = true, .sham = "disorder"},
	{0}};

static const struct bound bounds[] = {
	{"spinning_wakeups", 100,
	 "a loop that has nothing to do and sleeps has none or a few, one that spins has thousands"},
	{"idle_wakeups", 10, "nothing is sent, and the last acknowledgement may come late"},
	{"enough_waits", 5, "what is reported depends on the socket's state, not on chance"},
	{0}};

static int64_t wait_ms = 20;
static int64_t idle_ms = 50;

static const struct opt opts[] = {
	{'w', "wait", "after so long without a wake-up the rest is stuck", .num = &wait_ms,
	 .min = 5, .quick = 10, .max = 500, .unit = OPT_MS},
	{'i', "idle", "how long a loop that has nothing to do is watched", .num = &idle_ms,
	 .min = 10, .quick = 20, .max = 500, .unit = OPT_MS},
	{0}};

static int new_epoll(void)
{
	return check_fd(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
}

static void watch(int epoll, int change, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	check_fd(epoll_ctl(epoll, change, fd, &event), "epoll_ctl");
}

/* Of more than a second a second, so that a loop sees that it was stopped. */
static int wait_for(int epoll, struct epoll_event *events, int most, int64_t timeout_ms)
{
	int n;

	do /* a Ctrl-Z and its end interrupt it */
		n = epoll_wait(epoll, events, most, timeout_ms < 1000 ? (int)timeout_ms : 1000);
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
	uint8_t buffer[MESSAGE];

	pattern_fill(buffer, (size_t)length, (uint64_t)r->sent);
	if (send(r->fd.tx, buffer, (size_t)length, 0) != length)
		err(EXIT_USAGE, "send");
	r->sent += length;
	while (net_inq(r->fd.rx) < r->sent - r->read)
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

static void measure_edge(struct run *run, size_t variant, size_t label)
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
					 {"cure_stuck_bytes", label == EDGE_ONCE ? 0 : later_stuck},
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
	loop_until(&l, INT64_MAX, STREAM);
	run_sleep_until(span_now() + 2000000); /* the last acknowledgement makes it writable */
	busy_wakeups = l.wakeups;
	l.wakeups = 0;
	sleeps = span_sleeps();
	span_begin(&idle);
	loop_until(&l, span_now() + idle_ms * 1000000, INT64_MAX);
	span_end(&idle);
	sleeps = span_sleeps() - sleeps;
	run_record(run,
		   (struct field[]){{"busy_wakeups", busy_wakeups},
				    {"missing_bytes", STREAM - l.received + run_sham(run, "lose")},
				    {"misplaced_bytes", l.misplaced},
				    {"idle_wakeups", l.wakeups},
				    {"idle_sleeps", sleeps},
				    {"idle_ns", span_wall(&idle)},
				    {"idle_cpu_ns", idle.cpu_ns},
				    {0}});
	close(l.epoll);
	net_close(&l.fd);
}

/* --- 3 and 4: what is reported unasked, and of what was closed --------------- */

/* Calls of epoll_wait by a loop that does nothing about what it is told. */
struct waiting {
	int64_t wakeups, sleeps;
	int64_t told; /* of the wake-ups: with this event, of this number */
};

static struct waiting wait_idly(int epoll, uint32_t event, int number)
{
	struct waiting w = {.sleeps = -span_sleeps()};
	struct epoll_event got;

	for (int i = 0; i < WAITS; i++)
		if (wait_for(epoll, &got, 1, 1) == 1) {
			w.wakeups++;
			w.told += (got.events & event) && got.data.fd == number;
		}
	w.sleeps += span_sleeps();
	return w;
}

static void measure_hup(struct run *run, size_t variant, size_t label)
{
	struct net_pair pair = net_pair(NET_TCP, (struct net_ask){0});
	int fresh = net_socket(SOCK_STREAM);
	int fd = variant == HUP_FRESH ? fresh : pair.rx;
	struct pollfd asked = {.fd = fd};
	int epoll = new_epoll();
	struct waiting w;

	watch(epoll, EPOLL_CTL_ADD, fd, 0);
	w = wait_idly(epoll, EPOLLHUP, fd);
	check_fd(poll(&asked, 1, 0), "poll");
	run_record(run, (struct field[]){{"waits", WAITS},
					 {"hup_wakeups", w.told},
					 {"poll_hup", (asked.revents & POLLHUP) != 0},
					 {"connected_hup_wakeups", label == HUP_FRESH ? 0 : w.told},
					 {"idle_wakeups", w.wakeups},
					 {"idle_sleeps", w.sleeps},
					 {0}});
	close(epoll);
	close(fresh);
	net_close(&pair);
}

/* A second descriptor of the same open file description: here, or in a child that does nothing. */
struct duplicate {
	int fd;      /* -1: none */
	pid_t child; /* 0: none */
};

static struct duplicate duplicate_of(int fd, size_t variant)
{
	struct duplicate d = {.fd = -1};

	if (variant == CLOSED_DUP)
		d.fd = check_fd(fcntl(fd, F_DUPFD_CLOEXEC, 0), "dup");
	if (variant == CLOSED_FORK && (d.child = child_fork()) == 0)
		for (;;)
			pause();
	return d;
}

static void end_duplicate(struct duplicate *d)
{
	if (d->fd >= 0)
		close(d->fd);
	if (d->child > 0) { /* waited for: by then its descriptors are closed */
		kill(d->child, SIGKILL);
		while (waitpid(d->child, NULL, 0) < 0)
			if (errno != EINTR)
				err(EXIT_USAGE, "waitpid");
	}
	*d = (struct duplicate){.fd = -1};
}

/* The byte is there before the close, so that it is readable without a wait. */
static void measure_closed(struct run *run, size_t variant)
{
	struct reader r = {.fd = net_pair(NET_TCP, (struct net_ask){0}), .epoll = new_epoll()};
	struct duplicate duplicate;
	struct waiting w;
	int removed;

	watch(r.epoll, EPOLL_CTL_ADD, r.fd.rx, EPOLLIN);
	send_message(&r, 1);
	duplicate = duplicate_of(r.fd.rx, variant);
	close(r.fd.rx);
	if (run_sham(run, "close-duplicate"))
		end_duplicate(&duplicate);
	w = wait_idly(r.epoll, EPOLLIN, r.fd.rx);
	removed = epoll_ctl(r.epoll, EPOLL_CTL_DEL, r.fd.rx, NULL);
	run_record(run, (struct field[]){{"waits", WAITS},
					 {"closed_wakeups", w.told},
					 {"del_errno", removed == 0 ? 0 : errno},
					 {"idle_wakeups", w.wakeups},
					 {"idle_sleeps", w.sleeps},
					 {0}});
	end_duplicate(&duplicate);
	close(r.epoll);
	close(r.fd.tx);
}

/* --- judge --------------------------------------------------------------- */

static void judge_edge(struct run *run)
{
	struct share stuck = run_nonzero(run, EDGE_ONCE, "stuck_bytes");

	run_judge(
		run, "poll-edge-trap", can_happen(stuck),
		"in {stuck} trials bytes were stuck, {stuck_bytes} of {sent_bytes}; poll called them readable in {readable}. One byte more woke the reader for one read: {later_bytes} were stuck",
		number_share("stuck", stuck),
		number_real("stuck_bytes", run_median(run, EDGE_ONCE, "stuck_bytes")),
		number_int("sent_bytes", MESSAGE),
		number_share("readable", run_nonzero(run, EDGE_ONCE, "poll_in")),
		number_real("later_bytes", run_median(run, EDGE_ONCE, "later_stuck_bytes")));
}

static void judge_out(struct run *run)
{
	struct interval forgotten = run_interval(run, OUT_FORGOTTEN, "idle_wakeups");
	struct interval needed = run_interval(run, OUT_NEEDED, "idle_wakeups");

	run_judge(
		run, "poll-epollout-spin",
		or_not_seen(all_of(is_above(forgotten, run_bound(run, "spinning_wakeups")),
				   is_below(needed, run_bound(run, "idle_wakeups")))),
		"with nothing to do for {idle_ns} the loop woke up {forgotten} times, slept {sleeps} times and had {forgotten_share} of a CPU; with EPOLLOUT only while it is needed {needed} times, and {needed_share}",
		number_real("idle_ns", (double)idle_ms * 1e6),
		number_real("forgotten", forgotten.mid),
		number_real("sleeps", run_median(run, OUT_FORGOTTEN, "idle_sleeps")),
		number_real("forgotten_share",
			    run_share(run, OUT_FORGOTTEN, "idle_cpu_ns", "idle_ns", 0.5)),
		number_real("needed", needed.mid),
		number_real("needed_share",
			    run_share(run, OUT_NEEDED, "idle_cpu_ns", "idle_ns", 0.5)));
}

static void judge_hup(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_waits");
	struct share fresh = run_part(run, HUP_FRESH, "hup_wakeups", "waits");
	struct share polled = run_nonzero(run, HUP_FRESH, "poll_hup");
	struct share connected = run_part(run, HUP_CONNECTED, "idle_wakeups", "waits");

	run_judge(
		run, "poll-hup-fresh",
		all_of(never_happens(fresh, enough), never_happens(polled, 1)),
		"{fresh} calls of epoll_wait reported EPOLLHUP of a fresh TCP socket, added with no events, and poll POLLHUP in {polled} trials; of a connected one {connected} reported anything",
		number_share("fresh", fresh), number_share("polled", polled),
		number_share("connected", connected));
}

static void judge_closed(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_waits");
	struct share dup = run_part(run, CLOSED_DUP, "closed_wakeups", "waits");
	struct share forked = run_part(run, CLOSED_FORK, "closed_wakeups", "waits");
	struct share alone = run_part(run, CLOSED_ALONE, "closed_wakeups", "waits");
	struct share refused =
		share_add(share_within(run_values(run, CLOSED_DUP, "del_errno"), EBADF, EBADF),
			  share_within(run_values(run, CLOSED_FORK, "del_errno"), EBADF, EBADF));

	run_judge(
		run, "poll-closed-fd",
		by_case(never_happens(alone, enough),
			never_happens(share_add(dup, forked), enough)),
		"{alone} calls of epoll_wait reported the closed number if nothing else held the socket, {dup} if a duplicate did, {forked} if a forked child did; EPOLL_CTL_DEL of the number then failed with EBADF in {refused} trials",
		number_share("alone", alone), number_share("dup", dup),
		number_share("forked", forked), number_share("refused", refused));
}

static void judge(struct run *run)
{
	judge_edge(run);
	judge_out(run);
	judge_hup(run);
	judge_closed(run);
}

static const struct experiment about = {
	.name = "traps",
	.group = "polling",
	.order = 505,
	.summary = "How a program that waits by epoll gets stuck or spins.",
	.intro =
		"4,096 bytes arrive at once, a read takes 1,024 at most; then 1 byte more. Stuck is what is left when no wake-up comes for {wait_ms}. out-...: a MiB was sent and received, then there is nothing to do for {idle_ms}. hup-... and closed-...: 5 calls of epoll_wait, of a millisecond each.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 20,
	.quick_trials = 7,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	pattern_disorder(run_sham(run, "disorder"));
	while (run_next(run)) {
		size_t variant = run_variant(run);

		if (variant <= ONESHOT)
			measure_edge(run, variant, run_label(run));
		else if (variant <= OUT_NEEDED)
			measure_out(run, variant);
		else if (variant <= HUP_CONNECTED)
			measure_hup(run, variant, run_label(run));
		else
			measure_closed(run, variant);
	}
	return run_end(run);
}
