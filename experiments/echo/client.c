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
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "check.h"
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

/* One line, status 1; a timeout of the socket says so. */
static _Noreturn void fail(void)
{
	if (errno == EAGAIN || errno == EINPROGRESS)
		errno = ETIMEDOUT;
	err(FAILED, "%s:%d", host, (int)port);
}

/* A file opened while one of the three is closed takes its place: the answer would go there. */
static void open_standard_files(void)
{
	int fd;

	do
		fd = check_fd(open("/dev/null", O_RDWR), "/dev/null");
	while (fd <= STDERR_FILENO);
	close(fd);
}

static int open_socket(void)
{
	const struct timeval patience = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
	struct addrinfo hints = {.ai_socktype = udp ? SOCK_DGRAM : SOCK_STREAM};
	struct addrinfo *found;
	char service[8];
	int error;
	int fd = -1;

	snprintf(service, sizeof(service), "%d", (int)port);
	error = getaddrinfo(host, service, &hints, &found);
	if (error)
		errx(FAILED, "%s: %s", host, gai_strerror(error));
	for (struct addrinfo *to = found; to && fd < 0; to = to->ai_next) {
		fd = check_fd(socket(to->ai_family, to->ai_socktype | SOCK_CLOEXEC, 0), "socket");
		check_fd(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)),
			 "SO_RCVTIMEO");
		check_fd(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)),
			 "SO_SNDTIMEO"); /* for connect, too: socket(7) */
		if (connect(fd, to->ai_addr, to->ai_addrlen) == 0)
			break;
		if (!to->ai_next)
			fail();
		close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	return fd;
}

/* At once, so that nobody is asked for more when there is nobody to tell. */
static void print(const char *bytes, size_t length)
{
	if (fwrite(bytes, 1, length, stdout) < length || fflush(stdout) != 0)
		err(FAILED, "stdout");
}

static void send_all(int fd, const char *bytes, size_t length)
{
	do { /* an empty datagram is one, too */
		ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);

		if (n < 0)
			fail();
		bytes += n;
		length -= (size_t)n;
	} while (length > 0);
}

/* Prints what comes: a datagram, or everything until the end; false if nothing did. */
static bool print_answer(int fd)
{
	static char bytes[DATAGRAM];
	char last = udp ? 0 : '\n';
	bool any = false;
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
		print(bytes, (size_t)n);
		last = bytes[n - 1];
		any = true;
		if (udp)
			break;
	}
	if (n < 0)
		fail();
	if (last != '\n')
		print("\n", 1);
	return any || udp;
}

static void talk(int fd)
{
	FILE *answers = fdopen(dup(fd), "r");
	char *line = NULL, *answer = NULL;
	size_t line_room = 0, answer_room = 0;
	ssize_t n;

	if (!answers)
		err(FAILED, "fdopen");
	while (print(">>> ", 4), (n = getline(&line, &line_room, stdin)) > 0) {
		if (line[n - 1] != '\n')
			line[n++] = '\n'; /* in place of the 0 at its end */
		send_all(fd, line, (size_t)n);
		errno = 0;
		n = getline(&answer, &answer_room, answers);
		if (n <= 0) {
			if (errno)
				fail();
			errx(FAILED, "%s:%d: the server has closed the connection", host,
			     (int)port);
		}
		print(answer, (size_t)n);
	}
	print("\n", 1);
	free(line);
	free(answer);
	fclose(answers);
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

	open_standard_files();
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
	if (interactive) {
		talk(fd);
	} else {
		send_all(fd, said, length);
		if (!udp)
			shutdown(fd, SHUT_WR);
		if (!print_answer(fd))
			errx(FAILED, "%s:%d: closed without an answer", host, (int)port);
	}
	close(fd);
	return 0;
}
