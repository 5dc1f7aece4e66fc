/* SPDX-License-Identifier: MIT */
#include "link.h"

#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "text.h"

enum { OUTPUT = 64 << 10, COMMAND = 512, FRAME = 1500, QUEUE = 256 << 10 };
enum { ATTEMPTS = 500, ATTEMPT_MS = 10 }; /* of a new cable */

/* What the parent asks of the child: a socket, or to run a command. */
struct request {
	enum link_host host;
	int family, type; /* of a socket; 0 = run the command */
	char command[COMMAND];
};

struct link {
	pid_t child;
	int channel; /* SOCK_SEQPACKET: requests, and answers of text or with a socket */
	char said[OUTPUT + 1];
};

/* --- the child --------------------------------------------------------------- */

static int hosts[2]; /* the child's descriptors of both network namespaces */

/* Runs it in the namespace this process is in; its output, ended by 0.  Its wait status. */
static int shell(const char *command, char output[OUTPUT + 1])
{
	char line[COMMAND + 32];
	FILE *pipe;
	size_t n;

	snprintf(line, sizeof(line), "exec 2>&1 </dev/null; %s", command);
	pipe = popen(line, "re"); /* NOLINT(cert-env33-c): iproute2 is meant to be called so */
	output[0] = 0;
	if (!pipe)
		return -1;
	n = fread(output, 1, OUTPUT, pipe);
	output[n] = 0;
	return pclose(pipe);
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return written;
}

/* Goes into a network namespace of its own: as root, else as the root of a user namespace. */
static bool leave(void)
{
	const char *uids = text_format("0 %d 1", (int)geteuid());
	const char *gids = text_format("0 %d 1", (int)getegid());

	if (unshare(CLONE_NEWNET) == 0)
		return true;
	return unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 &&
	       write_file("/proc/self/setgroups", "deny") &&
	       write_file("/proc/self/uid_map", uids) && write_file("/proc/self/gid_map", gids);
}

/* NULL, or what the host's commands complained of. */
static const char *configure(enum link_host host, const char *command, char output[OUTPUT + 1])
{
	check_fd(setns(hosts[host], CLONE_NEWNET), "setns");
	if (shell(command, output) == 0)
		return NULL;
	output[strcspn(output, "\n")] = 0;
	return text_format("no cable could be made (%s)", *output ? output : "/bin/sh: failed");
}

static enum link_host peer_of(enum link_host host)
{
	return host == LINK_TX ? LINK_RX : LINK_TX;
}

static const char *address_text(enum link_host host)
{
	struct in_addr address = link_address(host);
	char text[INET_ADDRSTRLEN];

	return text_format("%s", inet_ntop(AF_INET, &address, text, sizeof(text)));
}

static const char *ethernet_text(enum link_host host)
{
	return text_format("02:00:00:00:00:%02x", 1 + (unsigned int)host);
}

/*
 * "ip addr add ..." and all that makes a host's end of the cable work.  It knows its neighbour: else
 * its questions for him could be lost, or be counted, among what is measured.
 */
static const char *plug_in(enum link_host host)
{
	enum link_host peer = peer_of(host);

	return text_format("ip link set lo up && ip addr add %s/24 brd + dev cable && "
			   "ip link set cable up && ip neigh add %s lladdr %s dev cable",
			   address_text(host), address_text(peer), ethernet_text(peer));
}

/* A fresh socket, or -1. */
static int socket_of(enum link_host host, int family, int type)
{
	int protocol = family == AF_PACKET ? htons(ETH_P_ALL) : 0;

	check_fd(setns(hosts[host], CLONE_NEWNET), "setns");
	return socket(family, type | SOCK_CLOEXEC, protocol);
}

/*
 * Waits until what this host sends arrives: the kernel drops it in silence until it has noticed that
 * both ends are up, which a thread of its own does some time later.
 */
static bool carries(enum link_host host)
{
	struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr = link_address(peer_of(host))};
	socklen_t size = sizeof(peer);
	int tx = check_fd(socket_of(host, AF_INET, SOCK_DGRAM), "socket");
	int rx = check_fd(socket_of(peer_of(host), AF_INET, SOCK_DGRAM), "socket");
	struct pollfd arrived = {.fd = rx, .events = POLLIN};

	check_fd(bind(rx, (struct sockaddr *)&peer, size), "bind");
	check_fd(getsockname(rx, (struct sockaddr *)&peer, &size), "getsockname");
	for (int i = 0; i < ATTEMPTS && poll(&arrived, 1, i ? ATTEMPT_MS : 0) <= 0; i++)
		check_fd((int)sendto(tx, "", 1, 0, (struct sockaddr *)&peer, size), "sendto");
	close(tx);
	close(rx);
	return arrived.revents;
}

/* Ordinary users often have not got the folders of ip and tc on their PATH. */
static void widen_path(void)
{
	const char *path = getenv("PATH");
	char *wider;

	if (asprintf(&wider, "%s:/usr/sbin:/sbin", path ? path : "/usr/bin:/bin") < 0)
		err(2, "asprintf");
	setenv("PATH", wider, 1);
	free(wider);
}

