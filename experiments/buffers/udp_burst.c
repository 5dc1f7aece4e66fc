/* SPDX-License-Identifier: MIT */
/*
 * udp_burst - how many datagrams of a burst survive while nobody reads?
 *
 * The receive buffer is charged with more than a datagram's bytes: with the memory that it takes.  So
 * one datagram of each size goes to a socket of its own first, which says what it is charged with
 * (SO_MEMINFO).  A buffer of n bytes should then keep n / charge of a burst, and at least one.
 *
 * That is compared with the survivors, for datagrams of 1 to 65,507 bytes and receive buffers of all
 * sizes.  What was sent is accounted for: read, unchanged and in order, or counted as dropped.
 */
#include <err.h>
#include <sys/socket.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "net.h"
#include "pattern.h"
#include "span.h"

enum { BUFFERS = 7, SIZES = 8 };

static const struct variant variants[] = {{"minimum", "a receive buffer as small as can be had"},
					  {"4K", "SO_RCVBUF of 4 KiB"},
					  {"16K", "of 16 KiB"},
					  {"64K", "of 64 KiB"},
					  {"default", "not asked for"},
					  {"256K", "of 256 KiB"},
					  {"1M", "of 1 MiB"},
					  {0}};

/* What is asked for, in bytes; 0 = the default. */
static const int64_t buffers[BUFFERS] = {1, 4 << 10, 16 << 10, 64 << 10, 0, 256 << 10, 1 << 20};

static const int64_t sizes[SIZES] = {1, 100, 512, 1000, 1472, 4096, 16384, 65507};

static const struct claim claims[] = {
	{"buf-udp-survivors", "what one datagram is charged with shows how many of a burst survive",
	 "narrow", DEPENDS,
	 .why = {[HOLDS] =
			 "a datagram is charged with the memory that it takes, in steps: one of 1 byte with as much as one of 100. When the next one does not fit it is dropped, without a word to the sender."}},
	{0}};

static const struct row_field fields[] = {
	{"asked_bytes", "SO_RCVBUF asked for; 0: the default"},
	{"granted_bytes", "SO_RCVBUF granted"},
	{"datagram_bytes", "of each datagram", "datagram", .key = true},
	{"charge_bytes", "what the receive buffer is charged with for one datagram"},
	{"beyond",
	 "by how much the last one may exceed the buffer: 0 (Linux 6.18: what would be there has to fit) or 1 (before: what is there), as seen with one small buffer"},
	{"predicted_datagrams", "max(1, rcvbuf / charge + beyond)"},
	{"survivors_datagrams", "that were read"},
	{"exact", "1: as many survived as predicted"},
	{"sent_datagrams", "in the burst"},
	{"receiver_drops", "counted by the receiver (SO_MEMINFO)"},
	{"unaccounted_datagrams",
	 "sent and neither read nor counted as dropped; below 0: more arrived than were sent"},
	{"doubled_datagrams", "that arrived beyond those that were sent", .zero = true,
	 .sham = "double"},
	{"changed_datagrams", "that arrived changed or not in order", .zero = true,
	 .sham = "disorder"},
	{0}};

static const struct bound bounds[] = {
	{"enough_bursts", 8, "one buffer with every size of datagram"}, {0}};

static uint8_t buffer[1 << 16];

/* Waits until all that was sent is either charged to the receiver or dropped there. */
static void await(int rx, int64_t sent, int64_t charge)
{
	int64_t deadline_ns = span_now() + 100000000;
	struct net_memory memory = net_memory(rx);

	while (memory.receive < (sent - memory.drops) * charge && span_now() < deadline_ns &&
	       run_sleep_until(span_now() + 100000))
		memory = net_memory(rx);
}

/* What a receive buffer is charged with for one datagram of this size. */
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

static int64_t beyond; /* see the field */

static int64_t predict(int64_t granted, int64_t charge)
{
	int64_t fit = granted / charge + beyond;

	return fit > 1 ? fit : 1;
}

