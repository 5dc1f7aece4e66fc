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
#include "old.h"
#include "link.h"
#include "net.h"
#include "span.h"
#include "text.h"

enum { BROADCAST, MULTICAST, BROADCAST_LINK, MULTICAST_LINK, VARIANTS, RECEIVERS_MAX = 64 };

static const struct variant variants[] = {
	[BROADCAST] = {"broadcast", "to 127.255.255.255"},
	[MULTICAST] = {"multicast", "to a group, on the loopback interface"},
	[BROADCAST_LINK] = {"broadcast-link", "to the network of a cable"},
	[MULTICAST_LINK] = {"multicast-link", "to a group, over a cable"},
	{0}};

static const struct claim claims[] = {
	{"udp-reaches-several", "broadcast and multicast reach several at once"}, {0}};

static int64_t receivers = 5;
static int64_t messages = 20;

static const struct opt opts[] = {{'k', "receivers", "sockets that a broadcast or multicast is for",
				   .num = &receivers, .min = 2, .max = RECEIVERS_MAX},
				  {'m', "messages", "broadcasts or multicasts of a trial",
				   .num = &messages, .min = 1, .max = 100},
				  {0}};

static const struct experiment about = {
	.name = "multicast",
	.group = "tcp",
	.summary = "How does one send reach several sockets at once?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 40,
	.quick_trials = 2,
};

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

/* --- report ---------------------------------------------------------------- */

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	fprintf(out, "  %-15s %6s %9s %9s %9s   %s\n", "", "", "re-", "received", "outsider",
		"kernel's count:");
	fprintf(out, "  %-15s %6s %9s %9s %9s   %s\n", "all at once", "sends", "ceivers", "a send",
		"received", "left, handed out");
	for (size_t v = 0; v < VARIANTS; v++) {
		double sends = run_median(run, v, "sends");

		if (!run_selected(run, v) || (is_linked(v) && no_cable))
			continue;
		fprintf(out, "  %-15s %6.0f %9.0f %9.2f %9.0f%s\n", variants[v].name, sends,
			run_median(run, v, "receivers"),
			run_median(run, v, "received_datagrams") / sends,
			run_median(run, v, "outsider_datagrams"),
			is_linked(v)
				? text_format("   %.0f, %.0f", run_median(run, v, "out_datagrams"),
					      run_median(run, v, "in_datagrams"))
				: "");
	}
	fputs("\n", out);
}

static void check_outsiders(struct run *run)
{
	size_t outsiders = 0, trapped = 0, trials = 0;

	for (size_t v = 0; v < VARIANTS; v++) {
		struct values got = run_values(run, v, "trapped_datagrams");

		outsiders += stats_nonzero(run_values(run, v, "outsider_datagrams"));
		trapped += stats_nonzero(got);
		trials += is_multicast(v) ? got.n : 0;
	}
	old_control(run, outsiders == 0,
		    "a socket that was not asked received something in %zu trials", outsiders);
	if (trapped)
		old_note(run,
			 "in %zu of %zu trials a socket that had joined no group received the "
			 "multicast all the same: another one of its host had joined, and "
			 "IP_MULTICAST_ALL is on by default.",
			 trapped, trials);
}

/* In how many trials every receiver got all; *trials is of how many. */
static size_t reached(struct run *run, size_t on_loopback, size_t over_cable, size_t *trials)
{
	size_t all = 0;

	*trials = 0;
	for (size_t v = on_loopback; v <= over_cable; v += over_cable - on_loopback) {
		struct values received = run_values(run, v, "received_datagrams");
		struct values wrong = run_values(run, v, "wrong_datagrams");

		*trials += received.n;
		for (size_t i = 0; i < received.n; i++)
			all += received.at[i] == receivers * messages && wrong.at[i] == 0;
	}
	return all;
}

static void judge(struct run *run)
{
	size_t broadcasts, multicasts;
	size_t broad = reached(run, BROADCAST, BROADCAST_LINK, &broadcasts);
	size_t multi = reached(run, MULTICAST, MULTICAST_LINK, &multicasts);
	size_t refused = stats_nonzero(run_values(run, BROADCAST, "eacces")) +
			 stats_nonzero(run_values(run, BROADCAST_LINK, "eacces"));

	if (broadcasts == 0 || multicasts == 0)
		return;
	old_verdict(run, "udp-reaches-several", broad && multi ? HOLDS : NOT_SEEN,
		    (struct field[]){{"receivers", receivers},
				     {"broadcast_trials", (int64_t)broadcasts},
				     {"broadcast_reached_trials", (int64_t)broad},
				     {"multicast_trials", (int64_t)multicasts},
				     {"multicast_reached_trials", (int64_t)multi},
				     {"eacces_trials", (int64_t)refused},
				     {0}},
		    "one send reached %s receivers by broadcast in %zu of %zu trials, by multicast "
		    "in %zu of %zu. Without SO_BROADCAST: EACCES in %zu of %zu",
		    text_count(receivers), broad, broadcasts, multi, multicasts, refused,
		    broadcasts);
}

static void report(struct run *run)
{
	print_table(run);
	check_outsiders(run);
	judge(run);
	old_why(run, "the kernel hands a copy of a broadcast or multicast to each socket it is "
		     "for. A TCP connection has two ends, and never more.");
	if (no_cable)
		old_note(run, "broadcast-link and multicast-link are skipped: %s.", no_cable);
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	if (run_selected(run, BROADCAST_LINK) || run_selected(run, MULTICAST_LINK))
		cable = link_open((struct link_ask){0}, &no_cable);
	while (run_next(run)) {
		size_t variant = run_variant(run);
		struct found found;

		if (is_linked(variant) && !cable)
			continue;
		found = measure(variant);
		run_record(run,
			   (struct field[]){{"part", .text = is_multicast(variant) ? "multicast"
										   : "broadcast"},
					    {"sends", messages},
					    {"receivers", receivers},
					    {"received_datagrams", found.received},
					    {"wrong_datagrams", found.wrong},
					    {"outsider_datagrams", found.outsider},
					    {"trapped_datagrams", found.trapped},
					    {"eacces", found.refused},
					    {"out_datagrams", found.out},
					    {"in_datagrams", found.in},
					    {0}});
	}
	if (cable)
		link_close(cable);
	return old_end(run, report);
}
