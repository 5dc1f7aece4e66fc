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
 *
 * The kernel gives back room only when a quarter of the buffer was read, and a receiver that wakes
 * late reads too little: loads in which either could change the share as much as the verdict's
 * margin are not compared with 1 - r / o.
 */
#include <math.h>
#include <sys/socket.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "net.h"
#include "span.h"
#include "team.h"

enum {
	FIRST_OVERLOAD = 1,
	LOADS = 6,
	MAX_DATAGRAM = 1472,
	BUFFER = 64 << 10,
	MAX_FILL = 1 << 20,
	STEP_NS = 1000000
};

static const struct variant variants[] = {
	{"load-0.5", "half of what the receiver reads", &(const int64_t){50}},
	{"load-1.05", "1.05 times what it reads", &(const int64_t){105}},
	{"load-1.2", "1.2 times", &(const int64_t){120}},
	{"load-1.5", "1.5 times", &(const int64_t){150}},
	{"load-2", "twice", &(const int64_t){200}},
	{"load-10", "10 times", &(const int64_t){1000}},
	{0}};

static const struct claim claims[] = {
	{"buf-udp-rate", "of o datagrams a second for a receiver that reads r, 1 - r / o are lost",
	 "fast-reader", REFUTED,
	 .why = {[HOLDS] =
			 "UDP has no window: nothing makes the sender slow down, so what the receiver does not take away is dropped."}},
	{0}};

static const struct row_field fields[] = {
	{"offered_per_s", "datagrams a second, as scheduled", "offered|a second"},
	{"rate_per_s", "that the receiver reads, as scheduled"},
	{"sent_datagrams", "in the time that counts"},
	{"dropped_datagrams", "of these, as the receiver counted", "lost", SHOW_SUM,
	 "all_datagrams"},
	{"all_datagrams", "sent_datagrams"},
	{"model_datagrams", "1 - r / o of those sent, with the rate at which they were sent",
	 "1 - r / o", SHOW_SUM, "all_datagrams"},
	{"off_ppm",
	 "share that was lost minus 1 - r / o, in millionths of those sent; absent if the buffer's steps or a late receiver may change it by near_share"},
	{"filled_datagrams", "sent before, to fill the buffer"},
	{"late_ns", "by how much the receiver missed its schedule, at most"},
	{"received_datagrams", "in all"},
	{"unaccounted_datagrams",
	 "sent and neither received, left nor dropped; below 0: more arrived than were sent"},
	{"doubled_datagrams", "that arrived beyond those that were sent", .zero = true,
	 .sham = "double"},
	{"elapsed_ns", "the time that counts"},
	{0}};

static const struct bound bounds[] = {
	{"near_share", 0.1, "far above what a wake-up does to a load of 30 ms"},
	{"step_share", 0.25, "of its buffer: what UDP waits for before it gives back room"},
	{0}};

static int64_t rate = 10000;
static int64_t load_ms = 350;
static int64_t datagram = 100;

static const struct opt opts[] = {{'r', "rate", "datagrams that the receiver reads a second",
				   .num = &rate, .min = 100, .quick = 16000, .max = 100000},
				  {'l', "load", "how long each load lasts", .num = &load_ms,
				   .min = 20, .max = 60000, .quick = 30, .unit = OPT_MS},
				  {'d', "datagram", "size of a datagram", .num = &datagram,
				   .min = 1, .max = MAX_DATAGRAM, .unit = OPT_BYTES},
				  {0}};

/* --- one load ------------------------------------------------------------ */

struct load {
	struct net_pair fd;
	int64_t offered; /* a second */
	int64_t reads;   /* a second */
	int64_t begin_ns, count_ns, end_ns;
	int64_t filled;                          /* sent before begin_ns */
	int64_t sent, received;                  /* since then */
	int64_t uncounted_sent, uncounted_drops; /* before count_ns */
	int64_t drops;                           /* all of them, in the end */
	int64_t late_ns;                         /* the receiver, at most */
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
	int64_t wake_ns = load->begin_ns;
	int64_t used = 0;
	int64_t now;

	run_sleep_until(wake_ns);
	do {
		now = span_now();
		int64_t tokens = due(load, load->reads, now);

		if (now - wake_ns > load->late_ns)
			load->late_ns = now - wake_ns;
		wake_ns = now + STEP_NS;
		if (used < tokens - depth)
			used = tokens - depth;
		for (; used < tokens && receive_one(load); used++)
			load->received++;
	} while (now < load->end_ns && run_sleep_until(wake_ns));
}

