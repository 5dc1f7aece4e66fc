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
#include "old.h"
#include "net.h"
#include "pattern.h"
#include "span.h"
#include "text.h"

enum { OPEN, SHUTDOWN, CLOSE, KILLED, UNREAD, LINGER, CRASHED, UDP_EMPTY, LENGTH_0, VARIANTS };

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
	{"tcp-eof", "recv returning 0 bytes means that the peer closed its sending side"}, {0}};

enum { AGAIN = 3, BACK = 1000, TWICE = 2 * BACK, PAGE = 4 << 10, PATIENCE_MS = 2000 };

static int64_t buffers = 16 << 10;

static const struct opt opts[] = {{'b', "buffers", "SO_SNDBUF and SO_RCVBUF to ask for",
				   .num = &buffers, .min = 4096, .max = 1 << 20, .unit = OPT_BYTES},
				  {0}};

static const struct experiment about = {
	.name = "eof",
	.group = "tcp",
	.summary = "What does recv return when the other side ends?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 25,
	.quick_trials = 3,
};

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

	if (t.variant >= UDP_EMPTY)
		measure_nobody(&t);
	else
		measure_end(&t);
	run_record(run, (struct field[]){{"accepted_bytes", t.accepted},
					 {"received_bytes", t.received},
					 {"lost_bytes", t.accepted - t.received},
					 {"misplaced_bytes", t.misplaced},
					 {"end", t.first_end},
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
					 {0}});
}

/* --- report ---------------------------------------------------------------- */

/* A result as programmers know it: "0", "1,000", "ECONNRESET". */
static const char *told(double result)
{
	return result < 0 ? text_errno((int)-result) : text_count((int64_t)result);
}

/* What all trials of a variant had in a field, or "varies". */
static const char *all_told(struct run *run, size_t variant, const char *field)
{
	struct values values = run_values(run, variant, field);
	double low = stats_quantile(values, 0);

	return low == stats_quantile(values, 1) ? told(low) : "varies";
}

static const char *events(struct run *run, size_t variant)
{
	static const struct {
		const char *field, *name;
	} bits[] = {{"poll_in", "IN"},
		    {"poll_rdhup", "RDHUP"},
		    {"poll_hup", "HUP"},
		    {"poll_err", "ERR"}};
	const char *text = "";

	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		if (run_median(run, variant, bits[i].field) > 0)
			text = text_format("%s%s%s", text, *text ? " " : "", bits[i].name);
	return *text ? text : "-";
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	fprintf(out, "  %-9s %9s %9s %11s %10s %-13s %s\n", "", "bytes", "of them", "then recv",
		"once more", " then poll", "two sends");
	fprintf(out, "  %-9s %9s %9s %11s %10s %-13s %s\n", "the peer", "sent", "received",
		"returned", "returned", " says", "return");
	for (size_t v = 0; v < VARIANTS; v++)
		if (run_selected(run, v))
			fprintf(out, "  %-9s %9s %9s %11s %10s  %-12s %s%s\n", variants[v].name,
				text_count((int64_t)run_median(run, v, "accepted_bytes")),
				text_count((int64_t)run_median(run, v, "received_bytes")),
				all_told(run, v, "end"), all_told(run, v, "again"), events(run, v),
				v == UDP_EMPTY ? "" : all_told(run, v, "send"),
				v >= UDP_EMPTY ? ""
					       : text_format(" %s", all_told(run, v, "send_2")));
	fputs("\n", out);
}

/* How many samples of the variants from first to last have this value in the field. */
static size_t count(struct run *run, size_t first, size_t last, const char *field, int64_t value,
		    size_t *of)
{
	size_t n = 0;

	*of = 0;
	for (size_t v = first; v <= last; v++) {
		struct values values = run_values(run, v, field);

		*of += values.n;
		for (size_t i = 0; i < values.n; i++)
			n += values.at[i] == value;
	}
	return n;
}

static void check_books(struct run *run)
{
	size_t n;

	for (size_t v = 0; v < VARIANTS; v++) {
		struct values lost = run_values(run, v, "lost_bytes");
		size_t wrong = stats_nonzero(run_values(run, v, "misplaced_bytes"));

		if (!is_reset(v))
			wrong += stats_nonzero(lost);
		if (v <= SHUTDOWN)
			wrong += lost.n - count(run, v, v, "back_received_bytes", TWICE, &n);
		old_control(run, wrong == 0, "%s: bytes were lost or changed in %zu of %zu trials",
			    variants[v].name, wrong, lost.n);
	}
}

static void judge_ends(struct run *run)
{
	size_t ends, opens, resets, nobodies, halves, n;
	size_t zero = count(run, SHUTDOWN, KILLED, "end", 0, &ends);
	size_t alive = count(run, OPEN, OPEN, "end", 0, &opens);
	size_t reset = count(run, UNREAD, CRASHED, "end", -ECONNRESET, &resets);
	size_t false_zero = count(run, UDP_EMPTY, LENGTH_0, "end", 0, &nobodies);
	size_t half = count(run, SHUTDOWN, SHUTDOWN, "back_received_bytes", TWICE, &halves);
	size_t dead = count(run, CLOSE, CRASHED, "signal", SIGPIPE, &n);
	double lost = 0;

	for (size_t v = UNREAD; v <= CRASHED; v++)
		lost += run_sum(run, v, "lost_bytes");
	if (ends == 0 || opens == 0)
		return;
	old_verdict(
		run, "tcp-eof",
		alive || zero < ends ? REFUTED
		: false_zero         ? DEPENDS
				     : HOLDS,
		(struct field[]){{"zero_after_end", (int64_t)zero},
				 {"ends", (int64_t)ends},
				 {"zero_while_open", (int64_t)alive},
				 {"open", (int64_t)opens},
				 {"econnreset_after_reset", (int64_t)reset},
				 {"resets", (int64_t)resets},
				 {"reset_lost_bytes", (int64_t)lost},
				 {"zero_with_nobody_gone", (int64_t)false_zero},
				 {"nobody_gone", (int64_t)nobodies},
				 {"half_closed_received", (int64_t)half},
				 {"sigpipe", (int64_t)dead},
				 {0}},
		"over TCP 0 came in %zu of %zu orderly ends, after all bytes, and in %zu of "
		"%zu connections still open; a half-closed peer received in %zu of %zu. After "
		"a reset it was ECONNRESET in %zu of %zu, once. 0 without an end: %zu of %zu empty "
		"datagrams and recvs of 0 bytes",
		zero, ends, alive, opens, half, halves, reset, resets, false_zero, nobodies);
}

static void report(struct run *run)
{
	size_t n, dead = count(run, CLOSE, CRASHED, "signal", SIGPIPE, &n);

	print_table(run);
	check_books(run);
	judge_ends(run);
	old_why(run,
		"close and shutdown queue a FIN behind the bytes; the kernel does it for a "
		"process that dies. The receiver reads the bytes first, then 0, as often as it "
		"asks. Unread bytes make it a reset, which overtakes what is still queued.");
	if (n > 0)
		run_say(run,
			"A process that wrote to a peer that was gone, without MSG_NOSIGNAL, died "
			"of SIGPIPE in %zu of %zu trials.",
			dead, n);
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run))
		measure(run);
	return old_end(run, report);
}
