/* SPDX-License-Identifier: MIT */
/*
 * udp_load - how much does UDP lose if the receiver is slower than the sender?
 *
 * A receiver that reads r datagrams a second by schedule (a token bucket) is offered o a second.  A
 * pipe of width r loses 1 - r / o of that in steady state: so should UDP, however large its buffer,
 * which only puts the loss off.
 *
 * So the buffer is filled before the clock starts, and the time that counts begins when the receiver
 * could have read half of that.  What was sent is accounted for: received, left or dropped.
 */
#include <math.h>
#include <sys/socket.h>

#include "check.h"
#include "exp.h"
#include "old.h"
#include "net.h"
#include "span.h"
#include "team.h"
#include "text.h"

enum { LOADS = 6, MAX_DATAGRAM = 1472, MAX_FILL = 1 << 20, STEP_NS = 1000000 };

static const struct variant variants[] = {{"load-0.5", "half of what the receiver reads"},
					  {"load-1.05", "1.05 times what it reads"},
					  {"load-1.2", "1.2 times"},
					  {"load-1.5", "1.5 times"},
					  {"load-2", "twice"},
					  {"load-10", "10 times"},
					  {0}};

static const int64_t percents[LOADS] = {50, 105, 120, 150, 200, 1000};

static const struct claim claims[] = {
	{"buf-udp-rate", "of o datagrams a second for a receiver that reads r, 1 - r / o are lost"},
	{0}};

static int64_t rate = 10000;
static int64_t load_ms = 350;
static int64_t datagram = 100;

static const struct opt opts[] = {{'r', "rate", "datagrams that the receiver reads a second",
				   .num = &rate, .min = 100, .max = 100000},
				  {'l', "load", "how long each load lasts", .num = &load_ms,
				   .min = 20, .max = 60000, .quick = 80, .unit = OPT_MS},
				  {'d', "datagram", "size of a datagram", .num = &datagram,
				   .min = 1, .max = MAX_DATAGRAM, .unit = OPT_BYTES},
				  {0}};

static const struct experiment about = {
	.name = "udp_load",
	.group = "buffers",
	.summary = "How much does UDP lose if the receiver is slower than the sender?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 2,
	.quick_trials = 1,
};

/* --- one load ------------------------------------------------------------ */

struct load {
	struct net_pair fd;
	int64_t offered; /* a second */
	int64_t begin_ns, count_ns, end_ns;
	int64_t filled;                          /* sent before begin_ns */
	int64_t sent, received;                  /* since then */
	int64_t uncounted_sent, uncounted_drops; /* before count_ns */
	int64_t drops;                           /* all of them, in the end */
};

static void send_one(const struct load *load)
{
	static const uint8_t bytes[MAX_DATAGRAM];

	check_fd((int)send(load->fd.tx, bytes, (size_t)datagram, 0), "send");
}

/* False if there is none. */
static bool receive_one(const struct load *load)
{
	uint8_t bytes[MAX_DATAGRAM];

	return net_recv_now(load->fd.rx, bytes, sizeof(bytes)) >= 0;
}

/* How many are due by a rate a second. */
static int64_t due(const struct load *load, int64_t a_second, int64_t now_ns)
{
	int64_t until = now_ns < load->end_ns ? now_ns : load->end_ns;

	return (int64_t)((double)(until - load->begin_ns) * (double)a_second / 1e9);
}

static void offer(void *argument)
{
	struct load *load = argument;
	bool counting = false;
	int64_t now;

	run_sleep_until(load->begin_ns);
	do {
		now = span_now();
		for (int64_t n = due(load, load->offered, now); load->sent < n; load->sent++)
			send_one(load);
		if (!counting && now >= load->count_ns) {
			counting = true;
			load->count_ns = now;
			load->uncounted_sent = load->sent;
			load->uncounted_drops = net_memory(load->fd.rx).drops;
		}
	} while (now < load->end_ns && run_sleep_until(now + STEP_NS));
	load->drops = net_memory(load->fd.rx).drops;
}

/* Reads by schedule; what it could not use, for there was nothing to read, it keeps for 20 ms. */
static void read_by_schedule(void *argument)
{
	struct load *load = argument;
	int64_t depth = rate / 50 + 1;
	int64_t used = 0;
	int64_t now;

	run_sleep_until(load->begin_ns);
	do {
		now = span_now();
		int64_t tokens = due(load, rate, now);

		if (used < tokens - depth)
			used = tokens - depth;
		for (; used < tokens && receive_one(load); used++)
			load->received++;
	} while (now < load->end_ns && run_sleep_until(now + STEP_NS));
}

