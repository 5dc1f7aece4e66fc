/* SPDX-License-Identifier: MIT */
/*
 * demux - what tells connections apart that share one port?
 *
 * Many clients connect to one listening port, all at the same time.  Every accepted socket has
 * that local port, and must still hand out its own client's bytes only: all write before anybody
 * reads, and both sides read in opposite orders.  The names (local address and port, remote address
 * and port) are compared.
 *
 * Then the limits of a name: a second connection of one in use is asked for, by a client that binds
 * the same local port; the same client connects to another listener; and a UDP socket takes the
 * same address and port, without getting a byte of TCP's.
 *
 * All of it over IPv4, and over IPv6, whose kernel code has its own tables and hashes.  Who may bind a
 * port that somebody has is asked by bind.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "check.h"
#include "exp.h"
#include "files.h"
#include "judge.h"
#include "language.h"
#include "net.h"
#include "pattern.h"
#include "text.h"

enum { V4, V6, FAMILIES };

static const struct variant variants[] = {
	[V4] = {"ipv4", "127.0.0.1"}, [V6] = {"ipv6", "::1"}, {0}};

static const int families[FAMILIES] = {[V4] = AF_INET, [V6] = AF_INET6};

static const struct claim claims[] = {
	{"tcp-five-tuple",
	 "(protocol, local address, local port, remote address, remote port) names a connection: many share one local port",
	 "no-remote", REFUTED,
	 .why = {[HOLDS] =
			 "a segment is looked up by all four numbers and the protocol first, then by the local two among the listeners."}},
	{0}};

static const struct row_field fields[] = {
	{"connections", "to one listening port, at the same time", "connections", SHOW_SUM},
	{"local_ports", "different local ports of the accepted sockets", "local|ports", SHOW_MOST},
	{"names", "different names of them", "different|names", SHOW_SUM},
	{"same_name", "what a second connection of a name in use gave", "the same|name again",
	 .text = true},
	{"same_name_errno", "its error number"},
	{"same_port_elsewhere_errno", "from the same local port to another listener; 0: ok"},
	{"udp_bind_errno", "of a UDP socket bound to the same address and port; 0: ok"},
	{"wrong_pieces", "of data that came to another connection", .zero = true, .sham = "stray"},
	{"udp_wrong_pieces", "that came to the other protocol", .zero = true, .sham = "stray"},
	{"local_port", "of the accepted socket", .row = "connection"},
	{"remote_port", "of the client", .row = "connection"},
	{0}};

static const struct bound bounds[] = {{"enough_trials", 2, "each with hundreds of connections"},
				      {0}};

static int64_t clients = 300;

static const struct opt opts[] = {{'n', "clients", "connections at the same time to one port",
				   .num = &clients, .min = 2, .quick = 200, .max = 4000},
				  {0}};

/* --- pieces of data -------------------------------------------------------- */

enum { BYTES = 64, STREAM = 1 << 16 }; /* a piece of a stream fits into any buffer */

static void send_piece(int fd, int64_t stream)
{
	uint8_t bytes[BYTES];

	pattern_fill(bytes, BYTES, (uint64_t)(stream * STREAM));
	check_fd(send(fd, bytes, BYTES, 0) == BYTES ? 0 : -1, "send");
}

/* 0 if the next piece is this stream's; 1 if it is not. */
static int64_t is_wrong(int fd, int64_t stream)
{
	uint8_t bytes[BYTES] = {0};

	return recv(fd, bytes, BYTES, MSG_WAITALL) != BYTES ||
	       pattern_misplaced(bytes, BYTES, (uint64_t)(stream * STREAM)) != 0;
}

static int try_bind(int fd, const struct address *name)
{
	return bind(fd, &name->any, name->size) < 0 ? errno : 0;
}

static int try_connect(int fd, const struct address *name)
{
	return connect(fd, &name->any, name->size) < 0 ? errno : 0;
}

/* --- many connections ------------------------------------------------------ */

struct found {
	int64_t ports;       /* different local ports of the accepted sockets */
	int64_t names;       /* different names */
	int64_t wrong;       /* pieces that are not that client's, or did not come back to it */
	int twice_error;     /* of a second connection of a name in use */
	int elsewhere_error; /* of the same local port towards another listener */
	int udp_error;       /* of a UDP socket bound to the port */
	int64_t udp_wrong;   /* datagrams or pieces that went to the other protocol */
};

struct connection {
	struct name {
		struct address local, remote;
	} name; /* of the accepted socket; the protocol is always TCP */
	int client, server;
};

static struct connection *connect_all(int listener, const struct address *where)
{
	struct connection *all = check_alloc(calloc((size_t)clients, sizeof(*all)));

	for (struct connection *c = all; c < all + clients; c++) {
		struct address *remote = &c->name.remote;

		*remote = address_empty();
		c->client = address_socket(SOCK_STREAM, where);
		check(try_connect(c->client, where), "connect");
		c->server = check_fd(accept4(listener, &remote->any, &remote->size, SOCK_CLOEXEC),
				     "accept");
		c->name.local = address_of(c->server);
	}
	return all;
}

/* All write before anybody reads; then server and clients read in opposite orders. */
static void exchange(struct found *found, const struct connection *all)
{
	for (int64_t i = 0; i < clients; i++) {
		send_piece(all[i].client, 2 * i);
		send_piece(all[i].server, 2 * i + 1);
	}
	for (int64_t i = 0, last = clients - 1; i < clients; i++) {
		found->wrong += is_wrong(all[last - i].server, 2 * (last - i));
		found->wrong += is_wrong(all[i].client, 2 * i + 1);
	}
}

