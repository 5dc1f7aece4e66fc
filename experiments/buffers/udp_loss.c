/* SPDX-License-Identifier: MIT */
/*
 * udp_loss - when does UDP lose datagrams, how many, where, and when does it block instead?
 *
 *	burst-*   Nobody reads while a burst arrives.  How many datagrams survive, for datagrams of
 *	          1 to 65,507 bytes and receive buffers of all sizes?  One datagram predicts it: the
 *	          buffer is charged with t bytes for it, so rcvbuf / t of them fit.
 *	load-*    A receiver that reads r datagrams a second by schedule (a token bucket) is offered o a
 *	          second.  A pipe of width r in steady state loses 1 - r / o: so does UDP.
 *	the rest  The places of loss: a full receiver, a full queue in front of a slow link with and
 *	          without IP_RECVERR, a port that nobody is bound to.  And a slow link with a small
 *	          send buffer, where send blocks and nothing is lost.
 *
 * The link is a cable between two network namespaces (link.h); without it those are skipped.
 */
#include <err.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "link.h"
#include "net.h"
#include "pattern.h"
#include "span.h"
#include "team.h"
#include "text.h"

enum { BUFFERS = 7, SIZES = 8, LOADS = 6, NAME = 16, MIB = 1 << 20 };
enum { FIRST_LOAD = BUFFERS, FIRST_PLACE = BUFFERS + LOADS };
enum { RECEIVER = FIRST_PLACE, SLOW_LINK, QUEUE, QUEUE_TOLD, NO_LISTENER, VARIANTS };

static const struct {
	const char *name;
	int64_t bytes; /* SO_RCVBUF to ask for; 0 = the default */
} buffers[BUFFERS] = {{"minimum", 1}, {"4K", 4 << 10},     {"16K", 16 << 10}, {"64K", 64 << 10},
		      {"default", 0}, {"256K", 256 << 10}, {"1M", MIB}};

static const int64_t sizes[SIZES] = {1, 100, 512, 1000, 1472, 4096, 16384, 65507};

static const struct {
	const char *name;
	int64_t percent; /* of the receiver's rate that is offered */
} loads[LOADS] = {{"load-0.5", 50},  {"load-1.05", 105}, {"load-1.2", 120},
		  {"load-1.5", 150}, {"load-2", 200},    {"load-10", 1000}};

static char burst_names[BUFFERS][NAME];
static struct variant variants[VARIANTS + 1] = {
	[RECEIVER] = {"receiver", "nobody reads: the receive buffer overflows"},
	[SLOW_LINK] = {"slow-link", "a slow link and a small send buffer: send blocks"},
	[QUEUE] = {"queue", "a slow link whose queue overflows"},
	[QUEUE_TOLD] = {"queue-told", "the same, and the sender asked to be told (IP_RECVERR)"},
	[NO_LISTENER] = {"no-listener", "nobody is bound to the port"},
};

static const struct claim claims[] = {{"buf-udp-loses", "UDP loses datagrams instead of blocking"},
				      {0}};

static int64_t rate = 10000;
static int64_t load_ms = 350;
static int64_t load_size = 100;
static int64_t link_rate = 2 << 20;
static int64_t burst = 300;

static const struct opt opts[] = {{'r', "rate",
				   "datagrams that the receiver of load-* reads a second",
				   .num = &rate, .min = 100, .max = 100000},
				  {'l', "load", "how long each load lasts", .num = &load_ms,
				   .min = 20, .max = 60000, .quick = 80, .unit = OPT_MS},
				  {'d', "datagram", "size of a datagram of load-*",
				   .num = &load_size, .min = 1, .max = 1472, .unit = OPT_BYTES},
				  {0, "link-rate", "of the slow link", .num = &link_rate,
				   .min = 64 << 10, .max = 1 << 30, .unit = OPT_BYTES_PER_S},
				  {'n', "burst", "datagrams sent at once to each place of loss",
				   .num = &burst, .min = 50, .max = 100000, .quick = 100},
				  {0}};

static const struct experiment about = {
	.name = "udp_loss",
	.group = "buffers",
	.summary = "When does UDP lose datagrams, how many, and where?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 2,
	.quick_trials = 1,
};

static uint8_t buffer[1 << 16];

/* One datagram without waiting; false if there is none. */
static bool receive(int fd, ssize_t *length)
{
	*length = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
	if (*length < 0 && errno != EAGAIN)
		err(EXIT_USAGE, "recv");
	return *length >= 0;
}