/*
 * A load that overflows the buffer in the end does so from the start: no time to fill it.  The
 * kernel gives back room only when a quarter of the buffer was read: so what happens while half of it
 * is read is not counted.
 */
static void prepare(struct load *load, bool overflows)
{
	while (overflows && net_memory(load->fd.rx).drops == 0 && load->filled < MAX_FILL) {
		send_one(load);
		load->filled++;
	}
	load->begin_ns = span_now() + 2000000;
	load->count_ns = load->begin_ns + load->filled * 500000000 / rate;
	load->end_ns = load->count_ns + load_ms * 1000000;
}

static void measure(struct run *run, int64_t percent)
{
	struct load load = {.fd = net_pair(NET_UDP, (struct net_ask){0}),
			    .offered = rate * percent / 100};
	int64_t left = 0;
	struct team team;

	prepare(&load, percent > 100);
	team_start_two(&team, TEAM_SPREAD, offer, read_by_schedule, &load);
	team_join(&team);
	while (receive_one(&load))
		left++;
	net_close(&load.fd);
	run_record(run,
		   (struct field[]){{"offered_per_s", load.offered},
				    {"rate_per_s", rate},
				    {"sent_datagrams", load.sent - load.uncounted_sent},
				    {"receiver_drops", load.drops - load.uncounted_drops},
				    {"received_datagrams", load.received},
				    {"unaccounted_datagrams",
				     load.filled + load.sent - load.drops - load.received - left},
				    {"elapsed_ns", load.end_ns - load.count_ns},
				    {0}});
}

/* --- report -------------------------------------------------------------- */

struct loss {
	double offered; /* a second, as measured */
	double lost, model;
};

static struct loss loss_of(struct run *run, size_t load)
{
	double sent = run_sum(run, load, "sent_datagrams");
	double elapsed = run_sum(run, load, "elapsed_ns");
	double drops = run_sum(run, load, "receiver_drops");
	double offered = sent / elapsed * 1e9;

	return (struct loss){offered, drops / sent, fmax(0, 1 - (double)rate / offered)};
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	fprintf(out, "  A receiver that reads %s a second:\n\n  %9s %9s %10s\n", text_count(rate),
		"offered/s", "lost", "1 - r / o");
	for (size_t l = 0; l < LOADS; l++) {
		struct loss loss = loss_of(run, l);

		if (run_selected(run, l))
			fprintf(out, "  %9s %7.2f %% %8.2f %%\n",
				text_count((int64_t)(loss.offered + 0.5)), loss.lost * 100,
				loss.model * 100);
	}
	fputs("\n", out);
}

static void check_controls(struct run *run)
{
	size_t doubled = 0, lost = 0, loads = 0;

	for (size_t l = 0; l < LOADS; l++) {
		struct values open = run_values(run, l, "unaccounted_datagrams");

		loads += open.n;
		for (size_t i = 0; i < open.n; i++) {
			doubled += open.at[i] < 0;
			lost += open.at[i] > 0;
		}
	}
	old_control(run, doubled == 0, "more arrived than was sent in %zu of %zu loads", doubled,
		    loads);
	if (lost)
		old_note(run,
			 "in %zu of %zu loads datagrams were lost that the receiver did not "
			 "count: the machine was too busy to take them from its own loopback.",
			 lost, loads);
}

static void judge(struct run *run)
{
	const double near = 0.1; /* far above what noise does to a load of 350 ms */
	double worst = 0;

	for (size_t l = 0; l < LOADS; l++)
		if (run_selected(run, l))
			worst = fmax(worst, fabs(loss_of(run, l).lost - loss_of(run, l).model));
	old_verdict(run, "buf-udp-rate", worst <= near ? HOLDS : REFUTED,
		    (struct field[]){{"worst_from_model", .real = &worst}, {0}},
		    "what was lost is 1 - r / o to %.1f points at worst", worst * 100);
}

static void report(struct run *run)
{
	print_table(run);
	check_controls(run);
	judge(run);
	old_why(run,
		"UDP has no window: nothing tells the sender to slow down, so what the receiver "
		"does not take away is dropped.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run))
		measure(run, percents[run_variant(run)]);
	return old_end(run, report);
}
