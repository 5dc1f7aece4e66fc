/* SPDX-License-Identifier: MIT */
#include "net.h"

#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

static void set_option(int fd, int option, int64_t bytes, const char *name)
{
	int value = (int)bytes;

	if (bytes)
		check_fd(setsockopt(fd, SOL_SOCKET, option, &value, sizeof(value)), name);
}

static int64_t get_option(int fd, int option, const char *name)
{
	int value = 0;
	socklen_t size = sizeof(value);

	check_fd(getsockopt(fd, SOL_SOCKET, option, &value, &size), name);
	return value;
}

/* A socket bound to a free port of 127.0.0.1; *address is where. */
static int bound(int type, int64_t rcvbuf, struct sockaddr_in *address)
{
	int fd = check_fd(socket(AF_INET, type | SOCK_CLOEXEC, 0), "socket");
	socklen_t size = sizeof(*address);

	*address =
		(struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	set_option(fd, SO_RCVBUF, rcvbuf, "SO_RCVBUF");
	check_fd(bind(fd, (struct sockaddr *)address, sizeof(*address)), "bind");
	check_fd(getsockname(fd, (struct sockaddr *)address, &size), "getsockname");
	return fd;
}

static struct net_pair inet_pair(int type, struct net_ask ask)
{
	struct sockaddr_in address;
	struct net_pair pair = {.rx = bound(type, ask.rcvbuf, &address)};
	int listener = pair.rx;

	if (type == SOCK_STREAM)
		check_fd(listen(listener, 1), "listen");
	pair.tx = check_fd(socket(AF_INET, type | SOCK_CLOEXEC, 0), "socket");
	set_option(pair.tx, SO_SNDBUF, ask.sndbuf, "SO_SNDBUF");
	if (ask.congestion && setsockopt(pair.tx, IPPROTO_TCP, TCP_CONGESTION, ask.congestion,
					 (socklen_t)strlen(ask.congestion)) != 0)
		err(2, "congestion control '%s'", ask.congestion);
	check_fd(connect(pair.tx, (struct sockaddr *)&address, sizeof(address)), "connect");
	if (type == SOCK_STREAM) {
		pair.rx = check_fd(accept4(listener, NULL, NULL, SOCK_CLOEXEC), "accept");
		close(listener);
	}
	return pair;
}

static struct net_pair unix_pair(int type, struct net_ask ask)
{
	int fd[2];

	check_fd(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fd), "socketpair");
	set_option(fd[1], SO_SNDBUF, ask.sndbuf, "SO_SNDBUF");
	set_option(fd[0], SO_RCVBUF, ask.rcvbuf, "SO_RCVBUF");
	return (struct net_pair){.tx = fd[1], .rx = fd[0]};
}

static struct net_pair pipe_pair(struct net_ask ask)
{
	int fd[2];

	check_fd(pipe2(fd, O_CLOEXEC), "pipe");
	if (ask.sndbuf && fcntl(fd[1], F_SETPIPE_SZ, (int)ask.sndbuf) < 0 && errno != EPERM &&
	    errno != EINVAL) /* refused: net_sndbuf() tells what it has */
		err(2, "F_SETPIPE_SZ");
	return (struct net_pair){.tx = fd[1], .rx = fd[0]};
}

struct net_pair net_pair(enum net_kind kind, struct net_ask ask)
{
	switch (kind) {
	case NET_TCP:
		return inet_pair(SOCK_STREAM, ask);
	case NET_UDP:
		return inet_pair(SOCK_DGRAM, ask);
	case NET_UNIX_STREAM:
		return unix_pair(SOCK_STREAM, ask);
	case NET_UNIX_DGRAM:
		return unix_pair(SOCK_DGRAM, ask);
	case NET_PIPE:
		break;
	}
	return pipe_pair(ask);
}

void net_close(struct net_pair *pair)
{
	if (pair->tx >= 0)
		close(pair->tx);
	if (pair->rx >= 0)
		close(pair->rx);
	*pair = (struct net_pair){-1, -1};
}

/* F_GETPIPE_SZ, or -1 for what is no pipe. */
static int64_t pipe_size(int fd)
{
	return fcntl(fd, F_GETPIPE_SZ);
}

int64_t net_sndbuf(int fd)
{
	int64_t size = pipe_size(fd);

	return size >= 0 ? size : get_option(fd, SO_SNDBUF, "SO_SNDBUF");
}

int64_t net_rcvbuf(int fd)
{
	int64_t size = pipe_size(fd);

	return size >= 0 ? size : get_option(fd, SO_RCVBUF, "SO_RCVBUF");
}

int64_t net_outq(int fd)
{
	int bytes = 0;

	check_fd(ioctl(fd, SIOCOUTQ, &bytes), "SIOCOUTQ");
	return bytes;
}

int64_t net_inq(int fd)
{
	int bytes = 0;

	check_fd(ioctl(fd, FIONREAD, &bytes),
		 "SIOCINQ"); /* the same number, which pipes know too */
	return bytes;
}

struct net_memory net_memory(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = {0};
	socklen_t size = sizeof(info);
	int type = (int)get_option(fd, SO_TYPE, "SO_TYPE");
	int domain = (int)get_option(fd, SO_DOMAIN, "SO_DOMAIN");
	bool tcp = type == SOCK_STREAM && domain != AF_UNIX;

	check_fd(getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size), "SO_MEMINFO");
	return (struct net_memory){
		.receive = info[SK_MEMINFO_RMEM_ALLOC],
		.send = info[tcp ? SK_MEMINFO_WMEM_QUEUED : SK_MEMINFO_WMEM_ALLOC],
		.drops = info[SK_MEMINFO_DROPS],
	};
}
