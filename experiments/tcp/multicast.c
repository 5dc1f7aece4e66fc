/* SPDX-License-Identifier: MIT */
/*
 * multicast - how one send reaches several sockets at once.
 *
 *	broadcast  Reaches every socket bound to the port, but for one that is bound to an address
 *	           of its own (control).  It needs SO_BROADCAST.
 *	multicast  Reaches the sockets that joined the group, and not one that did not (control).
 *	           The trap: such a socket does get it, while others of the same host are members,
 *	           unless it says IP_MULTICAST_ALL = 0.
 *
 * On loopback, and with -link in the name over a cable between two network namespaces (link.h),
 * where the kernel's counters say how many datagrams left the one host and were handed out in the
 * other.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "link.h"
#include "net.h"
#include "span.h"

enum { BROADCAST, MULTICAST, BROADCAST_LINK, MULTICAST_LINK, RECEIVERS_MAX = 64 };

static const struct variant variants[] = {
	[BROADCAST] = {"broadcast", "to 127.255.255.255"},
	[MULTICAST] = {"multicast", "to a group, on the loopback interface"},
	[BROADCAST_LINK] = {"broadcast-link", "to the network of a cable"},
	[MULTICAST_LINK] = {"multicast-link", "to a group, over a cable"},
	{0}};

static const struct claim claims[] = {
	{"udp-reaches-several", "broadcast and multicast reach several at once", "one-receiver",
	 REFUTED,
	 .why = {[HOLDS] =
			 "the kernel hands a copy of a broadcast or multicast to each socket it is for. A TCP connection has two ends, and never more."}},
	{0}};

static const struct row_field fields[] = {
	{"part", "broadcast or multicast", .text = true},
	{"sends", "in a trial", "sends"},
	{"receivers", "sockets that it is for", "receivers"},
	{"received_datagrams", "by all of them", "received|a send", SHOW_SUM, "sends"},
	{"reached_all", "1: each of them received each send", "reached|all", SHOW_NONZERO},
	{"wrong_datagrams", "received changed, or twice", .zero = true, .sham = "change"},
	{"outsider_datagrams", "received by a socket that it is not for", "outsider|received",
	 SHOW_SUM, .zero = true, .sham = "let-in"},
	{"trapped_datagrams",
	 "multicast received by a socket that has joined no group, because another one of its host has (IP_MULTICAST_ALL)"},
	{"eacces", "1: without SO_BROADCAST sendto gave EACCES; of broadcast"},
	{"not_refused", "1: it did not", .zero = true, .sham = "allow"},
	{"out_datagrams", "that left this host, by the kernel's count; over a cable", "left"},
	{"in_datagrams", "that were handed out there", "handed|out"},
	{0}};

static const struct bound bounds[] = {
	{"enough_trials", 2, "each with as many sends as are asked for"}, {0}};

static int64_t receivers = 5;
static int64_t messages = 20;

static const struct opt opts[] = {{'k', "receivers", "sockets that a broadcast or multicast is for",
				   .num = &receivers, .min = 2, .max = RECEIVERS_MAX},
				  {'m', "messages", "broadcasts or multicasts of a trial",
				   .num = &messages, .min = 1, .max = 100},
				  {0}};

static struct link *cable;   /* NULL = not allowed here, */
static const char *no_cable; /* and why */

static bool is_multicast(size_t variant)
{
	return variant == MULTICAST || variant == MULTICAST_LINK;
}

static bool is_linked(size_t variant)
{
	return variant == BROADCAST_LINK || variant == MULTICAST_LINK;
}

/* --- who takes part -------------------------------------------------------- */

/* Those it is for, one it is not for, and one that gets it by default. */
struct crowd {
	bool multicast, linked;
	struct in_addr from, local; /* of the sending and the receiving host */
	struct sockaddr_in to;
	int sender;
	int fd[RECEIVERS_MAX];
	int outsider, trapped; /* -1 = there is none */
};

static const in_addr_t group = 0xefff5352; /* 239.255.83.82: RFC 2365, of this site only */

static int fresh(const struct crowd *c, enum link_host host)
{
	return c->linked ? link_socket(cable, host, SOCK_DGRAM) : net_socket(SOCK_DGRAM);
}