/* Reads all there is; how many datagrams. */
static int64_t drain(int fd)
{
	int64_t datagrams = 0;
	ssize_t length;

	while (receive(fd, &length))
		datagrams++;
	return datagrams;
}

/* --- a burst ------------------------------------------------------------- */

/* Waits until all that was sent is either charged to the receiver or dropped there. */
static void await(int rx, int64_t sent, int64_t charge)
{
	int64_t deadline_ns = span_now() + 100000000;
	struct net_memory memory = net_memory(rx);

	while (memory.receive < (sent - memory.drops) * charge && span_now() < deadline_ns &&
	       run_sleep_until(span_now() + 100000))
		memory = net_memory(rx);
}

/* What the receive buffer is charged with for one datagram of this size. */
static int64_t charge_of(int64_t size)
{
	struct net_pair fd = net_pair(NET_UDP, (struct net_ask){0});
	int64_t charge;

	check_fd((int)send(fd.tx, buffer, (size_t)size, 0), "send");
	await(fd.rx, 1, 1);
	charge = net_memory(fd.rx).receive;
	net_close(&fd);
	if (charge <= 0 && !run_stopped())
		errx(EXIT_USAGE, "a datagram on loopback was not charged to its receiver");
	return charge > 0 ? charge : 1;
}

static void measure_burst(struct run *run, int64_t asked, int64_t size)
{
	struct net_pair fd = net_pair(NET_UDP, (struct net_ask){256 << 10, asked, NULL});
	int64_t granted = net_rcvbuf(fd.rx);
	int64_t charge = charge_of(size);
	int64_t predicted = granted >= charge ? granted / charge : 1;
	int64_t sent = predicted + predicted / 8 + 4;
	int64_t survivors = 0, changed = 0, drops;
	ssize_t length;

	for (int64_t i = 0; i < sent; i++) {
		pattern_fill(buffer, (size_t)size, (uint64_t)(i * size));
		check_fd((int)send(fd.tx, buffer, (size_t)size, 0), "send");
		if (i % 256 == 255) /* so that nothing but the receive buffer can overflow */
			await(fd.rx, i + 1, charge);
	}
	await(fd.rx, sent, charge);
	drops = net_memory(fd.rx).drops;
	while (receive(fd.rx, &length)) {
		changed += length != size ||
			   pattern_misplaced(buffer, (size_t)length, (uint64_t)(survivors * size));
		survivors++;
	}
	net_close(&fd);
	run_record(run, (struct field[]){{"part", .text = "burst"},
					 {"asked_bytes", asked},
					 {"granted_bytes", granted},
					 {"datagram_bytes", size},
					 {"charge_bytes", charge},
					 {"predicted_datagrams", predicted},
					 {"survivors_datagrams", survivors},
					 {"sent_datagrams", sent},
					 {"receiver_drops", drops},
					 {"unaccounted_datagrams", sent - survivors - drops},
					 {"changed_datagrams", changed},
					 {0}});
}

/* --- a steady load ------------------------------------------------------- */

struct load {
	struct net_pair fd;
	int64_t offered; /* a second */
	int64_t begin_ns, count_ns, end_ns;
	int64_t sent, received;                  /* since begin_ns */
	int64_t uncounted_sent, uncounted_drops; /* before count_ns */
	int64_t drops;                           /* all of them, in the end */
};

/* How many are due by a rate a second. */
static int64_t due(const struct load *load, int64_t a_second, int64_t now_ns)
{
	int64_t until = now_ns < load->end_ns ? now_ns : load->end_ns;

	return (int64_t)((double)(until - load->begin_ns) * (double)a_second / 1e9);
}

static void offer(struct load *load)
{
	uint8_t datagram[1472] = {0};
	bool counting = false;
	int64_t now;

	do {
		now = span_now();
		for (int64_t n = due(load, load->offered, now); load->sent < n; load->sent++)
			check_fd((int)send(load->fd.tx, datagram, (size_t)load_size, 0), "send");
		if (!counting && now >= load->count_ns) {
			counting = true;
			load->count_ns = now;
			load->uncounted_sent = load->sent;
			load->uncounted_drops = net_memory(load->fd.rx).drops;
		}
	} while (now < load->end_ns && run_sleep_until(now + 1000000));
	load->drops = net_memory(load->fd.rx).drops;
}

