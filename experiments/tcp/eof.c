/* SPDX-License-Identifier: MIT */
/*
 * eof - what does recv tell when the other side ends, and does 0 always mean that it did?
 *
 * One side of a TCP connection fills the buffers, so that bytes are still under way, and ends:
 *
 *	open      it does not (control);
 *	shutdown  shutdown(SHUT_WR): it goes on receiving;
 *	close     close;
 *	killed    it is a process, which is killed;
 *	unread    close, with bytes that it has not read: they are lost, and TCP says so by a reset;
 *	linger0   close with SO_LINGER of 0 seconds: a reset asked for;
 *	crashed   killed with unread bytes.
 *
 * The other side receives all it can, then once more, asks poll, and writes twice.  Two more
 * programs make recv return 0 though nobody has ended:
 *
 *	udp-empty a datagram of 0 bytes;
 *	length-0  a recv of 0 bytes while some are there.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "judge.h"
#include "net.h"
#include "pattern.h"
#include "span.h"

enum { OPEN, SHUTDOWN, CLOSE, KILLED, UNREAD, LINGER, CRASHED, UDP_EMPTY, LENGTH_0 };

static const struct variant variants[] = {
	[OPEN] = {"open", "it stays open (control)"},
	[SHUTDOWN] = {"shutdown", "shutdown(SHUT_WR)"},
	[CLOSE] = {"close", "close"},
	[KILLED] = {"killed", "a process that is killed"},
	[UNREAD] = {"unread", "close with bytes unread"},
	[LINGER] = {"linger0", "close with SO_LINGER of 0 seconds"},
	[CRASHED] = {"crashed", "a process that is killed with bytes unread"},
	[UDP_EMPTY] = {"udp-empty", "an empty datagram, nobody ends"},
	[LENGTH_0] = {"length-0", "recv of 0 bytes, nobody ends"},
	{0}};

static const struct claim claims[] = {
	{"tcp-eof", "recv returning 0 bytes means that the peer closed its sending side",
	 "open=shutdown", REFUTED,
	 .why = {[DEPENDS] =
			 "close and shutdown queue a FIN behind the bytes; the kernel does it for a process that dies. The receiver reads the bytes first, then 0, as often as it asks. Unread bytes make it a reset, which overtakes what is still queued. But 0 also stands for an empty datagram, and for a recv of 0 bytes."}},
	{0}};

static const struct row_field fields[] = {
	{"accepted_bytes", "sent by the side that ends", "sent"},
	{"received_bytes", "of these, by the other", "received"},
	{"end", "the first recv that gave no bytes: 0, or the error number, negative",
	 "then recv|returned"},
	{"again", "the next one", "once|more"},
	{"again_2", "and the next"},
	{"again_3", "and the next"},
	{"zero", "1: the first of them is 0", "0 came", SHOW_NONZERO},
	{"poll_in", "1: poll gives POLLIN", "IN", SHOW_NONZERO},
	{"poll_rdhup", "1: POLLRDHUP", "RDHUP", SHOW_NONZERO},
	{"poll_hup", "1: POLLHUP", "HUP", SHOW_NONZERO},
	{"poll_err", "1: POLLERR", "ERR", SHOW_NONZERO},
	{"send", "in the other direction: bytes, or the error number, negative", "a send|returns"},
	{"send_2", "the next one", "once|more"},
	{"back_received_bytes", "what a side still there got of them"},
	{"back_end", "and its end"},
	{"reset", "1: the first of them is ECONNRESET"},
	{"lost_bytes", "sent and not received; 0 unless reset"},
	{"lost_orderly_bytes", "the same of ends that are no reset", .zero = true,
	 .sham = "close=unread"},
	{"back_missing_bytes", "that a peer that is still there did not get", .zero = true,
	 .sham = "open=killed"},
	{"misplaced_bytes", "received at another place than sent", .zero = true,
	 .sham = "disorder"},
	{"signal", "that a writer without MSG_NOSIGNAL died of"},
	{"elapsed_ns", "of the trial"},
	{0}};

static const struct bound bounds[] = {
	{"enough_trials", 3, "an end does not change its kind from trial to trial"}, {0}};

enum { AGAIN = 3, BACK = 1000, TWICE = 2 * BACK, PAGE = 4 << 10, PATIENCE_MS = 2000 };

static int64_t buffers = 16 << 10;

static const struct opt opts[] = {{'b', "buffers", "SO_SNDBUF and SO_RCVBUF to ask for",
				   .num = &buffers, .min = 4096, .max = 1 << 20, .unit = OPT_BYTES},
				  {0}};

/* --- the side that ends ---------------------------------------------------- */

