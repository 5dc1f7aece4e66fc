/* SPDX-License-Identifier: MIT */
#include "conn_log.h"

#include <stdio.h>
#include <string.h>

#include "text.h"

enum { SHOWN_BYTES = 80 };

/* What is put in for: %a the address, %h the host, %p the port, %t what was received. */
struct lines {
	const char *connected, *received, *closed; /* received NULL = it prints none */
};

#define CLOSED "Connection with %a closed"

static const struct lines runs_on = {"Connected by %a", "Received from %a: %t", CLOSED};
static const struct lines once = {"Connected by %a", "Received: %t", CLOSED};
static const struct lines greets = {"Got Connection from %a", NULL, CLOSED};
static const struct lines reverses = {"Connected to : %h : %p", NULL, "%h: Closed"};
static const char of_datagrams[] = "Received Messages: %t from %a";

static struct address *peers;
static const struct lines *lines;

void conn_log_begin(struct address *table, const struct conn_rules *rules)
{
	peers = table;
	lines = rules->greeting  ? &greets
		: rules->reverse ? &reverses
		: rules->once    ? &once
				 : &runs_on;
}

static void say(const char *line, const struct address *peer, const char *received)
{
	char host[ADDRESS_HOST];
	char port[ADDRESS_PORT];

	address_parts(peer, host, port);
	flockfile(stdout); /* other threads print, too */
	for (; *line; line++)
		if (*line != '%')
			putchar_unlocked(*line);
		else if (*++line == 'a')
			printf(peer->any.sa_family == AF_INET6 ? "('%s', %s, 0, %u)" : "('%s', %s)",
			       host, port, peer->v6.sin6_scope_id);
		else
			fputs(*line == 'h' ? host : *line == 'p' ? port : received, stdout);
	putchar_unlocked('\n');
	funlockfile(stdout);
}

void conn_log_connected(int fd, const struct address *peer)
{
	peers[fd] = *peer;
	say(lines->connected, peer, "");
}

void conn_log_closed(int fd)
{
	say(lines->closed, &peers[fd], "");
}

static void say_received(const char *line, const struct address *peer, const char *bytes,
			 size_t length)
{
	char shown[SHOWN_BYTES];
	size_t n = 0;

	for (size_t i = 0; i < length && n + 1 < sizeof(shown); i++) {
		size_t control = text_control(&bytes[i], length - i);

		if (bytes[i] != '\n' && bytes[i] != '\r')
			shown[n++] = (char)(control ? '.' : bytes[i]);
		if (control)
			i += control - 1;
	}
	shown[n] = 0;
	say(line, peer, shown);
}

void conn_log_received(int fd, const char *bytes, size_t length)
{
	if (lines->received)
		say_received(lines->received, &peers[fd], bytes, length);
}

void conn_log_datagram(const struct address *peer, const char *bytes, size_t length)
{
	say_received(of_datagrams, peer, bytes, length);
}

void conn_log_interrupted(void)
{
	puts("\nServer is shutting down...");
}
