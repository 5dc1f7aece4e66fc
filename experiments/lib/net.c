/* SPDX-License-Identifier: MIT */
#include "net.h"

#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"

void net_set(int fd, int level, int option, int value)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)) != 0)
		err(2, "setsockopt %d of level %d to %d", option, level, value);
}

void net_set_timeout(int fd, int option, int64_t ms)
{
	struct timeval time = {ms / 1000, ms % 1000 * 1000};

	check_fd(setsockopt(fd, SOL_SOCKET, option, &time, sizeof(time)), "a socket's timeout");
}

static void ask_for(int fd, int option, int64_t bytes)
{
	if (bytes)
		net_set(fd, SOL_SOCKET, option, (int)bytes);
}

static int64_t get_option(int fd, int option, const char *name)
{
	int value = 0;
	socklen_t size = sizeof(value);

	check_fd(getsockopt(fd, SOL_SOCKET, option, &value, &size), name);
	return value;
}

void net_prepare(int fd, struct net_ask ask)
{
	ask_for(fd, SO_RCVBUF, ask.rcvbuf);
	ask_for(fd, SO_SNDBUF, ask.sndbuf);
	if (ask.congestion && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, ask.congestion,
					 (socklen_t)strlen(ask.congestion)) != 0)
		err(2, "congestion control '%s'", ask.congestion);
}

/* --- sockets --------------------------------------------------------------- */

int net_socket(int type)
{
	return check_fd(socket(AF_INET, type | SOCK_CLOEXEC, 0), "socket");
}

struct sockaddr_in net_name(int fd)
{
	struct sockaddr_in name = {0};
	socklen_t size = sizeof(name);

	check_fd(getsockname(fd, (struct sockaddr *)&name, &size), "getsockname");
	return name;
}

void net_reset(int fd)
{
	const struct linger at_once = {.l_onoff = 1};

	check_fd(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), "SO_LINGER");
	close(fd);
}

void net_bind(int fd, struct in_addr address, struct sockaddr_in *where)
{
	*where = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = address};
	check_fd(bind(fd, (struct sockaddr *)where, sizeof(*where)), "bind");
	*where = net_name(fd);
}

static struct in_addr loopback(void)
{
	return (struct in_addr){htonl(INADDR_LOOPBACK)};
}

int net_bound(int type, struct sockaddr_in *where)
{
	int fd = net_socket(type);

	net_bind(fd, loopback(), where);
	return fd;
}

int net_listen(int backlog, struct sockaddr_in *where)
{
	int fd = net_bound(SOCK_STREAM, where);

	check_fd(listen(fd, backlog), "listen");
	return fd;
}

int net_connect(const struct sockaddr_in *where)
{
	int fd = net_socket(SOCK_STREAM);

	check_fd(connect(fd, (const struct sockaddr *)where, sizeof(*where)), "connect");
	return fd;
}

int net_accept(int listener)
{
	return check_fd(accept4(listener, NULL, NULL, SOCK_CLOEXEC), "accept");
}

int net_silent(struct sockaddr_in *where, int fillers[NET_FILLERS])
{
	int listener = net_listen(0, where); /* has room for one */

	for (int i = 0; i < NET_FILLERS; i++) {
		fillers[i] = net_socket(SOCK_STREAM | SOCK_NONBLOCK);
		if (connect(fillers[i], (struct sockaddr *)where, sizeof(*where)) != 0 &&
		    errno != EINPROGRESS)
			err(2, "connect");
	}
	return listener;
}

ssize_t net_send_now(int fd, const void *bytes, size_t length)
{
	ssize_t n = send(fd, bytes, length, MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN)
		err(2, "send");
	return n;
}

ssize_t net_recv_now(int fd, void *buffer, size_t size)
{
	ssize_t n = recv(fd, buffer, size, MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN)
		err(2, "recv");
	return n;
}

void *net_buffer(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return aligned_alloc(page, (size + page - 1) / page * page);
}

void net_must_be_closed(const char *call)
{
	if (errno != EPIPE && errno != ECONNRESET)
		err(2, "%s", call);
}

bool net_port_listed(const char *path, unsigned long port, unsigned long state)
{
	FILE *file = fopen(path, "re");
	char line[512];
	bool found = false;

	/* "  0: 0100007F:1F90 00000000:0000 0A ...": slot, local, remote, state */
	while (file && !found && fgets(line, sizeof(line), file)) {
		const char *slot = strchr(line, ':');
		const char *local = slot ? strchr(slot + 1, ':') : NULL;
		const char *remote = local ? strchr(local + 1, ':') : NULL;
		char *end = NULL;

		if (!remote || strtoul(local + 1, NULL, 16) != port)
			continue;
		strtoul(remote + 1, &end, 16);
		found = strtoul(end, NULL, 16) == state;
	}
	if (file)
		fclose(file);
	return found;
}

/* --- pairs ----------------------------------------------------------------- */

struct net_pair net_join(int tx, int rx, struct in_addr address, struct net_ask ask)
{
	bool stream = get_option(rx, SO_TYPE, "SO_TYPE") == SOCK_STREAM;
	struct net_pair pair = {tx, rx};
	struct sockaddr_in where;

	net_prepare(rx, (struct net_ask){.rcvbuf = ask.rcvbuf});
	net_prepare(tx, (struct net_ask){.sndbuf = ask.sndbuf, .congestion = ask.congestion});
	net_bind(rx, address, &where);
	if (stream)
		check_fd(listen(rx, 1), "listen");
	check_fd(connect(tx, (struct sockaddr *)&where, sizeof(where)), "connect");
	if (stream) {
		pair.rx = net_accept(rx);
		close(rx);
	}
	return pair;
}

static struct net_pair unix_pair(int type, struct net_ask ask)
{
	int fd[2];

	check_fd(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fd), "socketpair");
	ask_for(fd[1], SO_SNDBUF, ask.sndbuf);
	ask_for(fd[0], SO_RCVBUF, ask.rcvbuf);
	return (struct net_pair){.tx = fd[1], .rx = fd[0]};
}

struct net_pair net_unix_bound(struct net_ask ask)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	socklen_t size = sizeof(name);
	struct net_pair pair = {
		.tx = check_fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"),
		.rx = check_fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")};

	ask_for(pair.tx, SO_SNDBUF, ask.sndbuf);
	ask_for(pair.rx, SO_RCVBUF, ask.rcvbuf);
	check_fd(bind(pair.rx, (struct sockaddr *)&name, sizeof(name.sun_family)), "bind");
	check_fd(getsockname(pair.rx, (struct sockaddr *)&name, &size), "getsockname");
	check_fd(connect(pair.tx, (struct sockaddr *)&name, size), "connect");
	return pair;
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
		return net_join(net_socket(SOCK_STREAM), net_socket(SOCK_STREAM), loopback(), ask);
	case NET_UDP:
		return net_join(net_socket(SOCK_DGRAM), net_socket(SOCK_DGRAM), loopback(), ask);
	case NET_UNIX_STREAM:
		return unix_pair(SOCK_STREAM, ask);
	case NET_UNIX_DGRAM:
		return unix_pair(SOCK_DGRAM, ask);
	case NET_UNIX_SEQPACKET:
		return unix_pair(SOCK_SEQPACKET, ask);
	case NET_PIPE:
	case NET_KINDS:
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

int64_t net_grid_size(int64_t least, int64_t most, int64_t i, int64_t n)
{
	double step = (double)i / (double)(n - 1);

	return llround((double)least / 1024 * pow((double)most / (double)least, step)) * 1024;
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