/*
 * A load that overflows the buffer in the end does so from the start: no time to fill it.  Room
 * comes back in steps, so what happens while half of it is read is not counted.
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

/* Whether neither the buffer's steps nor a late receiver can have changed the share by the margin. */
static bool is_exact(struct run *run, const struct load *load, int64_t sent)
{
	double margin = run_bound(run, "near_share") * (double)sent;
	double step = run_bound(run, "step_share") * (double)load->filled;

	return sent > 0 && step <= margin && (double)load->late_ns * (double)rate / 1e9 <= margin;
}

static void measure(struct run *run, int64_t percent /* of rate */)
{
	struct load load = {.fd = net_pair(NET_UDP, (struct net_ask){.rcvbuf = BUFFER}),
			    .offered = rate * percent / 100,
			    .reads = run_sham(run, "fast-reader") ? 2 * rate : rate};
	int64_t sent, drops, elapsed, unaccounted;
	int64_t left = 0;
	struct team team;
	double model;

	prepare(&load, percent > 100);
	team_start_two(&team, TEAM_SPREAD, offer, read_by_schedule, &load);
	team_join(&team);
	while (receive_one(&load))
		left++;
	net_close(&load.fd);
	load.received += run_sham(run, "double") * INT64_C(1000000);
	sent = load.sent - load.uncounted_sent;
	drops = load.drops - load.uncounted_drops;
	elapsed = load.end_ns - load.count_ns;
	model = sent > 0 ? fmax(0, 1 - (double)rate * (double)elapsed / 1e9 / (double)sent) : 0;
	unaccounted = load.filled + load.sent - load.drops - load.received - left;
	run_record(run, (struct field[]){{"offered_per_s", load.offered},
					 {"rate_per_s", rate},
					 {"sent_datagrams", sent},
					 {"all_datagrams", sent},
					 {"dropped_datagrams", drops},
					 {"model_datagrams", llround(model * (double)sent)},
					 {"received_datagrams", load.received},
					 {"unaccounted_datagrams", unaccounted},
					 {"doubled_datagrams", unaccounted < 0 ? -unaccounted : 0},
					 {"elapsed_ns", elapsed},
					 {"filled_datagrams", load.filled},
					 {"late_ns", load.late_ns},
					 {is_exact(run, &load, sent) ? "off_ppm" : NULL,
					  llround(((double)drops / (double)sent - model) * 1e6)},
					 {0}});
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	double near = run_bound(run, "near_share") * 1e6;
	enum verdict verdict = HOLDS;
	struct interval worst = {NAN, NAN, NAN, 0};
	struct share lossy = {0}, compared = {0};

	for (size_t l = FIRST_OVERLOAD; l < LOADS; l++) {
		struct interval off = run_interval(run, l, "off_ppm");
		struct share lost = run_nonzero(run, l, "dropped_datagrams");

		verdict = all_of(verdict, is_within(off, -near, near));
		lossy = share_add(lossy, lost);
		compared = share_add(compared, share_of((int64_t)off.n, lost.n));
		if (!(fabs(off.mid) <= fabs(worst.mid)))
			worst = off;
	}
	if (can_happen(lossy) == NOT_SEEN)
		verdict = NOT_SEEN;
	run_judge(
		run, "buf-udp-rate", verdict,
		compared.n > 0 && compared.k == 0
			? MESSAGE("in {lossy} overloads datagrams were lost; they were too short, or the receiver too late, to compare their share with 1 - r / o")
			: MESSAGE("in {lossy} overloads datagrams were lost; in {compared}, which are long enough and whose receiver was in time, their share is off 1 - r / o by {worst_share} at worst (median of a load)"),
		number_share("lossy", lossy), number_share("compared", compared),
		number_real("worst_share", fabs(worst.mid) / 1e6));
}

static const struct experiment about = {
	.name = "udp_load",
	.group = "buffers",
	.order = 314,
	.summary = "How much does UDP lose if the receiver is slower than the sender?",
	.intro = "A receiver that reads {rate} datagrams a second.",
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

	while (run_next(run))
		measure(run, *(const int64_t *)run_how(run));
	return run_end(run);
}
