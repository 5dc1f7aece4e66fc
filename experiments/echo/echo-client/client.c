/* SPDX-License-Identifier: MIT */
/*
 * echo-client - sends a message to an echo server and prints the answer.
 *
 * One message: it sends it, closes its sending side and prints all it receives until the server
 * closes, too; so it need not know how long the answer is.  --interactive sends line by line and
 * waits for one line each time, --repeat the same line again and again; --no-answer waits for
 * nothing, and so cannot know what became of it.  A server that refuses, closes without an answer or
 * does not answer in time is one line on stderr and status 1.
 */
#include <err.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "files.h"
#include "opt.h"

enum { FAILED = 1, DATAGRAM = 65507, MESSAGE = 1 << 20 };

static const char *host = "127.0.0.1";
static const char *message;
static int64_t port = 65432;
static int64_t timeout_ms = 5000;
static int64_t repeat = 1;
static bool lines; /* a newline ends an answer */
static bool interactive, no_answer, udp;

static const struct opt opts[] = {
	{'i', "host", "where the server is; default 127.0.0.1", .text = &host, .metavar = "HOST"},
	{'p', "port", "its port", .num = &port, .min = 1, .max = 65535},
	{'s', "say", "the message, as are words without it; default \"Hello, Server!\"",
	 .text = &message, .lines = true, .metavar = "WORD"},
	{'t', "interactive", "send lines from standard input, print the answer to each",
	 .flag = &interactive},
	{0, "repeat", "send it so often, as a line, each when the one before is answered",
	 .num = &repeat, .min = 1, .max = 1000000000},
	{'n', "no-answer", "send the message and end, whatever becomes of it", .flag = &no_answer},
	{'u', "udp", "send a datagram instead", .flag = &udp},
	{0, "timeout", "give up when nothing is received for so long", .num = &timeout_ms, .min = 1,
	 .max = 3600000, .unit = OPT_MS},
	{0}};

/* The answer so far. */
static enum { NOTHING, PART_OF_A_LINE, LINE } answer;

/* Flushes, so that the client stops at once when its output is closed. */
static void print(const char *bytes, size_t length)
{
	if (fwrite(bytes, 1, length, stdout) < length || fflush(stdout) != 0)
		err(FAILED, "stdout");
}

static void end_line(void)
{
	if (answer == PART_OF_A_LINE)
		print("\n", 1);
}

/* One line, status 1. */
static _Noreturn void fail(int error)
{
	end_line();
	errno = error;
	err(FAILED, strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, (int)port);
}

/* The events that poll(2) returns; 0 and ETIMEDOUT after --timeout. */
static int wait_for(int fd, int events)
{
	struct pollfd one = {.fd = fd, .events = (short)events};
	int n;

	while ((n = poll(&one, 1, (int)timeout_ms)) < 0 && errno == EINTR)
		;
	check_fd(n, "poll");
	if (n == 0)
		errno = ETIMEDOUT;
	return one.revents;
}

/* 0, or the error. */
static int connect_to(int fd, const struct addrinfo *to)
{
	int error = 0;

	if (connect(fd, to->ai_addr, to->ai_addrlen) == 0)
		return 0;
	if (errno != EINPROGRESS || !wait_for(fd, POLLOUT))
		return errno;
	check_fd(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof(error)}),
		 "SO_ERROR");
	return error;
}