/* Reads by schedule; what it could not use, for there was nothing to read, it keeps for 20 ms. */
static void read_by_schedule(struct load *load)
{
	int64_t depth = rate / 50 + 1;
	int64_t used = 0;
	int64_t now;
	ssize_t length;

	do {
		now = span_now();
		int64_t tokens = due(load, rate, now);

		if (used < tokens - depth)
			used = tokens - depth;
		for (; used < tokens && receive(load->fd.rx, &length); used++)
			load->received++;
	} while (now < load->end_ns && run_sleep_until(now + 1000000));
}

static void load_work(int member, void *argument)
{
	struct load *load = argument;

	run_sleep_until(load->begin_ns);
	if (member == 0)
		offer(load);
	else
		read_by_schedule(load);
}

static void measure_load(struct run *run, int64_t percent)
{
	struct load load = {.fd = net_pair(NET_UDP, (struct net_ask){0}),
			    .offered = rate * percent / 100};
	int64_t prefilled = 0, left;
	struct team team;

	/*
	 * A load that overflows the buffer in the end does so from the start: no time to fill it.
	 * And the kernel gives back room only when a quarter of the buffer was read: so what
	 * happens while half of it is read is not counted.
	 */
	while (percent > 100 && net_memory(load.fd.rx).drops == 0 && prefilled < MIB) {
		check_fd((int)send(load.fd.tx, buffer, (size_t)load_size, 0), "send");
		prefilled++;
	}
	load.begin_ns = span_now() + 2000000;
	load.count_ns = load.begin_ns + prefilled * 500000000 / rate;
	load.end_ns = load.count_ns + load_ms * 1000000;
	team_start(&team, 2, TEAM_SPREAD, load_work, &load);
	team_join(&team);
	left = drain(load.fd.rx);
	net_close(&load.fd);
	run_record(run,
		   (struct field[]){{"part", .text = "load"},
				    {"offered_per_s", load.offered},
				    {"rate_per_s", rate},
				    {"sent_datagrams", load.sent - load.uncounted_sent},
				    {"receiver_drops", load.drops - load.uncounted_drops},
				    {"received_datagrams", load.received},
				    {"unaccounted_datagrams",
				     prefilled + load.sent - load.drops - load.received - left},
				    {"elapsed_ns", load.end_ns - load.count_ns},
				    {0}});
}

/* --- the places of loss -------------------------------------------------- */

enum { PLACE_SIZE = 1000, LINK_QUEUE = 32 << 10, SMALL = 4 << 10 };

static struct link *cable;   /* NULL = not allowed here, */
static const char *no_cable; /* and why */

/* What became of the calls, and of the datagrams. */
struct place {
	int64_t sent;                        /* send said that it was sent */
	int64_t again, no_buffers, refused;  /* send said EAGAIN, ENOBUFS, ECONNREFUSED */
	int64_t blocked_calls, blocked_ns;   /* send slept */
	int64_t arrived;                     /* at the receiver */
	int64_t receiver_drops, queue_drops; /* that the kernel counted */
	int64_t sndbuf;
};

static bool on_link(size_t variant)
{
	return variant >= SLOW_LINK && variant <= QUEUE_TOLD;
}

/* What the queue in front of the link has dropped since there is the link. */
static int64_t queue_drops(void)
{
	const char *said =
		strstr(link_run(cable, LINK_TX, "tc -s qdisc show dev cable"), "(dropped ");

	if (!said)
		errx(EXIT_USAGE, "tc tells of no dropped datagrams");
	return strtoll(said + strlen("(dropped "), NULL, 10);
}

static void send_one(struct place *place, int fd, int flags)
{
	int64_t sleeps = span_sleeps();
	int64_t begin_ns = span_now();
	ssize_t sent = send(fd, buffer, PLACE_SIZE, flags);
	int error = sent < 0 ? errno : 0;

	if (span_sleeps() > sleeps) {
		place->blocked_calls++;
		place->blocked_ns += span_now() - begin_ns;
	}
	place->sent += error == 0;
	place->again += error == EAGAIN;
	place->no_buffers += error == ENOBUFS;
	place->refused += error == ECONNREFUSED;
	if (error && error != EAGAIN && error != ENOBUFS && error != ECONNREFUSED)
		err(EXIT_USAGE, "send");
}

/* A socket connected to a port to which nobody is bound any more. */
static struct net_pair without_listener(void)
{
	struct net_pair fd = net_pair(NET_UDP, (struct net_ask){0});

	close(fd.rx);
	fd.rx = -1;
	return fd;
}

static struct net_pair pair_for(size_t variant)
{
	struct net_pair fd;