/* One connection: `end` ends, `watch` looks on.  Results of calls are bytes, or -errno. */
struct trial {
	size_t variant;
	int end, watch;
	pid_t child; /* that has `end`, of KILLED and CRASHED */
	int64_t accepted, received, misplaced;
	int64_t first_end,
		again[AGAIN]; /* of recv, when there were no more bytes, and after that */
	int64_t revents;      /* of poll, then */
	int64_t back[2];      /* of send, twice */
	int64_t back_received, back_end; /* what the half-closed side still got, and its end */
	int64_t death;                   /* the signal that a writer without MSG_NOSIGNAL died of */
};

static bool is_reset(size_t variant)
{
	return variant >= UNREAD && variant <= CRASHED;
}

static bool in_child(size_t variant)
{
	return variant == KILLED || variant == CRASHED;
}

static int64_t result(ssize_t n)
{
	return n < 0 ? -errno : n;
}

/* Waits up to so long for one of the events, or only looks; what poll said. */
static int look(int fd, short events, int timeout_ms)
{
	struct pollfd fds[] = {{fd, events, 0}, {run_stop_fd(), POLLIN, 0}};

	while (poll(fds, timeout_ms ? 2 : 1, timeout_ms) < 0)
		if (errno != EINTR)
			err(EXIT_USAGE, "poll");
	return fds[0].revents;
}

/* Writes until no more fits; how much that was. */
static int64_t fill(int fd)
{
	uint8_t page[PAGE];
	int64_t sent = 0;
	ssize_t n;

	do {
		pattern_fill(page, PAGE, (uint64_t)sent);
		n = send(fd, page, PAGE, MSG_DONTWAIT | MSG_NOSIGNAL);
		sent += n > 0 ? n : 0;
	} while (n > 0);
	if (errno != EAGAIN)
		err(EXIT_USAGE, "send");
	return sent;
}

/* A process that fills the connection, says how much that was, and sleeps until it is killed. */
static void start_child(struct trial *t)
{
	int pipe[2];

	check_fd(pipe2(pipe, O_CLOEXEC), "pipe");
	t->child = child_fork();
	if (t->child == 0) {
		int64_t sent;

		close(t->watch); /* or its end would not be one */
		sent = fill(t->end);
		if (write(pipe[1], &sent, sizeof(sent)) != sizeof(sent))
			_exit(EXIT_FAILURE);
		for (;;)
			pause();
	}
	close(t->end);
	close(pipe[1]);
	t->end = -1;
	if (read(pipe[0], &t->accepted, sizeof(t->accepted)) != sizeof(t->accepted))
		errx(EXIT_USAGE, "the child died");
	close(pipe[0]);
}

/* Kills it and waits, so that the kernel has closed what it had. */
static void kill_child(struct trial *t)
{
	kill(t->child, SIGKILL);
	while (waitpid(t->child, NULL, 0) < 0)
		if (errno != EINTR)
			err(EXIT_USAGE, "waitpid");
}

static void end_it(struct trial *t)
{
	if (in_child(t->variant)) {
		kill_child(t);
	} else if (t->variant == SHUTDOWN) {
		check_fd(shutdown(t->end, SHUT_WR), "shutdown");
	} else if (t->variant != OPEN) {
		if (t->variant == LINGER)
			net_reset(t->end);
		else
			close(t->end);
		t->end = -1;
	}
}

