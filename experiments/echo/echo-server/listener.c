/* SPDX-License-Identifier: MIT */
#include "listener.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "check.h"

void listener_share(int fd)
{
	const int on = 1;

	check_fd(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), "SO_REUSEPORT");
}

int listener_open(int type, const struct sockaddr_in *address, int backlog, bool share)
{
	char ip[INET_ADDRSTRLEN];
	const int on = 1;
	int fd = check_fd(socket(AF_INET, type | SOCK_CLOEXEC, 0), "socket");

	/*
	 * Connections of an earlier server in TIME_WAIT do not keep the port.  There are none of
	 * datagrams, and for them the option would let another server take the port over.
	 */
	if (type == SOCK_STREAM)
		check_fd(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), "SO_REUSEADDR");
	if (share)
		listener_share(fd);
	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 ||
	    (type == SOCK_STREAM && listen(fd, backlog) != 0))
		err(2, "%s:%d", inet_ntop(AF_INET, &address->sin_addr, ip, sizeof(ip)),
		    ntohs(address->sin_port));
	return fd;
}

struct sockaddr_in listener_address(int fd)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);

	check_fd(getsockname(fd, (struct sockaddr *)&address, &size), "getsockname");
	return address;
}
