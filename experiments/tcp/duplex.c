/* SPDX-License-Identifier: MIT */
/*
 * duplex - can both ends of a connection send and receive at the same time, independently?
 *
 * The same number of bytes goes over one TCP connection
 *
 *	there   one way;
 *	back    the other way;
 *	both    both ways at once: four threads, each end sends in one and receives in another;
 *	turns   both ways, but by turns, as over a walkie-talkie (control): each end has one thread,
 *	        and only one of them sends at any time.
 *
 * If the two directions are independent, both takes as long as one way, and turns twice that.
 *
 * Over loopback nothing but the CPU is the limit, which both ways share.  So the connection goes
 * over a slow cable of two hosts of its own (link.h), with the same rate in each direction.  Where this
 * machine allows none, it goes over loopback and each end sends at that rate by its own clock.  To another
 * host it goes as fast as the link between the two allows.
 */
#include <err.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "link.h"
#include "net.h"
#include "pattern.h"
#include "peer.h"
#include "span.h"
#include "team.h"

enum { THERE, BACK, BOTH, TURNS };

static const struct variant variants[] = {[THERE] = {"there", "one way"},
					  [BACK] = {"back", "the other way"},
					  [BOTH] = {"both", "both ways at the same time"},
					  [TURNS] = {"turns", "both ways by turns (control)"},
					  {0}};

static const struct claim claims[] = {
	{"tcp-full-duplex", "both ends send and receive at the same time, independently",
	 "both=turns", NOT_SEEN,
	 .why = {[HOLDS] =
			 "a connection is two streams, each with its own sequence numbers, buffers and window, and the cable has a wire for each. What both ways together lack: the acknowledgements of one wait behind the data of the other."}},
	{0}};

static const struct row_field fields[] = {
	{"there_ns", "from its receiver's begin to the last byte one way; 0: not used", "one|way"},
	{"back_ns", "the same the other way", "the other|way"},
	{"elapsed_ns", "until both have ended", "in all"},
	{"received_bytes", "both ways", "both ways,|a second", SHOW_SUM, "elapsed_ns"},
	{"overlap_ns", "both under way, since each end began; means little for turns",
	 "at one|time"},
	{"cable", "1: over a cable; 0: loopback; absent between two hosts"},
	{"missing_bytes", "sent and not received", .zero = true, .sham = "lose"},
	{"misplaced_bytes", "received at another place than sent", .zero = true,
	 .sham = "disorder"},
	{"cpu_ns", "CPU time of all threads"},
	{"way", "there or back", .row = "progress", .text = true},
	{"at_ns", "since its receiver began", .row = "progress"},
	{"received_bytes", "by then", .row = "progress"},
	{0}};

static const struct bound bounds[] = {
	{"shared_share", 0.66667,
	 "of its speed alone: two ways that shared one capacity would be left with a half each"},
	{"alone_times", 2,
	 "of what the rate allows one way alone takes so long at most: else the machine is the limit"},
	{0}};

enum { MARKS = 40, PAGE = 4 << 10 };

static int64_t rate = 5 << 19; /* 21 Mbit/s */
static int64_t total = 640 << 10;
static int64_t turns = 2;
static int64_t buffers = 8 << 10;
static bool loopback;

static const struct opt opts[] = {
	{'r', "rate", "of the cable in each direction", .num = &rate, .min = 64 << 10,
	 .max = 16 << 20, .unit = OPT_BYTES_PER_S},
	{'n', "total", "what goes each way", .num = &total, .min = 64 << 10, .max = 64 << 20,
	 .quick = 64 << 10, .unit = OPT_BYTES},
	{0, "turns", "turns of each end in turns", .num = &turns, .min = 1, .max = 4},
	{0, "buffers", "SO_SNDBUF to ask for, less than the cable's queue", .num = &buffers,
	 .min = 4096, .max = 128 << 10, .unit = OPT_BYTES},
	{0, "loopback", "no cable: loopback, where each end limits its own rate",
	 .flag = &loopback},
	{0}};

static struct link *cable;
static const char *no_cable;

static struct peer *far;

/* --- an end of the connection: either half is one ----------------------------- */

struct orders {
	int64_t variant;
	int64_t pace; /* to send at by its own clock, bytes a second; 0 = as fast as it can */
};

/* What an end saw of the stream that it received. */
struct seen {
	int64_t received, misplaced;
	int64_t cpu_ns; /* of all that the end did */
	int64_t looks_n;
	struct {
		int64_t at_ns, received;
	} looks[MARKS + 1]; /* since the end began */
};