/* A socket of the receiving host, bound to the port that they share, once there is one. */
static int receiver(struct crowd *c, in_addr_t address)
{
	struct sockaddr_in where = {
		.sin_family = AF_INET, .sin_addr = {address}, .sin_port = c->to.sin_port};
	int fd = fresh(c, LINK_RX);

	if (where.sin_port) /* the first one must not share a port that somebody else shares */
		net_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	check_fd(bind(fd, (struct sockaddr *)&where, sizeof(where)), "bind");
	net_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	c->to.sin_port = net_name(fd).sin_port;
	return fd;
}

static void gather_for_broadcast(struct crowd *c)
{
	/* the last address of the network, whose mask is /24 on the cable and /8 on loopback */
	c->to.sin_addr.s_addr = c->from.s_addr | htonl(c->linked ? 0xff : 0xffffff);
	for (int64_t i = 0; i < receivers; i++)
		c->fd[i] = receiver(c, htonl(INADDR_ANY));
	c->outsider = receiver(c, c->local.s_addr);
	c->trapped = -1;
}

static void gather_for_multicast(struct crowd *c)
{
	struct ip_mreq member = {{htonl(group)}, c->local};

	c->to.sin_addr.s_addr = htonl(group);
	for (int64_t i = 0; i < receivers; i++) {
		c->fd[i] = receiver(c, htonl(INADDR_ANY));
		check_fd(setsockopt(c->fd[i], IPPROTO_IP, IP_ADD_MEMBERSHIP, &member,
				    sizeof(member)),
			 "IP_ADD_MEMBERSHIP");
	}
	c->outsider = receiver(c, htonl(INADDR_ANY));
	net_set(c->outsider, IPPROTO_IP, IP_MULTICAST_ALL, 0);
	c->trapped = receiver(c, htonl(INADDR_ANY));
	check_fd(setsockopt(c->sender, IPPROTO_IP, IP_MULTICAST_IF, &c->from, sizeof(c->from)),
		 "IP_MULTICAST_IF");
	net_set(c->sender, IPPROTO_IP, IP_MULTICAST_LOOP, 1);
}

static struct crowd gather(size_t variant)
{
	struct in_addr loopback = {htonl(INADDR_LOOPBACK)};
	bool linked = is_linked(variant);
	struct crowd c = {.multicast = is_multicast(variant),
			  .linked = linked,
			  .from = linked ? link_address(LINK_TX) : loopback,
			  .local = linked ? link_address(LINK_RX) : loopback,
			  .to = {.sin_family = AF_INET}};

	c.sender = fresh(&c, LINK_TX);
	if (c.multicast)
		gather_for_multicast(&c);
	else
		gather_for_broadcast(&c);
	return c;
}

static void disperse(const struct crowd *c)
{
	for (int64_t i = 0; i < receivers; i++)
		close(c->fd[i]);
	close(c->outsider);
	if (c->trapped >= 0)
		close(c->trapped);
	close(c->sender);
}

/* --- one trial ------------------------------------------------------------- */

/* In datagrams. */
struct found {
	bool refused; /* a broadcast without SO_BROADCAST */
	int64_t received, wrong, outsider, trapped;
	int64_t out, in; /* as the kernel counted them; 0 on loopback */
};

/* One datagram to all; 0 or an error number. */
static int call_out(const struct crowd *c, int64_t number)
{
	ssize_t sent = sendto(c->sender, &number, sizeof(number), 0,
			      (const struct sockaddr *)&c->to, sizeof(c->to));

	return sent == sizeof(number) ? 0 : errno;
}

/* How many datagrams have arrived; *next is the number of the next one, *wrong counts others. */
static int64_t arrivals(int fd, int64_t *next, int64_t *wrong)
{
	int64_t found = 0;
	int64_t number = -1;

	while (recv(fd, &number, sizeof(number), MSG_DONTWAIT) == sizeof(number)) {
		*wrong += number != (*next)++;
		found++;
	}
	return found;
}

/* The same of a socket that nothing is for. */
static int64_t strays(int fd)
{
	int64_t next = 0, wrong = 0;

	return fd < 0 ? 0 : arrivals(fd, &next, &wrong);
}

/* Until all has arrived, or half a second is over. */
static void receive_all(const struct crowd *c, struct found *found)
{
	int64_t deadline_ns = span_now() + 500000000;
	int64_t next[RECEIVERS_MAX] = {0};

	do {
		for (int64_t i = 0; i < receivers; i++)
			found->received += arrivals(c->fd[i], &next[i], &found->wrong);
	} while (found->received < receivers * messages && span_now() < deadline_ns &&
		 run_sleep_until(span_now() + 1000000));
}