/* --- the side that looks on ------------------------------------------------ */

/* Receives all there is; what the recv returned that gave nothing. */
static int64_t receive_all(struct trial *t)
{
	uint8_t page[PAGE];
	ssize_t n;

	for (;;) {
		/* what stays open is full: it says EAGAIN once all that can come has come */
		bool more =
			look(t->watch, POLLIN,
			     t->variant == OPEN && t->received == t->accepted ? 0 : PATIENCE_MS);

		n = recv(t->watch, page, PAGE, MSG_DONTWAIT);
		if (n <= 0 || !more || run_stopped())
			return result(n);
		t->misplaced += (int64_t)pattern_misplaced(page, (size_t)n, (uint64_t)t->received);
		t->received += n;
	}
}

/* The signal that a process dies of which writes there and takes no care of SIGPIPE; 0 for none. */
static int64_t death_of_writer(int fd)
{
	int status = 0;
	pid_t child = child_fork();

	if (child == 0) {
		signal(SIGPIPE, SIG_DFL);
		_exit(write(fd, "x", 1) < 0);
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			err(EXIT_USAGE, "waitpid");
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* Sends in the other direction, and sees how that ends. */
static void send_back(struct trial *t)
{
	uint8_t bytes[TWICE];

	pattern_fill(bytes, sizeof(bytes), 0);
	t->back[0] = result(send(t->watch, bytes, BACK, MSG_NOSIGNAL));
	if (t->end < 0) { /* nobody is there, and the answer to the first one says so */
		look(t->watch, 0, t->back[0] > 0 ? PATIENCE_MS / 10 : 0);
		t->back[1] = result(send(t->watch, bytes, BACK, MSG_NOSIGNAL));
		t->death = death_of_writer(t->watch);
		return;
	}
	t->back[1] = result(send(t->watch, bytes + BACK, BACK, MSG_NOSIGNAL));
	shutdown(t->watch, SHUT_WR);
	while (t->back_received < (int64_t)sizeof(bytes)) {
		ssize_t n;

		look(t->end, POLLIN, PATIENCE_MS);
		n = recv(t->end, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n <= 0)
			break;
		t->misplaced +=
			(int64_t)pattern_misplaced(bytes, (size_t)n, (uint64_t)t->back_received);
		t->back_received += n;
	}
	look(t->end, POLLIN, PATIENCE_MS);
	t->back_end = result(recv(t->end, bytes, 1, MSG_DONTWAIT));
}

static void measure_end(struct trial *t)
{
	struct net_pair fd = net_pair(NET_TCP, (struct net_ask){buffers, buffers, NULL});
	char byte;

	t->end = fd.tx;
	t->watch = fd.rx;
	if (t->variant == UNREAD || t->variant == CRASHED) {
		if (send(t->watch, "unread", 6, 0) != 6)
			err(EXIT_USAGE, "send");
		look(t->end, POLLIN, PATIENCE_MS);
	}
	if (in_child(t->variant))
		start_child(t);
	else
		t->accepted = fill(t->end);
	end_it(t);
	t->first_end = receive_all(t);
	t->revents = look(t->watch, POLLIN | POLLRDHUP, 0);
	for (int i = 0; i < AGAIN; i++)
		t->again[i] = result(recv(t->watch, &byte, 1, MSG_DONTWAIT));
	send_back(t);
	if (t->end >= 0)
		close(t->end);
	close(t->watch);
}

/* Makes recv return 0 with nobody gone, as what comes afterwards proves. */
static void measure_nobody(struct trial *t)
{
	struct net_pair fd =
		net_pair(t->variant == UDP_EMPTY ? NET_UDP : NET_TCP, (struct net_ask){0});
	uint8_t bytes[BACK];
	size_t length = t->variant == UDP_EMPTY ? BACK : 0;

	pattern_fill(bytes, BACK, 0);
	if (t->variant == UDP_EMPTY && send(fd.tx, bytes, 0, 0) != 0)
		err(EXIT_USAGE, "send");
	if (send(fd.tx, bytes, BACK, 0) != BACK)
		err(EXIT_USAGE, "send");
	t->accepted = BACK;
	look(fd.rx, POLLIN, PATIENCE_MS);
	t->first_end = result(recv(fd.rx, bytes, length, MSG_DONTWAIT));
	t->revents = look(fd.rx, POLLIN | POLLRDHUP, t->variant == UDP_EMPTY ? PATIENCE_MS : 0);
	t->again[0] = result(recv(fd.rx, bytes, BACK, MSG_DONTWAIT));
	if (t->again[0] > 0) {
		t->received = t->again[0];
		t->misplaced = (int64_t)pattern_misplaced(bytes, (size_t)t->received, 0);
	}
	t->again[1] = result(recv(fd.rx, bytes, BACK, MSG_DONTWAIT));
	t->again[2] = result(recv(fd.rx, bytes, BACK, MSG_DONTWAIT));
	t->back[0] = t->variant == UDP_EMPTY ? 0 : result(send(fd.rx, bytes, BACK, 0));
	net_close(&fd);
}

static void measure(struct run *run)
{
	struct trial t = {.variant = run_variant(run), .end = -1, .watch = -1};
	int64_t begin_ns = span_now();
	size_t label = run_label(run);

	if (t.variant >= UDP_EMPTY)
		measure_nobody(&t);
	else
		measure_end(&t);
	run_record(run, (struct field[]){{"accepted_bytes", t.accepted},
					 {"received_bytes", t.received},
					 {"lost_bytes", t.accepted - t.received},
					 {"misplaced_bytes", t.misplaced},
					 {"end", t.first_end},
					 {"zero", t.first_end == 0},
					 {"reset", t.first_end == -ECONNRESET},
					 {"again", t.again[0]},
					 {"again_2", t.again[1]},
					 {"again_3", t.again[2]},
					 {"poll_in", (t.revents & POLLIN) != 0},
					 {"poll_rdhup", (t.revents & POLLRDHUP) != 0},
					 {"poll_hup", (t.revents & POLLHUP) != 0},
					 {"poll_err", (t.revents & POLLERR) != 0},
					 {"send", t.back[0]},
					 {"send_2", t.back[1]},
					 {"back_received_bytes", t.back_received},
					 {"back_end", t.back_end},
					 {"signal", t.death},
					 {"elapsed_ns", span_now() - begin_ns},
					 {is_reset(label) ? NULL : "lost_orderly_bytes",
					  t.accepted - t.received},
					 {label <= SHUTDOWN ? "back_missing_bytes" : NULL,
					  TWICE - t.back_received},
					 {0}});
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_trials");
	struct share ends = run_nonzero_in(run, SHUTDOWN, KILLED, "zero");
	struct share open = run_nonzero(run, OPEN, "zero");
	struct share nobody = run_nonzero_in(run, UDP_EMPTY, LENGTH_0, "zero");

	run_judge(
		run, "tcp-eof",
		by_case(all_of(always_happens(ends, enough), never_happens(open, enough)),
			never_happens(nobody, enough)),
		"over TCP 0 came in {ends} orderly ends, after all bytes, and in {open} connections still open; after a reset it was ECONNRESET in {reset}; without an end 0 came in {nobody} empty datagrams and recvs of 0 bytes; a process that wrote to a peer that was gone died of SIGPIPE in {dead} trials",
		number_share("ends", ends), number_share("open", open),
		number_share("reset", run_nonzero_in(run, UNREAD, CRASHED, "reset")),
		number_share("nobody", nobody),
		number_share("dead", run_nonzero_in(run, CLOSE, CRASHED, "signal")));
}

static const struct experiment about = {
	.name = "eof",
	.group = "tcp",
	.order = 412,
	.summary = "What does recv return when the other side ends?",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 25,
	.quick_trials = 3,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	pattern_disorder(run_sham(run, "disorder"));
	while (run_next(run))
		measure(run);
	return run_end(run);
}