/* Fills one small buffer with datagrams of 1 byte: is the one that crosses its size still taken? */
static void calibrate(void)
{
	struct net_pair fd = net_pair(NET_UDP, (struct net_ask){0, 4 << 10, NULL});
	int64_t charge = charge_of(1);
	int64_t fit = net_rcvbuf(fd.rx) / charge;

	for (int64_t i = 0; i < fit + 4; i++)
		check_fd((int)send(fd.tx, buffer, 1, 0), "send");
	await(fd.rx, fit + 4, charge);
	beyond = net_memory(fd.rx).receive > fit * charge;
	net_close(&fd);
}

static void send_burst(const struct net_pair *fd, int64_t datagrams, int64_t size, int64_t charge)
{
	for (int64_t i = 0; i < datagrams; i++) {
		pattern_fill(buffer, (size_t)size, (uint64_t)(i * size));
		check_fd((int)send(fd->tx, buffer, (size_t)size, 0), "send");
		if (i % 256 == 255) /* so that nothing but the receive buffer can overflow */
			await(fd->rx, i + 1, charge);
	}
	await(fd->rx, datagrams, charge);
}

static void measure(struct run *run, int64_t asked, int64_t size)
{
	struct net_pair fd = net_pair(NET_UDP, (struct net_ask){256 << 10, asked, NULL});
	int64_t granted = net_rcvbuf(fd.rx);
	int64_t charge = charge_of(size);
	int64_t predicted = predict(granted, charge);
	int64_t sent = predicted + predicted / 8 + 4;
	int64_t survivors = 0, changed = 0, drops;
	ssize_t length;

	send_burst(&fd, sent, size, charge);
	drops = net_memory(fd.rx).drops;
	while ((length = net_recv_now(fd.rx, buffer, sizeof(buffer))) >= 0) {
		changed += length != size ||
			   pattern_misplaced(buffer, (size_t)length, (uint64_t)(survivors * size));
		survivors++;
	}
	net_close(&fd);
	survivors += run_sham(run, "double") * sent;
	run_record(run,
		   (struct field[]){{"asked_bytes", asked},
				    {"granted_bytes", granted},
				    {"datagram_bytes", size},
				    {"charge_bytes", charge},
				    {"beyond", beyond},
				    {"predicted_datagrams", predicted},
				    {"exact", survivors == predicted},
				    {"doubled_datagrams", survivors > sent ? survivors - sent : 0},
				    {"survivors_datagrams", survivors},
				    {"sent_datagrams", sent},
				    {"receiver_drops", drops},
				    {"unaccounted_datagrams", sent - survivors - drops},
				    {"changed_datagrams", changed},
				    {0}});
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	struct share exact = run_nonzero_in(run, 0, BUFFERS - 1, "exact");
	struct share lost = run_nonzero_in(run, 0, BUFFERS - 1, "unaccounted_datagrams");

	run_judge(
		run, "buf-udp-survivors",
		case_by_case(exact, (int64_t)run_bound(run, "enough_bursts")),
		"as many datagrams survived as rcvbuf / charge allows, by this kernel's rule, in {exact} bursts",
		number_share("exact", exact));
	if (lost.k > 0)
		run_note(
			run,
			"in {lost} bursts datagrams were lost that the receiver did not count: the machine was too busy to take them from its own loopback",
			number_share("lost", lost));
}

static void draw(struct run *run)
{
	run_say(run,
		"Survivors of a burst that nobody reads, by datagram and by SO_RCVBUF asked for:");
	run_grid(run, -1, "survivors_datagrams", "datagram_bytes", NULL);
	fputc('\n', run_out(run));
}

static const struct experiment about = {
	.name = "udp_burst",
	.group = "buffers",
	.order = 312,
	.summary = "How many datagrams of a burst survive while nobody reads?",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.variants = variants,
	.trials = 2,
	.quick_trials = 1,
	.judge = judge,
	.draw = draw,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	calibrate();
	beyond ^= run_sham(run, "narrow");
	pattern_disorder(run_sham(run, "disorder"));
	while (run_next(run))
		for (size_t s = 0; s < SIZES && !run_stopped(); s++)
			measure(run, buffers[run_variant(run)], sizes[s]);
	return run_end(run);
}