/* A column of the row "Udp:" of /proc/net/snmp in one of the hosts: 1 = received, 4 = sent. */
static int64_t counted(enum link_host host, int column)
{
	const char *row =
		strstr(link_run(cable, host, "grep '^Udp: [0-9]' /proc/net/snmp"), "Udp: ");

	for (; row && column > 0; column--) {
		row = strchr(row, ' ');
		row += row ? 1 : 0;
	}
	return row ? strtoll(row, NULL, 10) : 0;
}

enum { IN_DATAGRAMS = 1, OUT_DATAGRAMS = 4 };

static struct found measure(size_t variant)
{
	struct crowd c = gather(variant);
	struct found found = {0};

	if (!c.multicast) {
		found.refused = call_out(&c, 0) == EACCES;
		net_set(c.sender, SOL_SOCKET, SO_BROADCAST, 1);
	}
	if (c.linked) {
		found.out = -counted(LINK_TX, OUT_DATAGRAMS);
		found.in = -counted(LINK_RX, IN_DATAGRAMS);
	}
	for (int64_t i = 0; i < messages; i++)
		check(call_out(&c, i), "sendto");
	receive_all(&c, &found);
	if (c.linked) {
		found.out += counted(LINK_TX, OUT_DATAGRAMS);
		found.in += counted(LINK_RX, IN_DATAGRAMS);
	}
	found.outsider = strays(c.outsider);
	found.trapped = strays(c.trapped);
	disperse(&c);
	return found;
}

/* --- judge --------------------------------------------------------------- */

/* On loopback, and over the cable where there is one. */
static struct share everywhere(struct run *run, size_t loopback, size_t link, const char *field)
{
	struct share all = run_nonzero(run, loopback, field);

	return run_selected(run, link) ? share_add(all, run_nonzero(run, link, field)) : all;
}

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_trials");
	struct share broadcast = everywhere(run, BROADCAST, BROADCAST_LINK, "reached_all");
	struct share multicast = everywhere(run, MULTICAST, MULTICAST_LINK, "reached_all");
	struct share trapped = everywhere(run, MULTICAST, MULTICAST_LINK, "trapped_datagrams");

	run_judge(
		run, "udp-reaches-several",
		all_of(always_happens(broadcast, enough), always_happens(multicast, enough)),
		"each send reached all of {receivers} receivers in {broadcast} trials of broadcast, in {multicast} of multicast; without SO_BROADCAST it was refused in {refused}",
		number_int("receivers", receivers), number_share("broadcast", broadcast),
		number_share("multicast", multicast),
		number_share("refused", run_nonzero(run, BROADCAST, "eacces")));
	if (trapped.k > 0)
		run_note(
			run,
			"in {trapped} trials a socket that had joined no group received the multicast all the same: another one of its host had joined, and IP_MULTICAST_ALL is on by default",
			number_share("trapped", trapped));
}

static const struct experiment about = {
	.name = "multicast",
	.group = "tcp",
	.order = 416,
	.summary = "How does one send reach several sockets at once?",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 40,
	.quick_trials = 2,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	if (run_selected(run, BROADCAST_LINK) || run_selected(run, MULTICAST_LINK))
		cable = link_open((struct link_ask){0}, &no_cable);
	for (size_t v = BROADCAST_LINK; no_cable && v <= MULTICAST_LINK; v++)
		run_leave_out(run, v, "%s", no_cable);
	while (run_next(run)) {
		size_t variant = run_variant(run);
		struct found found;

		found = measure(variant);
		if (run_sham(run, "one-receiver"))
			found.received /= receivers;
		run_record(
			run,
			(struct field[]){
				{"part", .text = is_multicast(variant) ? "multicast" : "broadcast"},
				{"sends", messages},
				{"receivers", receivers},
				{"received_datagrams", found.received},
				{"wrong_datagrams", found.wrong + run_sham(run, "change")},
				{"reached_all", found.received == messages * receivers},
				{"outsider_datagrams", found.outsider + run_sham(run, "let-in")},
				{"trapped_datagrams", found.trapped},
				{"eacces", found.refused},
				{"out_datagrams", found.out},
				{"in_datagrams", found.in},
				{is_multicast(variant) ? NULL : "not_refused",
				 !found.refused || run_sham(run, "allow")},
				{0}});
	}
	if (cable)
		link_close(cable);
	return run_end(run);
}