struct end {
	int fd;
	bool near;
	struct orders orders;
	int64_t begin_ns; /* CLOCK_MONOTONIC */
	int64_t sent;
	struct seen seen;
};

static void send_part(struct end *e, int64_t until)
{
	int64_t begin_ns = span_now(), base = e->sent, pace = e->orders.pace;
	uint8_t page[PAGE];

	while (e->sent < until && !run_stopped()) {
		size_t length = (size_t)(until - e->sent < PAGE ? until - e->sent : PAGE);
		ssize_t n;

		if (pace && !run_sleep_until(begin_ns + (e->sent - base) * 1000000000 / pace))
			return;
		pattern_fill(page, length, (uint64_t)e->sent);
		n = send(e->fd, page, length, MSG_NOSIGNAL);
		if (n < 0) {
			net_must_be_closed("send");
			return;
		}
		e->sent += n;
	}
}

static void receive_part(struct end *e, int64_t until)
{
	struct seen *seen = &e->seen;
	uint8_t page[PAGE];

	while (seen->received < until && !run_stopped()) {
		size_t room =
			(size_t)(until - seen->received < PAGE ? until - seen->received : PAGE);
		ssize_t n = recv(e->fd, page, room, 0);

		if (n < 0)
			net_must_be_closed("recv");
		if (n <= 0)
			return;
		seen->misplaced +=
			(int64_t)pattern_misplaced(page, (size_t)n, (uint64_t)seen->received);
		seen->received += n;
		if (seen->received * MARKS >= (seen->looks_n + 1) * total &&
		    seen->looks_n < MARKS) {
			seen->looks[seen->looks_n].at_ns = span_now() - e->begin_ns;
			seen->looks[seen->looks_n++].received = seen->received;
		}
	}
}

static void receive_all(int member, void *argument)
{
	(void)member;
	receive_part(argument, total);
}

/* The near end sends, then receives, and so on; the far one the reverse. */
static void by_turns(struct end *e)
{
	for (int64_t turn = 1; turn <= turns; turn++)
		for (int i = 0; i < 2; i++)
			if (e->near == (i == 0))
				send_part(e, total * turn / turns);
			else
				receive_part(e, total * turn / turns);
}

/* From the begin on.  In a run that was stopped it ends early, which ends the other end's sender and receiver. */
static void take_part(struct end *e)
{
	int64_t variant = e->orders.variant;
	struct team receiver;
	struct span all = {0}, own;

	if (variant == BOTH)
		team_start(&receiver, 1, TEAM_FREE, receive_all, e);
	span_begin(&own);
	if (variant == TURNS)
		by_turns(e);
	else if (variant == BOTH || e->near == (variant == THERE))
		send_part(e, total);
	else
		receive_part(e, total);
	span_end(&own);
	shutdown(e->fd, SHUT_WR);
	if (variant == BOTH)
		all = team_join(&receiver);
	shutdown(e->fd, SHUT_RD);
	span_cover(&all, &own);
	e->seen.cpu_ns = all.cpu_ns;
}

static void prepare(const struct end *e)
{
	net_set(e->fd, SOL_SOCKET, SO_SNDBUF, (int)buffers);
	net_set(e->fd, IPPROTO_TCP, TCP_NODELAY, 1); /* a turn's end waits for no acknowledgement */
}

static void far_end(struct peer *near)
{
	struct end e = {.near = false};

	peer_hear(near, &e.orders, sizeof(e.orders));
	e.fd = peer_accept(near);
	prepare(&e);
	peer_hear(near, NULL, 0);
	e.begin_ns = span_now();
	take_part(&e);
	peer_say(near, &e.seen, sizeof(e.seen));
	close(e.fd);
}

static void (*const halves[])(struct peer *near) = {far_end, NULL};

/* --- one trial ------------------------------------------------------------- */

/* Until the cable's token buckets, which the last trial has emptied, are full again. */
static void rest(void)
{
	if (cable)
		run_sleep_until(span_now() + (int64_t)LINK_BURST * 1000000000 / rate);
}

/* When the last byte came; 0 for none. */
static int64_t took(const struct seen *seen)
{
	return seen->looks_n ? seen->looks[seen->looks_n - 1].at_ns : 0;
}

