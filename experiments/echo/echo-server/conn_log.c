/* SPDX-License-Identifier: MIT */
#include "conn_log.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "text.h"

enum { NAME_BYTES = 64, SHOWN_BYTES = 80 };

static struct sockaddr_in *peers;

void conn_log_begin(struct sockaddr_in *table)
{
	peers = table;
}

/* "127.0.0.1:54321" */
static const char *name_of(const struct sockaddr_in *peer, char name[NAME_BYTES])
{
	char ip[INET_ADDRSTRLEN];

	snprintf(name, NAME_BYTES, "%s:%d", inet_ntop(AF_INET, &peer->sin_addr, ip, sizeof(ip)),
		 ntohs(peer->sin_port));
	return name;
}

void conn_log_connected(int fd, const struct sockaddr_in *peer)
{
	char name[NAME_BYTES];

	peers[fd] = *peer;
	printf("Connected by %s\n", name_of(peer, name));
}

void conn_log_closed(int fd)
{
	char name[NAME_BYTES];

	printf("%s closed\n", name_of(&peers[fd], name));
}

void conn_log_received(int fd, const char *bytes, size_t length)
{
	conn_log_datagram(&peers[fd], bytes, length);
}

void conn_log_datagram(const struct sockaddr_in *peer, const char *bytes, size_t length)
{
	char name[NAME_BYTES];
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
	printf("%s: Received %zu bytes: %s\n", name_of(peer, name), length, shown);
}
