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
 * machine allows none, it goes over loopback and each end sends at that rate by its own clock.
 */
#include <err.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "link.h"
#include "net.h"
#include "pattern.h"
#include "span.h"
#include "team.h"
#include "text.h"

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
	{"there_ns", "from the begin to the last byte one way; 0: not used", "one|way"},
	{"back_ns", "the same the other way", "the other|way"},
	{"elapsed_ns", "until both have ended", "in all"},
	{"received_bytes", "both ways", "both ways,|a second", SHOW_SUM, "elapsed_ns"},
	{"overlap_ns", "both under way; means little for turns", "at one|time"},
	{"cable", "1: over a cable; 0: loopback"},
	{"missing_bytes", "sent and not received", .zero = true, .sham = "lose"},
	{"misplaced_bytes", "received at another place than sent", .zero = true,
	 .sham = "disorder"},
	{"cpu_ns", "CPU time of all threads"},
	{"way", "there or back", .row = "progress", .text = true},
	{"at_ns", "since the trial began", .row = "progress"},
	{"received_bytes", "by then", .row = "progress"},
	{0}};

static const struct bound bounds[] = {
	{"shared_share", 0.66667,
	 "of its speed alone: two ways that shared one capacity would be left with a half each"},
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

/* --- one trial ------------------------------------------------------------- */

/* One direction of a connection: a stream of total bytes, and what its receiver saw of it. */
struct direction {
	int from, to; /* sockets */
	int64_t sent, received, misplaced;
	int64_t sent_ns; /* time that it took to send them, but for the other's turns */
	int64_t looks_n;
	struct {
		int64_t at_ns, received;
	} looks[MARKS + 1]; /* CLOCK_MONOTONIC */
};

struct trial {
	size_t variant;
	struct direction way[2]; /* there and back */
};

/* Sends up to `until`; over loopback no faster than the rate. */
static void send_part(struct direction *d, int64_t until)
{
	int64_t begin_ns = span_now(), base = d->sent;
	uint8_t page[PAGE];

	while (d->sent < until && !run_stopped()) {
		size_t length = (size_t)(until - d->sent < PAGE ? until - d->sent : PAGE);
		ssize_t n;

		if (!cable && !run_sleep_until(begin_ns + (d->sent - base) * 1000000000 / rate))
			break;
		pattern_fill(page, length, (uint64_t)d->sent);
		n = send(d->from, page, length, MSG_NOSIGNAL);
		if (n < 0)
			err(EXIT_USAGE, "send");
		d->sent += n;
	}
}

static void receive_part(struct direction *d, int64_t until)
{
	uint8_t page[PAGE];

	while (d->received < until && !run_stopped()) {
		size_t room = (size_t)(until - d->received < PAGE ? until - d->received : PAGE);
		ssize_t n = recv(d->to, page, room, 0);

		if (n < 0)
			err(EXIT_USAGE, "recv");
		if (n == 0)
			break;
		d->misplaced += (int64_t)pattern_misplaced(page, (size_t)n, (uint64_t)d->received);
		d->received += n;
		if (d->received * MARKS >= (d->looks_n + 1) * total && d->looks_n < MARKS) {
			d->looks[d->looks_n].at_ns = span_now();
			d->looks[d->looks_n++].received = d->received;
		}
	}
}

static void one_side(int member, void *argument)
{
	struct trial *t = argument;
	struct direction *d = &t->way[t->variant == BACK ? 1 : member / 2];

	if (member % 2 == 0)
		send_part(d, total);
	else
		receive_part(d, total);
}

/* The end `member`: one thread that sends, then receives, and so on; the other one the reverse. */
static void by_turns(int member, void *argument)
{
	struct trial *t = argument;

	for (int64_t turn = 1; turn <= turns; turn++)
		for (int i = 0; i < 2; i++) {
			struct direction *d = &t->way[i];

			if (i == member)
				send_part(d, total * turn / turns);
			else
				receive_part(d, total * turn / turns);
		}
}

static struct net_pair open_pair(void)
{
	struct net_ask ask = {.sndbuf = buffers};
	struct net_pair pair = cable ? link_pair(cable, NET_TCP, ask) : net_pair(NET_TCP, ask);

	net_set(pair.rx, SOL_SOCKET, SO_SNDBUF, (int)buffers);
	net_set(pair.tx, IPPROTO_TCP, TCP_NODELAY,
		1); /* a turn's end waits for no acknowledgement */
	net_set(pair.rx, IPPROTO_TCP, TCP_NODELAY, 1);
	return pair;
}

/* Until the cable's token buckets, which the last trial has emptied, are full again. */
static bool rest(void)
{
	return !cable || run_sleep_until(span_now() + (int64_t)LINK_BURST * 1000000000 / rate);
}

/* When the last byte of a direction came, since the trial began; 0 for none. */
static int64_t took(const struct direction *d, int64_t begin_ns)
{
	return d->looks_n ? d->looks[d->looks_n - 1].at_ns - begin_ns : 0;
}

static void record(struct run *run, const struct trial *t, const struct span *all)
{
	static const char *const names[] = {"there", "back"};
	int64_t there_ns = took(&t->way[0], all->begin_ns),
		back_ns = took(&t->way[1], all->begin_ns);
	int64_t begin_ns = 0, end_ns = INT64_MAX, asked = 0, received = 0, misplaced = 0;

	for (int i = 0; i < 2; i++) {
		const struct direction *d = &t->way[i];

		for (int64_t k = 0; k < d->looks_n; k++)
			run_row(run, "progress",
				(struct field[]){{"way", .text = names[i]},
						 {"at_ns", d->looks[k].at_ns - all->begin_ns},
						 {"received_bytes", d->looks[k].received},
						 {0}});
		if (d->looks_n && d->looks[0].at_ns > begin_ns)
			begin_ns = d->looks[0].at_ns;
		if (d->looks_n && d->looks[d->looks_n - 1].at_ns < end_ns)
			end_ns = d->looks[d->looks_n - 1].at_ns;
		received += d->received;
		misplaced += d->misplaced;
	}
	asked = total * (t->variant >= BOTH ? 2 : 1);
	run_record(run, (struct field[]){
				{"cable", cable != NULL},
				{"received_bytes", received},
				{"missing_bytes", asked - received + run_sham(run, "lose")},
				{"misplaced_bytes", misplaced},
				{"there_ns", there_ns},
				{"back_ns", back_ns},
				{"overlap_ns",
				 t->variant >= BOTH && end_ns > begin_ns ? end_ns - begin_ns : 0},
				{"elapsed_ns", there_ns > back_ns ? there_ns : back_ns},
				{"cpu_ns", all->cpu_ns},
				{0}});
}

static void measure(struct run *run)
{
	struct trial t = {.variant = run_variant(run)};
	struct net_pair pair = open_pair();
	struct team team;
	struct span all;

	t.way[0].from = t.way[1].to = pair.tx;
	t.way[0].to = t.way[1].from = pair.rx;
	if (!rest()) {
		net_close(&pair);
		return;
	}
	if (t.variant == TURNS)
		team_start(&team, 2, TEAM_FREE, by_turns, &t);
	else
		team_start(&team, t.variant == BOTH ? 4 : 2, TEAM_FREE, one_side, &t);
	all = team_join(&team);
	record(run, &t, &all);
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

	run_judge(
		run, "tcp-full-duplex",
		or_not_seen(all_of(is_above(there, shared), is_above(back, shared))),
		"with both ways at once one way has {there} of its speed alone, the other {back}; by turns it takes {turns} times as long as at once",
		number_interval("there", there), number_interval("back", back),
		number_interval("turns", turns_times));
	if (!cable)
		run_note(run, "over loopback, at a rate that the ends keep: {why}",
			 number_text("why", no_cable));
}

static const struct experiment about = {
	.name = "duplex",
	.group = "tcp",
	.order = 409,
	.summary = "Do both ends of a TCP connection send and receive at the same time?",
	.intro =
		"{total_bytes} each way over one TCP connection, at {rate_bytes_per_s} in each direction.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 7,
	.quick_trials = 7,
	.timed = true,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	no_cable = "as asked for";
	if (!loopback)
		cable = link_open((struct link_ask){.rate = rate, .both_ways = true}, &no_cable);
	no_cable = strdup(no_cable);
	pattern_disorder(run_sham(run, "disorder"));
	while (run_next(run))
		measure(run);
	if (cable)
		link_close(cable);
	return run_end(run);
}
