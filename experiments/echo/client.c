/* SPDX-License-Identifier: MIT */
/*
 * echo-client - says something to an echo server and prints what comes back.
 *
 * One message: it sends it, closes its sending side and prints all that comes until the server
 * closes, too; so it need not know how long the answer is.  --interactive sends line by line and
 * waits for a line each.  A server that is not there, goes away or is silent is one line on
 * stderr and status 1.
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
static bool interactive, udp;

static const struct opt opts[] = {
	{'i', "host", "whom to talk to; default 127.0.0.1", .text = &host, .metavar = "HOST"},
	{'p', "port", "where it listens", .num = &port, .min = 1, .max = 65535},
	{'s', "say", "the message, as are words without it; default \"Hello, Server!\"",
	 .text = &message, .lines = true, .metavar = "WORD"},
	{'t', "interactive", "ask for lines, print the answer to each", .flag = &interactive},
	{'u', "udp", "send a datagram instead", .flag = &udp},
	{0, "timeout", "give up when nothing comes for so long", .num = &timeout_ms, .min = 1,
	 .max = 3600000, .unit = OPT_MS},
	{0}};

/* The answer so far. */
static enum { NOTHING, PART_OF_A_LINE, LINE } answer;

/* At once, so that nobody is asked for more when there is nobody to tell. */
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
	err(FAILED, "%s:%d", host, (int)port);
}

/* What of these events is possible; 0 and ETIMEDOUT when nothing was for so long. */
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

/* It never blocks: poll(2) waits, and goes on when a stopped process does (signal(7)). */
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

/* Sends what there is room for. */
static size_t say(int fd, const char *bytes, size_t length)
{
	ssize_t n = send(fd, bytes, length, 0);

	if (n < 0 && errno != EAGAIN)
		fail(errno);
	return n < 0 ? 0 : (size_t)n;
}

/* Prints what has come; false once that is the answer: a line, a datagram, or all to the end. */
static bool hear(int fd)
{
	static char bytes[DATAGRAM];
	ssize_t n = recv(fd, bytes, sizeof(bytes), interactive ? MSG_PEEK : 0);

	if (interactive && n > 0) { /* what follows the line stays there for the next time */
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
	return n > 0 && !udp && !(interactive && answer == LINE);
}

/* Says it and prints the answer, both at once: a server may not hear on until it is heard. */
static void exchange(int fd, const char *bytes, size_t length)
{
	bool saying = true, hearing = true;

	answer = NOTHING;
	while (saying || hearing) {
		int ready = wait_for(fd, (saying ? POLLOUT : 0) | (hearing ? POLLIN : 0));

		if (!ready)
			fail(errno);
		if (hearing && ready & ~POLLOUT)
			hearing = hear(fd);
		if (saying && ready & POLLOUT) {
			size_t said = say(fd, bytes, length);

			bytes += said;
			length -= said;
			saying = length > 0;
			if (!saying && !interactive && !udp)
				shutdown(fd, SHUT_WR);
		}
	}
	if (answer == NOTHING)
		errx(FAILED, "%s:%d: closed without an answer", host, (int)port);
	end_line();
}

static void talk(int fd)
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
		.doc = "Says something to an echo server and prints what comes back.\v"
		       "Exit status: 0 answered, 1 refused, reset, unreachable or timed out, "
		       "2 bad usage.",
		.tables = {{"The client:", opts}},
		.arguments = "[WORD...]",
		.rest = &rest};
	char said[MESSAGE];
	size_t length;
	int fd;

	files_open_standard();
	opt_parse(&page, argc, argv);
	if (!message)
		message = rest < argc ? argv[rest++] : "Hello, Server!";
	length = (size_t)snprintf(said, sizeof(said), "%s", message);
	for (; rest < argc && length < sizeof(said); rest++)
		length += (size_t)snprintf(said + length, sizeof(said) - length, " %s", argv[rest]);
	if (length >= sizeof(said))
		errx(2, "--say: longer than %d bytes", MESSAGE - 1);
	if (interactive && udp)
		errx(2, "--interactive: lines may be lost over --udp");
	signal(SIGPIPE, SIG_IGN);
	fd = open_socket();
	if (interactive)
		talk(fd);
	else
		exchange(fd, said, length);
	close(fd);
	return 0;
}