/* For how long both streams were under way. */
static int64_t overlap(const struct seen *there, const struct seen *back)
{
	int64_t begin_ns, end_ns;

	if (!there->looks_n || !back->looks_n)
		return 0;
	begin_ns = there->looks[0].at_ns > back->looks[0].at_ns ? there->looks[0].at_ns
								: back->looks[0].at_ns;
	end_ns = took(there) < took(back) ? took(there) : took(back);
	return end_ns > begin_ns ? end_ns - begin_ns : 0;
}

static void record_progress(struct run *run, const char *way, const struct seen *seen)
{
	for (int64_t k = 0; k < seen->looks_n; k++)
		run_row(run, "progress",
			(struct field[]){{"way", .text = way},
					 {"at_ns", seen->looks[k].at_ns},
					 {"received_bytes", seen->looks[k].received},
					 {0}});
}

static void record(struct run *run, int64_t variant, const struct seen *there,
		   const struct seen *back)
{
	int64_t asked = total * (variant >= BOTH ? 2 : 1);
	int64_t received = there->received + back->received;

	record_progress(run, "there", there);
	record_progress(run, "back", back);
	run_record(run, (struct field[]){
				{"received_bytes", received},
				{"missing_bytes", asked - received + run_sham(run, "lose")},
				{"misplaced_bytes", there->misplaced + back->misplaced},
				{"there_ns", took(there)},
				{"back_ns", took(back)},
				{"overlap_ns", overlap(there, back)},
				{"elapsed_ns", took(there) > took(back) ? took(there) : took(back)},
				{"cpu_ns", there->cpu_ns + back->cpu_ns},
				{peer_remote(far) ? NULL : "cable", cable != NULL},
				{0}});
}

static void measure(struct run *run)
{
	struct end e = {.near = true,
			.orders = {.variant = (int64_t)run_variant(run),
				   .pace = cable || peer_remote(far) ? 0 : rate}};
	struct net_pair pair;
	struct seen there;

	peer_begin(far, far_end, TEAM_FREE);
	peer_say(far, &e.orders, sizeof(e.orders));
	pair = peer_connect(far, cable, NET_TCP, (struct net_ask){0});
	e.fd = pair.tx;
	prepare(&e);
	rest();
	e.begin_ns = span_now();
	peer_say(far, NULL, 0);
	take_part(&e);
	peer_hear(far, &there, sizeof(there));
	peer_within(there.looks_n, 0, MARKS);
	peer_end(far);
	record(run, e.orders.variant, &there, &e.seen);
	net_close(&pair);
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	double shared = run_bound(run, "shared_share");
	struct interval there = run_ratio(run, run_values(run, THERE, "there_ns"),
					  run_values(run, BOTH, "there_ns"));
	struct interval back =
		run_ratio(run, run_values(run, BACK, "back_ns"), run_values(run, BOTH, "back_ns"));
	struct interval turns_times = run_ratio(run, run_values(run, TURNS, "elapsed_ns"),
						run_values(run, BOTH, "elapsed_ns"));

	enum verdict independent =
		or_not_seen(all_of(is_above(there, shared), is_above(back, shared)));
	double longest_ns = run_bound(run, "alone_times") * (double)total / (double)rate * 1e9;

	if (!peer_remote(far))
		independent = only_if(is_below(run_interval(run, THERE, "there_ns"), longest_ns),
				      independent);
	run_judge(
		run, "tcp-full-duplex", independent,
		"with both ways at once one way has {there} of its speed alone, the other {back}; by turns it takes {turns} times as long as at once",
		number_interval("there", there), number_interval("back", back),
		number_interval("turns", turns_times));
	if (!cable && !peer_remote(far))
		run_note(run, "over loopback, at a rate that the ends keep: {why}",
			 number_text("why", no_cable));
}

static const struct experiment about = {
	.name = "duplex",
	.group = "tcp",
	.order = 409,
	.summary = "Do both ends of a TCP connection send and receive at the same time?",
	.intro =
		"{total_bytes} each way over one TCP connection; on one host at {rate_bytes_per_s} in each direction.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 7,
	.quick_trials = 7,
	.timed = true,
	.halves = halves,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	far = peer_open(run);
	if (loopback && peer_remote(far))
		errx(EXIT_USAGE, "--loopback is of one host, without --peer");
	no_cable = "as asked for";
	if (!loopback && !peer_remote(far))
		cable = link_open((struct link_ask){.rate = rate, .both_ways = true}, &no_cable);
	no_cable = strdup(no_cable);
	pattern_disorder(run_sham(run, "disorder"));
	while (run_next(run))
		measure(run);
	if (cable)
		link_close(cable);
	return run_end(run);
}
