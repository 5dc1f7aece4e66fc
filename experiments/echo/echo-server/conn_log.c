/* SPDX-License-Identifier: MIT */
#include "conn_log.h"

#include <stdio.h>

#include "text.h"

enum { SHOWN_BYTES = 80 };

static struct address *peers;

void conn_log_begin(struct address *table)
{
	peers = table;
}

void conn_log_connected(int fd, const struct address *peer)
{
	char name[ADDRESS_TEXT];

	peers[fd] = *peer;
	printf("Connected by %s\n", address_text(peer, name));
}

void conn_log_closed(int fd)
{
	char name[ADDRESS_TEXT];

	printf("%s closed\n", address_text(&peers[fd], name));
}

void conn_log_received(int fd, const char *bytes, size_t length)
{
	conn_log_datagram(&peers[fd], bytes, length);
}

void conn_log_datagram(const struct address *peer, const char *bytes, size_t length)
{
	char name[ADDRESS_TEXT];
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
	printf("%s: Received %zu bytes: %s\n", address_text(peer, name), length, shown);
}