static int by_name(const void *a, const void *b)
{
	const struct connection *p = a, *q = b;
	int local = address_compare(&p->name.local, &q->name.local);

	return local ? local : address_compare(&p->name.remote, &q->name.remote);
}

static int local_port(const struct connection *c)
{
	return ntohs(address_port(&c->name.local));
}

static void count_names(struct found *found, struct connection *all)
{
	qsort(all, (size_t)clients, sizeof(*all), by_name);
	found->names = found->ports = 1;
	for (const struct connection *c = all + 1; c < all + clients; c++) {
		found->names += by_name(c - 1, c) != 0;
		found->ports += local_port(c - 1) != local_port(c);
	}
}

/* --- the limits of a name -------------------------------------------------- */

/* Another client takes the local port of a connected one: for the same listener, then another. */
static void connect_twice(struct found *found, const struct address *where)
{
	struct address own = address_loopback(where->any.sa_family), other = own;
	int first = address_socket(SOCK_STREAM, where);
	int second = address_socket(SOCK_STREAM, where);
	int elsewhere = address_bind(SOCK_STREAM, &other);

	check_fd(listen(elsewhere, 1), "listen");
	net_set(first, SOL_SOCKET, SO_REUSEADDR, 1);
	net_set(second, SOL_SOCKET, SO_REUSEADDR, 1);
	check(try_bind(first, &own), "bind");
	own = address_of(first);
	check(try_bind(second, &own), "bind"); /* allowed: neither listens */
	check(try_connect(first, where), "connect");
	found->twice_error = try_connect(second, where);
	found->elsewhere_error = try_connect(second, &other);
	net_reset(second);
	net_reset(first);
	close(elsewhere);
}

/* UDP at the same address and port: each protocol must get its own bytes. */
static void share_with_udp(struct found *found, const struct address *where,
			   const struct connection *c)
{
	int receiver = address_socket(SOCK_DGRAM, where);
	int sender = address_socket(SOCK_DGRAM, where);

	found->udp_error = try_bind(receiver, where);
	if (!found->udp_error) {
		check(try_connect(sender, where), "connect");
		send_piece(sender, 2 * clients);
		send_piece(c->client, 2 * clients + 1);
		found->udp_wrong += is_wrong(receiver, 2 * clients);
		found->udp_wrong += is_wrong(c->server, 2 * clients + 1);
	}
	close(sender);
	close(receiver);
}

/* --- one trial ------------------------------------------------------------- */

static void record_connections(struct run *run, const struct connection *all)
{
	for (int64_t i = 0; i < clients; i++)
		run_row(run, "connection",
			(struct field[]){{"local_port", local_port(&all[i])},
					 {"remote_port", ntohs(address_port(&all[i].name.remote))},
					 {0}});
}

static void measure(struct run *run)
{
	struct found found = {0};
	struct address where = address_loopback(families[run_variant(run)]);
	int listener = address_bind(SOCK_STREAM, &where);
	struct connection *all;

	check_fd(listen(listener, 8), "listen");
	all = connect_all(listener, &where);
	exchange(&found, all);
	share_with_udp(&found, &where, &all[0]);
	connect_twice(&found, &where);
	if (run_trial(run) == 0)
		record_connections(run, all);
	count_names(&found, all);
	for (int64_t i = 0; i < clients; i++) {
		net_reset(all[i].client); /* no TIME_WAIT keeps its port */
		close(all[i].server);
	}
	close(listener);
	free(all);
	if (run_sham(run, "no-remote")) /* a name without the remote address and port */
		found.names = found.ports;
	run_record(run,
		   (struct field[]){{"connections", clients},
				    {"local_ports", found.ports},
				    {"names", found.names},
				    {"wrong_pieces", found.wrong + run_sham(run, "stray")},
				    {"same_name", .text = text_errno(found.twice_error)},
				    {"same_name_errno", found.twice_error},
				    {"same_port_elsewhere_errno", found.elsewhere_error},
				    {"udp_bind_errno", found.udp_error},
				    {"udp_wrong_pieces", found.udp_wrong + run_sham(run, "stray")},
				    {0}});
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_trials");
	struct share names = {0}, one_port = {0}, twice = {0}, elsewhere = {0};

	for (size_t v = V4; v < FAMILIES; v++) {
		if (!run_selected(run, v))
			continue;
		twice = share_add(twice, run_nonzero(run, v, "same_name_errno"));
		elsewhere = share_add(elsewhere, run_nonzero(run, v, "same_port_elsewhere_errno"));
		names = share_add(names, run_part(run, v, "names", "connections"));
		one_port =
			share_add(one_port, share_within(run_values(run, v, "local_ports"), 1, 1));
	}
	run_judge(
		run, "tcp-five-tuple",
		all_of(always_happens(names, clients), always_happens(one_port, enough),
		       always_happens(twice, enough), never_happens(elsewhere, enough)),
		"{names} connections had a name of their own, all at one local port in {one_port} trials, over {families}; a second one of the same name was refused in {twice} trials, one from the same local port to another listener in {elsewhere}",
		number_share("names", names), number_share("one_port", one_port),
		number_text("families", run_selected(run, V4) && run_selected(run, V6)
						? MESSAGE("IPv4 and IPv6")
						: MESSAGE("one of IPv4 and IPv6")),
		number_share("twice", twice), number_share("elsewhere", elsewhere));
}

static const struct experiment about = {
	.name = "demux",
	.group = "tcp",
	.order = 411,
	.summary = "What tells connections apart that share one port?",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 5,
	.quick_trials = 2,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	const char *missing = address_no_v6();

	if (missing)
		run_leave_out(run, V6, "%s", missing);
	files_allow(clients * 2 + 64); /* what the hard limit forbids fails where it is missing */
	while (run_next(run))
		measure(run);
	return run_end(run);
}
