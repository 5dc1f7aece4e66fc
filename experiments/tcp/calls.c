/* SPDX-License-Identifier: MIT */
/*
 * calls - which calls does a socket take?
 *
 * A descriptor names a regular file, a TCP or a UDP socket.  read, write, fstat, dup and poll are for
 * all of them; lseek, pread and pwrite need a place in a file, and a stream has none.
 *
 * A TCP socket must be told who its peer is, once: listen and accept on one side, connect on the other.
 * A UDP socket needs none of these.  It may be connected all the same: then it sends to that peer and
 * receives from nobody else, until it is connected to another one.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "net.h"
#include "span.h"
#include "text.h"

enum { TCP, UDP, REGULAR };
enum { BYTES = 64 };

static const struct variant variants[] = {
	[TCP] = {"tcp", "TCP sockets"},
	[UDP] = {"udp", "UDP sockets"},
	[REGULAR] = {"file", "a regular file, in memory (control)"},
	{0}};

static const struct claim claims[] = {
	{"tcp-one-peer", "one socket connects to one other only", "udp=tcp", HOLDS,
	 .why = {[DEPENDS] =
			 "a TCP connection has two ends, and its socket keeps what was agreed with the other one. To connect a UDP socket only writes down an address, so another one may be written there."}},
	{"udp-no-listen", "UDP needs no listen, accept, connect", "udp=tcp", REFUTED,
	 .why = {[HOLDS] =
			 "there is nothing to agree on before the first datagram, so there is no queue of those who want to: each datagram brings its sender's address."}},
	{"sock-is-file", "a socket is a file", "tcp=file", HOLDS,
	 .why = {[DEPENDS] =
			 "a descriptor of a socket has the calls that every descriptor has. What was read from a stream is gone, so there is no place to go back to: calls that name one fail with ESPIPE."}},
	{0}};

static const struct row_field fields[] = {
	{"stream_calls", "of read, write, fstat, dup and poll: how many worked",
	 "read, write,|fstat, dup, poll", SHOW_SHARE, "stream_asked"},
	{"stream_asked", "5"},
	{"place_calls", "of lseek, pread and pwrite: how many worked", "lseek,|pread, pwrite",
	 SHOW_SHARE, "place_asked"},
	{"place_asked", "3"},
	{"place_error", "of pread", "error|of pread", .text = true},
	{"is_socket", "1: fstat says that it is one (S_ISSOCK)", "S_ISSOCK", SHOW_NONZERO},
	{"second_error", "of connect to a second peer", "connect|again", .text = true},
	{"second_refused", "1: that is EISCONN"},
	{"second_reached", "1: the second peer received what was sent then, and the first nothing",
	 "reaches|the second", SHOW_NONZERO},
	{"listen_error", "of listen", "listen", .text = true},
	{"accept_error", "of accept, which does not wait", "accept", .text = true},
	{"exchanged", "1: a question was answered without listen, accept and connect",
	 "without|these", SHOW_NONZERO},
	{"file_refused", "of the calls, by a regular file", .zero = true, .sham = "file=tcp"},
	{"elapsed_ns", "of the trial"},
	{0}};

static const struct bound bounds[] = {
	{"enough_trials", 5, "what a call gives depends on the socket, not on chance"}, {0}};

static int64_t error_of(int result)
{
	return result < 0 ? errno : 0;
}

/* --- as a file ------------------------------------------------------------ */

struct as_file {
	int64_t stream, place;
	int64_t place_errno;
	bool is_socket;
};

enum { STREAM_ASKED = 5, PLACE_ASKED = 3 };

/* Of a descriptor that has something to read. */
static struct as_file use_as_file(int fd)
{
	struct pollfd one = {.fd = fd, .events = POLLOUT};
	struct as_file as = {0};
	char bytes[BYTES / 2] = "";
	struct stat status;
	int copy;

	as.stream += write(fd, bytes, sizeof(bytes)) == sizeof(bytes);
	as.stream += read(fd, bytes, sizeof(bytes)) > 0;
	as.stream += fstat(fd, &status) == 0;
	as.is_socket = S_ISSOCK(status.st_mode);
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	as.stream += copy >= 0;
	if (copy >= 0)
		close(copy);
	as.stream += poll(&one, 1, 0) == 1 && one.revents & POLLOUT;
	as.place += lseek(fd, 0, SEEK_SET) == 0;
	as.place += pwrite(fd, bytes, 1, 0) == 1;
	as.place_errno = error_of((int)pread(fd, bytes, 1, 0));
	as.place += as.place_errno == 0;
	return as;
}

static struct as_file measure_file(size_t variant)
{
	char bytes[BYTES] = "";
	struct net_pair pair;
	struct as_file as;

	if (variant == REGULAR) {
		int fd = check_fd(memfd_create("calls", MFD_CLOEXEC), "memfd_create");

		check_fd((int)pwrite(fd, bytes, sizeof(bytes), 0), "pwrite");
		as = use_as_file(fd);
		close(fd);
		return as;
	}
	pair = net_pair(variant == TCP ? NET_TCP : NET_UDP, (struct net_ask){0});
	check_fd((int)send(pair.tx, bytes, sizeof(bytes), 0), "send");
	if (variant == UDP) { /* to whom it writes */
		struct sockaddr_in peer = net_name(pair.tx);

		check_fd(connect(pair.rx, (struct sockaddr *)&peer, sizeof(peer)), "connect");
	}
	as = use_as_file(pair.rx);
	net_close(&pair);
	return as;
}

/* --- to whom -------------------------------------------------------------- */

static bool has_something(int fd)
{
	return run_wait_fd(fd, POLLIN, span_now() + 10000000000);
}