/* Non-blocking: unlike a recv(2) with a timeout, poll(2) can be restarted after SIGSTOP. */
static int open_socket(void)
{
	struct addrinfo hints = {.ai_socktype = udp ? SOCK_DGRAM : SOCK_STREAM};
	struct addrinfo *found;
	char service[8];
	int error;
	int fd = -1;

	snprintf(service, sizeof(service), "%d", (int)port);
	error = getaddrinfo(host, service, &hints, &found);
	if (error)
		errx(FAILED, "%s: %s", host, gai_strerror(error));
	for (struct addrinfo *to = found; to; to = to->ai_next) {
		fd = check_fd(
			socket(to->ai_family, to->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
			"socket");
		error = connect_to(fd, to);
		if (!error)
			break;
		close(fd);
	}
	freeaddrinfo(found);
	if (error)
		fail(error);
	return fd;
}

/* Sends what fits into the send buffer; returns how many bytes. */
static size_t send_some(int fd, const char *bytes, size_t length)
{
	ssize_t n = send(fd, bytes, length, 0);

	if (n < 0 && errno != EAGAIN)
		fail(errno);
	return n < 0 ? 0 : (size_t)n;
}

/* Prints what is received; false once the answer is complete: a line, a datagram, or to the end. */
static bool receive_some(int fd)
{
	static char bytes[DATAGRAM];
	ssize_t n = recv(fd, bytes, sizeof(bytes), lines ? MSG_PEEK : 0);

	if (lines && n > 0) { /* what follows the line stays in the receive buffer */
		const char *end = memchr(bytes, '\n', (size_t)n);

		n = recv(fd, bytes, end ? (size_t)(end + 1 - bytes) : (size_t)n, 0);
	}
	if (n < 0 && errno == EAGAIN)
		return true;
	if (n < 0)
		fail(errno);
	print(bytes, (size_t)n);
	if (n > 0 || udp)
		answer = n > 0 && bytes[n - 1] == '\n' ? LINE : PART_OF_A_LINE;
	return n > 0 && !udp && !(lines && answer == LINE);
}

/* Sends and receives at a time: a server may not read on until its answer is read. */
static void exchange(int fd, const char *bytes, size_t length)
{
	bool sending = true, receiving = !no_answer;

	answer = NOTHING;
	while (sending || receiving) {
		int ready = wait_for(fd, (sending ? POLLOUT : 0) | (receiving ? POLLIN : 0));

		if (!ready)
			fail(errno);
		if (receiving && ready & ~POLLOUT)
			receiving = receive_some(fd);
		if (sending && ready & POLLOUT) {
			size_t sent = send_some(fd, bytes, length);

			bytes += sent;
			length -= sent;
			sending = length > 0;
			if (!sending && !lines && !udp)
				shutdown(fd, SHUT_WR);
		}
	}
	if (answer == NOTHING && !no_answer)
		errx(FAILED, strchr(host, ':') ? "[%s]:%d: %s" : "%s:%d: %s", host, (int)port,
		     "closed without an answer");
	end_line();
}

static void exchange_lines(int fd)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	while (print(">>> ", 4), (n = getline(&line, &room, stdin)) > 0) {
		if (line[n - 1] != '\n')
			line[n++] = '\n'; /* in place of the 0 at its end */
		exchange(fd, line, (size_t)n);
	}
	print("\n", 1);
	free(line);
}

int main(int argc, char *argv[])
{
	int rest;
	const struct opt_page page = {
		.doc = "Sends a message to an echo server and prints the answer.\v"
		       "Exit status: 0 answered, or sent with --no-answer, 1 refused, reset, unreachable or timed out, 2 bad usage.",
		.tables = {{"The client:", opts}},
		.arguments = "[WORD...]",
		.rest = &rest};
	char text[MESSAGE];
	size_t length;
	int fd;

	files_open_standard();
	opt_parse(&page, argc, argv);
	if (!message)
		message = rest < argc ? argv[rest++] : "Hello, Server!";
	length = (size_t)snprintf(text, sizeof(text), "%s", message);
	for (; rest < argc && length < sizeof(text); rest++)
		length += (size_t)snprintf(text + length, sizeof(text) - length, " %s", argv[rest]);
	if (length >= sizeof(text))
		errx(2, "--say: longer than %d bytes", MESSAGE - 1);
	if (interactive && udp)
		errx(2, "--interactive: lines may be lost over --udp");
	if (repeat > 1 && (interactive || udp))
		errx(2, "--repeat: the message, over a connection");
	lines = interactive || repeat > 1;
	if (lines && no_answer)
		errx(2, "--no-answer: each line waits for its answer");
	signal(SIGPIPE, SIG_IGN);
	fd = open_socket();
	if (interactive)
		exchange_lines(fd);
	else if (lines)
		text[length++] = '\n'; /* in place of the 0 at its end */
	for (int64_t i = 0; i < repeat && !interactive; i++)
		exchange(fd, text, length);
	close(fd);
	return 0;
}