	if (variant == NO_LISTENER)
		return without_listener();
	if (!on_link(variant))
		return net_pair(NET_UDP, (struct net_ask){MIB, SMALL, NULL});
	fd = link_pair(cable, NET_UDP,
		       (struct net_ask){variant == SLOW_LINK ? SMALL : MIB, MIB, NULL});
	net_set(fd.tx, IPPROTO_IP, IP_RECVERR, variant == QUEUE_TOLD);
	return fd;
}

/*
 * Reads until no more comes: soon after the last one that is not accounted for yet.  What the queue
 * drops can be another protocol's, so its count alone does not say that all have come.
 */
static void collect(struct place *place, int rx)
{
	int64_t frame_ns = 1000000000LL * PLACE_SIZE / link_rate;
	int64_t quiet_ns = span_now();
	int64_t patience_ns;

	do {
		int64_t more = drain(rx);
		int64_t calls = place->sent + place->no_buffers;

		place->arrived += more;
		place->receiver_drops = net_memory(rx).drops;
		if (more)
			quiet_ns = span_now();
		patience_ns = 4 * frame_ns + 20000000;
		if (place->arrived + place->receiver_drops + place->queue_drops < calls)
			patience_ns += 200000000;
	} while (span_now() < quiet_ns + patience_ns && run_sleep_until(span_now() + 1000000));
}

static void measure_place(struct run *run, size_t variant)
{
	struct net_pair fd = pair_for(variant);
	struct place place = {.sndbuf = net_sndbuf(fd.tx)};
	int64_t drops = 0;

	if (on_link(variant)) { /* the first datagram asks for the neighbour's address */
		send_one(&place, fd.tx, 0);
		for (int64_t end = span_now() + 1000000000;
		     !drain(fd.rx) && span_now() < end && run_sleep_until(span_now() + 1000000);)
			;
		place = (struct place){.sndbuf = place.sndbuf};
		drops = queue_drops();
	}
	for (int64_t i = 0; i < burst && !run_stopped(); i++)
		send_one(&place, fd.tx, 0);
	for (int i = 0; variant == SLOW_LINK && i < 10; i++)
		send_one(&place, fd.tx, MSG_DONTWAIT);
	if (on_link(variant))
		place.queue_drops = queue_drops() - drops;
	if (fd.rx >= 0)
		collect(&place, fd.rx);
	net_close(&fd);
	run_record(run, (struct field[]){
				{"part", .text = "place"},
				{"sent_datagrams", place.sent},
				{"eagain_calls", place.again},
				{"enobufs_calls", place.no_buffers},
				{"econnrefused_calls", place.refused},
				{"blocked_calls", place.blocked_calls},
				{"blocked_ns", place.blocked_ns},
				{"arrived_datagrams", place.arrived},
				{"lost_datagrams", place.sent + place.no_buffers - place.arrived},
				{"receiver_drops", place.receiver_drops},
				{"queue_drops", place.queue_drops},
				{"granted_sndbuf_bytes", place.sndbuf},
				{0}});
}

/* --- report -------------------------------------------------------------- */

/* How many cells, each the trials of one buffer and size, came out as predicted, of how many. */
static size_t count_cells(struct run *run, size_t *exact)
{
	size_t cells = 0;

	*exact = 0;
	for (size_t b = 0; b < BUFFERS; b++) {
		struct values survivors = run_values(run, b, "survivors_datagrams");
		struct values predicted = run_values(run, b, "predicted_datagrams");

		for (size_t s = 0; s < SIZES && s < survivors.n; s++) {
			size_t i = s;

			while (i < survivors.n && survivors.at[i] == predicted.at[i])
				i += SIZES;
			*exact += i >= survivors.n;
			cells++;
		}
	}
	return cells;
}

static void print_bursts(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run, "Survivors of a burst that nobody reads, by datagram and by SO_RCVBUF asked "
		     "for; ! marks what one datagram did not predict.");
	fprintf(out, "\n  %8s", "asked");
	for (size_t b = 0; b < BUFFERS; b++)
		if (run_selected(run, b))
			fprintf(out, " %9s", buffers[b].name);
	fprintf(out, "\n  %8s", "granted");
	for (size_t b = 0; b < BUFFERS; b++)
		if (run_selected(run, b))
			fprintf(out, " %9s",
				text_count((int64_t)run_median(run, b, "granted_bytes")));
	for (size_t s = 0; s < SIZES; s++) {
		fprintf(out, "\n  %6s B", text_count(sizes[s]));
		for (size_t b = 0; b < BUFFERS; b++) {
			struct values survivors = run_values(run, b, "survivors_datagrams");
			struct values predicted = run_values(run, b, "predicted_datagrams");

			if (survivors.n > s)
				fprintf(out, " %9s",
					text_format("%s%s", text_count(survivors.at[s]),
						    survivors.at[s] == predicted.at[s] ? "" : "!"));
		}
	}
	fputs("\n\n", out);
}