struct second {
	int error;
	bool reached;
};

/* Connects a socket to one, then to another one. */
static struct second measure_second(int type)
{
	struct sockaddr_in first, second;
	int one = net_bound(type, &first), two = net_bound(type, &second);
	int fd = net_socket(type);
	struct second result = {0};

	if (type == SOCK_STREAM) {
		check_fd(listen(one, 1), "listen");
		check_fd(listen(two, 1), "listen");
	}
	check_fd(connect(fd, (struct sockaddr *)&first, sizeof(first)), "connect");
	result.error = (int)error_of(connect(fd, (struct sockaddr *)&second, sizeof(second)));
	if (type == SOCK_DGRAM && send(fd, "", 1, 0) == 1 && result.error == 0) {
		char byte;

		result.reached = has_something(two) && net_recv_now(two, &byte, 1) == 1 &&
				 net_recv_now(one, &byte, 1) < 0;
	}
	net_reset(fd);
	close(one);
	close(two);
	return result;
}

/* Asks and answers between two bound sockets that are connected to nobody. */
static bool exchange(int type)
{
	struct sockaddr_in asker, server;
	int ask = net_bound(type | SOCK_NONBLOCK, &asker);
	int answer = net_bound(type | SOCK_NONBLOCK, &server);
	struct sockaddr_in from = {0};
	socklen_t size = sizeof(from);
	char byte = '?';
	bool exchanged =
		sendto(ask, &byte, 1, 0, (struct sockaddr *)&server, sizeof(server)) == 1 &&
		has_something(answer) &&
		recvfrom(answer, &byte, 1, 0, (struct sockaddr *)&from, &size) == 1 &&
		from.sin_port == asker.sin_port &&
		sendto(answer, "!", 1, 0, (struct sockaddr *)&from, size) == 1 &&
		has_something(ask) && recv(ask, &byte, 1, 0) == 1 && byte == '!';

	close(ask);
	close(answer);
	return exchanged;
}

/* What a socket is told and what it needs, as the end of a row. */
static void measure_peers(int type, struct field *row)
{
	struct sockaddr_in where;
	int fd = net_bound(type | SOCK_NONBLOCK, &where);
	struct second second = measure_second(type);
	int listen_errno = (int)error_of(listen(fd, 1));
	int accept_errno = (int)error_of(accept4(fd, NULL, NULL, SOCK_CLOEXEC));

	close(fd);
	row[0] = (struct field){"second_error", .text = text_errno(second.error)};
	row[1] = (struct field){"second_refused", second.error == EISCONN};
	row[2] = (struct field){"second_reached", second.reached};
	row[3] = (struct field){"listen_error", .text = text_errno(listen_errno)};
	row[4] = (struct field){"accept_error", .text = text_errno(accept_errno)};
	row[5] = (struct field){"exchanged", exchange(type)};
}

static void measure(struct run *run, size_t variant)
{
	int64_t begin_ns = span_now();
	struct as_file as = measure_file(variant);
	struct field row[16] = {{"stream_calls", as.stream},
				{"stream_asked", STREAM_ASKED},
				{"place_calls", as.place},
				{"place_asked", PLACE_ASKED},
				{"place_error", .text = text_errno((int)as.place_errno)},
				{"is_socket", as.is_socket}};
	int n = 6;

	if (run_label(run) == REGULAR)
		row[n++] = (struct field){"file_refused",
					  STREAM_ASKED + PLACE_ASKED - as.stream - as.place};
	if (variant != REGULAR) {
		measure_peers(variant == TCP ? SOCK_STREAM : SOCK_DGRAM, &row[n]);
		n += 6;
	}
	row[n] = (struct field){"elapsed_ns", span_now() - begin_ns};
	run_record(run, row);
}

/* --- judge --------------------------------------------------------------- */

static void judge_second(struct run *run, int64_t enough)
{
	struct share tcp = run_nonzero(run, TCP, "second_refused");
	struct share udp = run_nonzero(run, UDP, "second_refused");

	run_judge(
		run, "tcp-one-peer",
		by_case(always_happens(tcp, enough), always_happens(udp, enough)),
		"a second connect of a TCP socket was refused with EISCONN in {tcp} trials, of a UDP socket in {udp}, which then reached the second peer alone in {reached}",
		number_share("tcp", tcp), number_share("udp", udp),
		number_share("reached", run_nonzero(run, UDP, "second_reached")));
}

static void judge_exchange(struct run *run, int64_t enough)
{
	struct share exchanged = run_nonzero(run, UDP, "exchanged");

	run_judge(
		run, "udp-no-listen", always_happens(exchanged, enough),
		"two UDP sockets exchanged a question and its answer without listen, accept and connect in {exchanged} trials, two TCP sockets in {tcp}",
		number_share("exchanged", exchanged),
		number_share("tcp", run_nonzero(run, TCP, "exchanged")));
}

static void judge_file(struct run *run, int64_t enough)
{
	struct share stream = run_part(run, TCP, "stream_calls", "stream_asked");
	struct share place = run_part(run, TCP, "place_calls", "place_asked");

	run_judge(
		run, "sock-is-file",
		by_case(always_happens(stream, enough), always_happens(place, enough)),
		"of read, write, fstat, dup and poll {stream} calls worked on a TCP socket, of lseek, pread and pwrite {place}",
		number_share("stream", stream), number_share("place", place));
}

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_trials");

	judge_second(run, enough);
	judge_exchange(run, enough);
	judge_file(run, enough);
}

static const struct experiment about = {
	.name = "calls",
	.group = "tcp",
	.order = 418,
	.summary = "Which calls does a socket take?",
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

	while (run_next(run))
		measure(run, run_variant(run));
	return run_end(run);
}