/* Makes both hosts and the cable.  NULL, or why it could not be. */
static const char *set_up(struct link_ask ask, char output[OUTPUT + 1])
{
	int mtu = ask.mtu ? (int)ask.mtu : FRAME;
	long long queue = ask.queue ? ask.queue : QUEUE;
	enum link_host slow = ask.both_ways ? LINK_RX : LINK_TX; /* the last host with the rate */
	const char *failed;

	widen_path();
	for (enum link_host host = LINK_TX; host <= LINK_RX; host++) {
		if (!leave())
			return text_format("network namespaces are not allowed here (%s)",
					   strerror(errno));
		hosts[host] = check_fd(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), "ns/net");
	}
	failed = configure(LINK_TX,
			   text_format("ip link add cable mtu %d address %s type veth peer name "
				       "cable mtu %d address %s netns /proc/%d/fd/%d",
				       mtu, ethernet_text(LINK_TX), mtu, ethernet_text(LINK_RX),
				       (int)getpid(), hosts[LINK_RX]),
			   output);
	if (!failed)
		failed = configure(LINK_RX, plug_in(LINK_RX), output);
	if (!failed)
		failed = configure(LINK_TX, plug_in(LINK_TX), output);
	for (enum link_host host = LINK_TX; !failed && ask.rate && host <= slow; host++)
		failed = configure(host,
				   text_format("tc qdisc add dev cable root tbf rate %lldbps "
					       "burst %d limit %lld",
					       (long long)ask.rate, LINK_BURST, queue),
				   output);
	for (enum link_host host = LINK_TX; !failed && host <= LINK_RX; host++)
		if (!carries(host))
			failed = "no cable could be made (it carries nothing)";
	return failed;
}

/* Sends an answer: a descriptor, or text. */
static void answer(int channel, int fd, char *text)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec data = {text, strlen(text) + 1};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};

	if (fd >= 0) {
		struct cmsghdr *head = &control.align;

		message.msg_control = control.space;
		message.msg_controllen = sizeof(control.space);
		*head = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	}
	if (sendmsg(channel, &message, MSG_NOSIGNAL) < 0)
		_exit(EXIT_SUCCESS); /* the parent has gone */
}

/* Answers what is asked, until the parent closes its end. */
static _Noreturn void serve(int channel, struct link_ask ask, char output[OUTPUT + 1])
{
	const char *failed = set_up(ask, output);
	struct request request;

	snprintf(output, OUTPUT + 1, "%s", failed ? failed : "");
	answer(channel, -1, output);
	while (!failed && recv(channel, &request, sizeof(request), 0) == sizeof(request)) {
		if (request.type) {
			int fd = socket_of(request.host, request.family, request.type);

			answer(channel, fd, fd < 0 ? strerror(errno) : (char[]){""});
			if (fd >= 0)
				close(fd);
		} else {
			check_fd(setns(hosts[request.host], CLONE_NEWNET), "setns");
			shell(request.command, output);
			answer(channel, -1, output);
		}
	}
	_exit(EXIT_SUCCESS);
}

/* --- the parent -------------------------------------------------------------- */

/* The next answer's text; its descriptor, or -1. */
static int hear(struct link *link)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec data = {link->said, OUTPUT + 1};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = control.space,
				 .msg_controllen = sizeof(control.space)};
	ssize_t n = recvmsg(link->channel, &message, MSG_CMSG_CLOEXEC);
	int fd = -1;

	if (n <= 0)
		errx(2, "the process that makes the network namespaces has died");
	link->said[n - 1] = 0;
	if (CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

static int ask_child(struct link *link, const struct request *request)
{
	check_fd((int)send(link->channel, request, sizeof(*request), MSG_NOSIGNAL), "send");
	return hear(link);
}

struct link *link_open(struct link_ask ask, const char **why)
{
	static char reason[COMMAND]; /* it stays, for a report at the end */
	struct link *link = check_alloc(calloc(1, sizeof(*link)));
	int ends[2];

	check_fd(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
	link->child = child_fork_apart();
	if (link->child == 0) {
		close(ends[0]);
		serve(ends[1], ask, link->said);
	}
	close(ends[1]);
	link->channel = ends[0];
	hear(link);
	if (!*link->said)
		return link;
	snprintf(reason, sizeof(reason), "%.*s", COMMAND - 1, link->said);
	*why = reason;
	link_close(link);
	return NULL;
}

struct in_addr link_address(enum link_host host)
{
	return (struct in_addr){htonl(0xc0000201 + host)}; /* 192.0.2.1 and .2: RFC 5737 */
}

int link_socket(struct link *link, enum link_host host, int type)
{
	int fd = ask_child(link, &(struct request){host, AF_INET, type, ""});

	if (fd < 0)
		errx(2, "socket: %s", link->said);
	return fd;
}

int link_packets(struct link *link, enum link_host host, const char **why)
{
	int fd = ask_child(link, &(struct request){host, AF_PACKET, SOCK_DGRAM, ""});

	if (fd < 0)
		*why = text_format("this kernel has no packet sockets (%s)", link->said);
	return fd;
}

struct net_pair link_pair(struct link *link, enum net_kind kind, struct net_ask ask)
{
	int type = kind == NET_TCP ? SOCK_STREAM : SOCK_DGRAM;

	return net_join(link_socket(link, LINK_TX, type), link_socket(link, LINK_RX, type),
			link_address(LINK_RX), ask);
}

void link_gone(struct link *link, enum link_host host, bool gone)
{
	const char *said =
		link_run(link, peer_of(host),
			 text_format("ip neigh replace %s lladdr %s dev cable", address_text(host),
				     gone ? "02:00:00:00:00:ff" : ethernet_text(host)));

	if (*said)
		errx(2, "ip neigh: %s", said);
}

const char *link_run(struct link *link, enum link_host host, const char *command)
{
	struct request request = {.host = host};

	snprintf(request.command, sizeof(request.command), "%s", command);
	ask_child(link, &request);
	return link->said;
}

void link_close(struct link *link)
{
	close(link->channel);
	waitpid(link->child, NULL, 0);
	free(link);
}
