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
#include "old.h"
#include "link.h"
#include "net.h"
#include "pattern.h"
#include "span.h"
#include "team.h"
#include "text.h"

enum { THERE, BACK, BOTH, TURNS, VARIANTS };

static const struct variant variants[] = {[THERE] = {"there", "one way"},
					  [BACK] = {"back", "the other way"},
					  [BOTH] = {"both", "both ways at the same time"},
					  [TURNS] = {"turns", "both ways by turns (control)"},
					  {0}};

static const struct claim claims[] = {
	{"tcp-full-duplex", "both ends send and receive at the same time, independently"}, {0}};

enum { MARKS = 40, LINK_BURST = 16 << 10, PAGE = 4 << 10 };

static int64_t rate = 5 << 19; /* 21 Mbit/s */
static int64_t total = 640 << 10;
static int64_t turns = 2;
static int64_t buffers = 8 << 10;
static bool loopback;

static const struct opt opts[] = {
	{'r', "rate", "of the cable in each direction", .num = &rate, .min = 64 << 10,
	 .max = 16 << 20, .unit = OPT_BYTES_PER_S},
	{'n', "total", "what goes each way", .num = &total, .min = 64 << 10, .max = 64 << 20,
	 .quick = 256 << 10, .unit = OPT_BYTES},
	{0, "turns", "turns of each end in turns", .num = &turns, .min = 1, .max = 64},
	{0, "buffers", "SO_SNDBUF to ask for, less than the cable's queue", .num = &buffers,
	 .min = 4096, .max = 128 << 10, .unit = OPT_BYTES},
	{0, "loopback", "no cable: loopback, where each end limits its own rate",
	 .flag = &loopback},
	{0}};

static const struct experiment about = {
	.name = "duplex",
	.group = "tcp",
	.summary = "Do both ends of a TCP connection send and receive at the same time?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 3,
	.quick_trials = 1,
};

/* Of its speed alone: two ways that shared one capacity would be left with a half each. */
static const double SHARED = 2.0 / 3;

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
	run_record(run, (struct field[]){{"cable", cable != NULL},
					 {"received_bytes", received},
					 {"missing_bytes", asked - received},
					 {"misplaced_bytes", misplaced},
					 {"there_ns", there_ns},
					 {"back_ns", back_ns},
					 {"overlap_ns", t->variant >= BOTH && end_ns > begin_ns
								? end_ns - begin_ns
								: 0},
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

/* --- report ---------------------------------------------------------------- */

/* Bytes a second each way, of each trial. */
static double speed(struct run *run, size_t variant, const char *field)
{
	double ns = run_median(run, variant, field);

	return ns > 0 ? (double)total * 1e9 / ns : 0;
}

static const char *mbits(double bytes_per_s)
{
	return bytes_per_s > 0 ? text_format("%.2f Mbit/s", bytes_per_s * 8 / 1e6) : "-";
}

/* How much longer `slow` took than `fast` in each round: the median with its interval. */
static struct interval ratio(struct run *run, size_t slow, const char *slow_field, size_t fast,
			     const char *fast_field)
{
	return stats_ratio(run_values(run, slow, slow_field), run_values(run, fast, fast_field));
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run, "%s each way over one TCP connection; %s.", text_bytes(total),
		cable ? text_format("the cable carries %s in each direction", mbits((double)rate))
		      : text_format("each end sends at %s", mbits((double)rate)));
	fputs("\n", out);
	fprintf(out, "  %-8s %6s %15s %15s %10s %14s\n", "", "trials", "there", "back", "in all",
		"at one time");
	for (size_t v = 0; v < VARIANTS; v++) {
		double overlap = run_median(run, v, "overlap_ns");

		if (run_selected(run, v))
			fprintf(out, "  %-8s %6zu %15s %15s %10s %14s\n", variants[v].name,
				run_values(run, v, "elapsed_ns").n,
				v == BACK ? "" : mbits(speed(run, v, "there_ns")),
				v == THERE ? "" : mbits(speed(run, v, "back_ns")),
				text_time(run_median(run, v, "elapsed_ns")),
				v == BOTH ? text_time(overlap) : "");
	}
	fputs("\n", out);
}

static void judge(struct run *run)
{
	struct interval there = ratio(run, THERE, "there_ns", BOTH, "there_ns");
	struct interval back = ratio(run, BACK, "back_ns", BOTH, "back_ns");
	struct interval half = ratio(run, TURNS, "elapsed_ns", BOTH, "elapsed_ns");
	double both = speed(run, BOTH, "there_ns") + speed(run, BOTH, "back_ns");
	double one = fmax(speed(run, THERE, "there_ns"), speed(run, BACK, "back_ns"));

	if (half.mid < 1.2)
		old_note(
			run,
			"by turns took only %.2f times as long as both at once: the bytes saved up "
			"between the turns, or other programs, count for much. Raise --total.",
			half.mid);
	if (!run_selected(run, THERE) || !run_selected(run, BACK) || !run_selected(run, BOTH))
		return;
	old_verdict(
		run, "tcp-full-duplex",
		there.mid > SHARED && back.mid > SHARED   ? HOLDS
		: there.mid > SHARED || back.mid > SHARED ? DEPENDS
							  : NOT_SEEN,
		(struct field[]){{"there_ratio", .real = &there.mid},
				 {"there_ratio_low", .real = &there.low},
				 {"there_ratio_high", .real = &there.high},
				 {"back_ratio", .real = &back.mid},
				 {"back_ratio_low", .real = &back.low},
				 {"back_ratio_high", .real = &back.high},
				 {"turns_ratio", .real = &half.mid},
				 {"cable", cable != NULL},
				 {0}},
		"both ways at once %s, one way alone %s at most: there at %.2f (%.2f to %.2f) "
		"of its speed alone, back at %.2f (%.2f to %.2f)%s%s",
		mbits(both), mbits(one), there.mid, there.low, there.high, back.mid, back.low,
		back.high,
		run_selected(run, TURNS)
			? text_format("; by turns it took %.2f times as long as at once", half.mid)
			: "",
		cable ? ""
		      : text_format(". Over loopback, at a rate that the ends kept: %s", no_cable));
}

static void report(struct run *run)
{
	print_table(run);
	for (size_t v = 0; v < VARIANTS; v++) {
		struct values missing = run_values(run, v, "missing_bytes");
		struct values misplaced = run_values(run, v, "misplaced_bytes");

		old_control(run, stats_nonzero(missing) + stats_nonzero(misplaced) == 0,
			    "%s: bytes were lost or changed in %zu of %zu trials", variants[v].name,
			    stats_nonzero(missing) + stats_nonzero(misplaced), missing.n);
	}
	judge(run);
	old_why(run, "a connection is two streams, each with its own sequence numbers, buffers and "
		     "window, and the cable has a wire for each. What both ways together lack: the "
		     "acknowledgements of one wait behind the data of the other.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	no_cable = "as asked for";
	if (!loopback)
		cable = link_open((struct link_ask){.rate = rate}, &no_cable);
	if (cable) {
		const char *said = link_run(
			cable, LINK_RX,
			text_format("tc qdisc add dev cable root tbf rate %lldbps burst %d limit "
				    "%d",
				    (long long)rate, LINK_BURST, 256 << 10));

		if (*said) {
			no_cable = text_format("tc: %.*s", (int)strcspn(said, "\n"), said);
			link_close(cable);
			cable = NULL;
		}
	}
	no_cable = strdup(no_cable);
	while (run_next(run))
		measure(run);
	if (cable)
		link_close(cable);
	return old_end(run, report);
}