struct loss {
	double offered; /* a second, as measured */
	double lost, model;
};

static struct loss loss_of(struct run *run, size_t load)
{
	size_t variant = FIRST_LOAD + load;
	double sent = stats_sum(run_values(run, variant, "sent_datagrams"));
	double elapsed = stats_sum(run_values(run, variant, "elapsed_ns"));
	double drops = stats_sum(run_values(run, variant, "receiver_drops"));
	double offered = sent / elapsed * 1e9;

	return (struct loss){offered, drops / sent, fmax(0, 1 - (double)rate / offered)};
}

/* The table; the greatest distance from the model, NAN if there was no load. */
static double print_loads(struct run *run)
{
	FILE *out = run_out(run);
	double worst = NAN;

	for (size_t l = 0; l < LOADS; l++) {
		struct loss loss = loss_of(run, l);

		if (!isfinite(loss.lost))
			continue;
		if (!isfinite(worst))
			fprintf(out, "  A receiver that reads %s a second:\n\n  %9s %9s %10s\n",
				text_count(rate), "offered/s", "lost", "1 - r / o");
		worst = fmax(worst, fabs(loss.lost - loss.model));
		fprintf(out, "  %9s %7.2f %% %8.2f %%\n", text_count((int64_t)(loss.offered + 0.5)),
			loss.lost * 100, loss.model * 100);
	}
	if (isfinite(worst))
		fputs("\n", out);
	return worst;
}

/* What the sender was told, in a few words. */
static const char *told(struct run *run, size_t variant)
{
	static const struct {
		const char *field, *what;
	} errors[] = {{"eagain_calls", "EAGAIN"},
		      {"enobufs_calls", "ENOBUFS"},
		      {"econnrefused_calls", "ECONNREFUSED"}};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (run_median(run, variant, errors[i].field) > 0)
			return text_format("%s %.0fx", errors[i].what,
					   run_median(run, variant, errors[i].field));
	return "nothing";
}

/* Who dropped what, as the kernel counted. */
static const char *dropped_by(struct run *run, size_t variant)
{
	double receiver = run_median(run, variant, "receiver_drops");
	double queue = run_median(run, variant, "queue_drops");

	if (variant == NO_LISTENER)
		return "no socket";
	if (receiver > 0)
		return text_format("receiver %.0f", receiver);
	return queue > 0 ? text_format("queue %.0f", queue) : "-";
}

static void print_places(struct run *run)
{
	FILE *out = run_out(run);
	bool any = false;

	for (size_t v = FIRST_PLACE; v < VARIANTS; v++) {
		double blocked = run_median(run, v, "blocked_ns");

		if (run_values(run, v, "sent_datagrams").n == 0)
			continue;
		if (!any)
			fprintf(out, "  %-11s %6s %8s %8s %6s  %-12s  %s\n", "where", "sent",
				"blocked", "arrived", "lost", "dropped by", "sender was told");
		any = true;
		fprintf(out, "  %-11s %6.0f %8s %8.0f %6.0f  %-12s  %s\n", variants[v].name,
			run_median(run, v, "sent_datagrams"),
			blocked > 0 ? text_time(blocked) : "-",
			run_median(run, v, "arrived_datagrams"),
			run_median(run, v, "lost_datagrams"), dropped_by(run, v), told(run, v));
	}
	if (any)
		fputs("\n", out);
}

static void judge_controls(struct run *run)
{
	size_t changed = 0, doubled = 0, lost = 0, trials = 0;

	for (size_t v = 0; v < FIRST_PLACE; v++) {
		struct values open = run_values(run, v, "unaccounted_datagrams");

		changed += stats_nonzero(run_values(run, v, "changed_datagrams"));
		trials += open.n;
		for (size_t i = 0; i < open.n; i++) {
			doubled += open.at[i] < 0;
			lost += open.at[i] > 0;
		}
	}
	run_control(run, changed == 0, "%zu bursts arrived changed or not in order", changed);
	run_control(run, doubled == 0, "more arrived than was sent in %zu of %zu cases", doubled,
		    trials);
	if (lost)
		run_note(run,
			 "in %zu of %zu cases datagrams were lost that the receiver did not "
			 "count: the machine was too busy to take them from its own loopback.",
			 lost, trials);
}

