/* SPDX-License-Identifier: MIT */
/*
 * visible - from where is a server reached that is bound to '', localhost, or the host's name?
 *
 * The notes' servers bind to one of these.  A name is only an address: what counts is which one it
 * stands for.  '' is 0.0.0.0 and localhost 127.0.0.1; the host's name is what /etc/hosts, or a name
 * server, says: on Debian and Ubuntu often 127.0.1.1, elsewhere the address of a network card.
 *
 * In a network namespace, with a cable to another host (link.h), a server is bound to each of these.
 * Clients connect to its port at 127.0.0.1, at 127.0.0.2, at the address that it is bound to and at
 * the card's address, and from the other host at the card's address: the only one that it can reach.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <nss.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "link.h"
#include "net.h"
#include "span.h"
#include "text.h"

enum { ANY, LOCALHOST, NAME_LOOPBACK, NAME_CARD };

static const struct variant variants[] = {
	[ANY] = {"any", "bound to '', which is 0.0.0.0"},
	[LOCALHOST] = {"localhost", "bound to localhost, which is 127.0.0.1"},
	[NAME_LOOPBACK] = {"name-127.0.1.1", "to the host's name, where that is 127.0.1.1"},
	[NAME_CARD] = {"name-card", "to the host's name, where that is a network card's address"},
	{0}};

static const struct claim claims[] = {
	{"net-bind-visibility",
	 "'' is all addresses, localhost this machine only, gethostname() visible from outside",
	 "name-127.0.1.1=name-card", HOLDS,
	 .why = {[DEPENDS] =
			 "bind takes an address, and what is sent to another one is not for that socket. All of 127/8 is this machine, and nothing from outside may be sent there. A name is looked up first: many systems write the host's name beside 127.0.1.1 in /etc/hosts, so that it is known without a network."}},
	{0}};

static const struct row_field fields[] = {
	{"at_127_0_0_1", "1: reached there, from the same host", "at|127.0.0.1", SHOW_NONZERO},
	{"at_127_0_0_2", "1: and there", "at|127.0.0.2", SHOW_NONZERO},
	{"at_127_0_1_1", "1: and there", "at|127.0.1.1", SHOW_NONZERO},
	{"at_card", "1: at the address of the network card, from the same host", "at the|card's",
	 SHOW_NONZERO},
	{"from_outside", "1: at that address, from the other host", "from|outside", SHOW_NONZERO},
	{"outside_error", "of connect there", .text = true},
	{"everywhere", "1: all of these reached it"},
	{"own_only", "1: it was reached at the address that it is bound to, and in no other way"},
	{"unaccepted", "connects that worked, and were not accepted", .zero = true, .sham = "deaf"},
	{"elapsed_ns", "of the trial"},
	{0}};

static const struct bound bounds[] = {
	{"enough_trials", 5, "an address is one of a socket's, or it is not"}, {0}};

static struct link *cable;

/* --- the host's name here ------------------------------------------------- */

/* What it stands for.  Name servers are not asked: that may take long. */
static struct number name_here(void)
{
	const struct addrinfo wanted = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	struct number said = number_text("here", MESSAGE("nothing: a name server decides"));
	char name[256] = "", text[INET_ADDRSTRLEN];

	__nss_configure_lookup("hosts", "files");
	if (gethostname(name, sizeof(name) - 1) == 0 &&
	    getaddrinfo(name, NULL, &wanted, &found) == 0) {
		const struct sockaddr_in *address = (const void *)found->ai_addr;

		said = number_text("here", MESSAGE("an address outside of 127/8"));
		inet_ntop(AF_INET, &address->sin_addr, text, sizeof(text));
		if (ntohl(address->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET)
			said = number_words(
				"here", text_format("%s, a loopback address", text),
				text_format(translated("%s, a loopback address"), text));
		freeaddrinfo(found);
	}
	return said;
}

/* --- one trial ------------------------------------------------------------ */

/* Who connects where. */
struct attempt {
	const char *field;
	enum link_host from;
	in_addr_t to; /* in host order; 0 = the card's address */
};

enum { CARD = 3, OUTSIDE, ATTEMPTS };

static const struct attempt attempts[ATTEMPTS] = {
	{"at_127_0_0_1", LINK_RX, 0x7f000001},    {"at_127_0_0_2", LINK_RX, 0x7f000002},
	{"at_127_0_1_1", LINK_RX, 0x7f000101},    [CARD] = {"at_card", LINK_RX, 0},
	[OUTSIDE] = {"from_outside", LINK_TX, 0},
};

/* Where each is bound, as an attempt goes there. */
static const int own[] = {[ANY] = -1, [LOCALHOST] = 0, [NAME_LOOPBACK] = 2, [NAME_CARD] = CARD};

static struct in_addr address_at(int attempt)
{
	if (attempt < 0)
		return (struct in_addr){htonl(INADDR_ANY)};
	if (attempts[attempt].to)
		return (struct in_addr){htonl(attempts[attempt].to)};
	return link_address(LINK_RX);
}

static int start_server(struct in_addr address, in_port_t *port)
{
	struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr = address};
	int fd = link_socket(cable, LINK_RX, SOCK_STREAM | SOCK_NONBLOCK);