/* What of the parts was shown, joined to a sentence; those that are NULL were not. */
static const char *join(const char *const *parts, size_t n)
{
	const char *all = "";

	for (size_t i = 0; i < n; i++)
		if (parts[i])
			all = text_format("%s%s%s", all, *all ? "; " : "", parts[i]);
	return all;
}

static void judge(struct run *run, double worst)
{
	size_t exact = 0, cells = count_cells(run, &exact);
	double receiver = stats_sum(run_values(run, RECEIVER, "lost_datagrams"));
	double queue = stats_sum(run_values(run, QUEUE, "lost_datagrams")) +
		       stats_sum(run_values(run, QUEUE_TOLD, "lost_datagrams"));
	double blocked = stats_sum(run_values(run, SLOW_LINK, "blocked_calls"));
	double slow_lost = stats_sum(run_values(run, SLOW_LINK, "lost_datagrams"));
	bool loses = cells > 0 || worst > 0 || receiver > 0 || queue > 0;
	bool blocks = blocked > 0 && slow_lost == 0;
	const char *parts[] = {
		cells ? text_format("a full receiver loses: survivors as predicted in %zu of %zu "
				    "cells",
				    exact, cells)
		      : NULL,
		isfinite(worst)
			? text_format("a slow receiver loses 1 - r/o, to %.1f points", worst * 100)
			: NULL,
		queue > 0 ? "a full queue before a slow link loses" : NULL,
		blocks ? text_format("but a small send buffer before it blocks send (%.0f calls) "
				     "and nothing is lost",
				     blocked)
		       : "where send blocks instead was not tested"};

	if (!loses && !blocks)
		return;
	run_verdict(run, "buf-udp-loses",
		    loses && blocks ? DEPENDS
		    : loses         ? HOLDS
				    : REFUTED,
		    (struct field[]){{"exact_cells", (int64_t)exact},
				     {"cells", (int64_t)cells},
				     {"worst_from_model", .real = &worst},
				     {"receiver_lost_datagrams", (int64_t)receiver},
				     {"queue_lost_datagrams", (int64_t)queue},
				     {"slow_link_blocked_calls", (int64_t)blocked},
				     {"slow_link_lost_datagrams", (int64_t)slow_lost},
				     {0}},
		    "%s", join(parts, sizeof(parts) / sizeof(parts[0])));
}

static void report(struct run *run)
{
	bool bursts = false;
	double worst;

	for (size_t b = 0; b < BUFFERS; b++)
		bursts = bursts || run_selected(run, b);
	if (bursts)
		print_bursts(run);
	worst = print_loads(run);
	print_places(run);
	judge_controls(run);
	judge(run, worst);
	run_why(run,
		"the send buffer holds a datagram only until it has left this host, and on "
		"loopback that is at once: send has nothing to wait for. UDP has no window, so "
		"a full receiver, or queue, drops.");
	if (no_cable)
		run_note(run, "slow-link, queue and queue-told are skipped: %s.", no_cable);
}

int main(int argc, char *argv[])
{
	struct run *run;

	for (size_t b = 0; b < BUFFERS; b++) {
		snprintf(burst_names[b], NAME, "burst-%s", buffers[b].name);
		variants[b] = (struct variant){burst_names[b], "datagrams of all sizes at once"};
	}
	for (size_t l = 0; l < LOADS; l++)
		variants[FIRST_LOAD + l] =
			(struct variant){loads[l].name, "so many times what the receiver reads"};
	run = run_begin(&about, argc, argv);
	if (run_selected(run, SLOW_LINK) || run_selected(run, QUEUE) ||
	    run_selected(run, QUEUE_TOLD))
		cable = link_open((struct link_ask){.rate = link_rate, .queue = LINK_QUEUE},
				  &no_cable);
	while (run_next(run)) {
		size_t variant = run_variant(run);

		if (variant >= FIRST_PLACE && (cable || !on_link(variant)))
			measure_place(run, variant);
		else if (variant >= FIRST_LOAD && variant < FIRST_PLACE)
			measure_load(run, loads[variant - FIRST_LOAD].percent);
		for (size_t s = 0; variant < BUFFERS && s < SIZES && !run_stopped(); s++)
			measure_burst(run, buffers[variant].bytes, sizes[s]);
	}
	if (cable)
		link_close(cable);
	return run_end(run, report);
}