	check_fd(bind(fd, (struct sockaddr *)&where, sizeof(where)), "bind");
	check_fd(listen(fd, ATTEMPTS), "listen");
	*port = net_name(fd).sin_port;
	return fd;
}

/* 0 or an error number; the connection, if there is one, is in *accepted: that many more. */
static int attempt_one(int server, int attempt, in_port_t port, int64_t *accepted)
{
	struct sockaddr_in where = {
		.sin_family = AF_INET, .sin_addr = address_at(attempt), .sin_port = port};
	int fd = link_socket(cable, attempts[attempt].from, SOCK_STREAM);
	int error = connect(fd, (struct sockaddr *)&where, sizeof(where)) == 0 ? 0 : errno;
	int peer = -1;

	if (error == 0 && run_wait_fd(server, POLLIN, span_now() + 10000000000))
		peer = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	*accepted += peer >= 0;
	net_reset(fd);
	if (peer >= 0)
		close(peer);
	return error;
}

static void measure(struct run *run, size_t variant)
{
	int64_t begin_ns = span_now(), reached = 0, accepted = 0;
	struct field row[ATTEMPTS + 8];
	int errors[ATTEMPTS];
	in_port_t port;
	int server = start_server(address_at(own[variant]), &port);
	int n = 0;

	for (int i = 0; i < ATTEMPTS; i++) {
		errors[i] = attempt_one(server, i, port, &accepted);
		row[n++] = (struct field){attempts[i].field, errors[i] == 0};
		reached += errors[i] == 0;
	}
	close(server);
	row[n++] = (struct field){"outside_error", .text = text_errno(errors[OUTSIDE])};
	row[n++] = (struct field){"everywhere", reached == ATTEMPTS};
	row[n++] = (struct field){"own_only",
				  own[variant] >= 0 && reached == 1 && errors[own[variant]] == 0};
	row[n++] = (struct field){"unaccepted", reached - accepted + run_sham(run, "deaf")};
	row[n++] = (struct field){"elapsed_ns", span_now() - begin_ns};
	row[n] = (struct field){0};
	run_record(run, row);
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_trials");
	struct share any = run_nonzero(run, ANY, "everywhere");
	struct share localhost = run_nonzero(run, LOCALHOST, "own_only");
	struct share card = run_nonzero(run, NAME_CARD, "from_outside");
	struct share loopback = run_nonzero(run, NAME_LOOPBACK, "from_outside");

	run_judge(
		run, "net-bind-visibility",
		all_of(always_happens(any, enough), always_happens(localhost, enough),
		       by_case(always_happens(card, enough), always_happens(loopback, enough))),
		"bound to '' it was reached everywhere in {any} trials; to localhost at 127.0.0.1 and in no other way in {localhost}; to the host's name from outside in {card} where that is a card's address, in {loopback} where it is 127.0.1.1. On this machine /etc/hosts says {here}",
		number_share("any", any), number_share("localhost", localhost),
		number_share("card", card), number_share("loopback", loopback), name_here());
}

static const struct experiment about = {
	.name = "visible",
	.group = "tcp",
	.order = 421,
	.summary =
		"From where is a server reached that is bound to '', localhost, or the host's name?",
	.intro =
		"In a namespace with a network card: who connects to the server's port, and where.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.variants = variants,
	.trials = 20,
	.quick_trials = 5,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	const char *no_cable;
	int status;

	cable = link_open((struct link_ask){0}, &no_cable);
	if (!cable)
		return run_skip(run, "there is no other host to connect from: %s", no_cable);
	while (run_next(run))
		measure(run, run_variant(run));
	status = run_end(run);
	link_close(cable);
	return status;
}
