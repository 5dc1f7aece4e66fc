/* SPDX-License-Identifier: MIT */
#include "messages.h"

#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "check.h"
#include "exp.h"
#include "span.h"

void messages_begin(struct messages *m, int64_t n)
{
	messages_begin_with(m, n, net_pair(NET_TCP, (struct net_ask){.rcvbuf = 1 << 20}));
}

void messages_begin_with(struct messages *m, int64_t n, struct net_pair fd)
{
	*m = (struct messages){
		.fd = fd,
		.n = n,
		.at_ns = check_alloc(calloc((size_t)n, sizeof(*m->at_ns))),
		.came = check_alloc(calloc((size_t)n, sizeof(*m->came))),
		.late_ns = check_alloc(calloc((size_t)n, sizeof(*m->late_ns))),
	};
	net_set(m->fd.tx, IPPROTO_TCP, TCP_NODELAY, 1);
}

void messages_send(const struct messages *m)
{
	int64_t begin_ns = span_now();

	prctl(PR_SET_TIMERSLACK, 1UL); /* ns: they are sent when they should */
	for (int64_t i = 0; i < m->n && run_sleep_until(begin_ns + m->at_ns[i]); i++) {
		struct message message = {i, span_now()};

		if (send(m->fd.tx, &message, sizeof(message), 0) != (ssize_t)sizeof(message))
			err(EXIT_USAGE, "send");
	}
	check_fd(shutdown(m->fd.tx, SHUT_WR), "shutdown");
}

bool messages_left(const struct messages *m)
{
	return m->got < m->n && !m->ended;
}

struct iovec messages_room(const struct messages *m)
{
	return (struct iovec){(char *)m->came + m->came_bytes,
			      (size_t)m->n * sizeof(*m->came) - m->came_bytes};
}

int64_t messages_take(struct messages *m, size_t bytes)
{
	int64_t now_ns = span_now();
	int64_t before = m->got;

	m->ended = bytes == 0;
	m->came_bytes += bytes;
	for (; m->got < (int64_t)(m->came_bytes / sizeof(*m->came)); m->got++) {
		m->misplaced += m->came[m->got].number != m->got;
		m->late_ns[m->got] = now_ns - m->came[m->got].sent_ns;
	}
	return m->got - before;
}

int64_t messages_recv(struct messages *m, int flags)
{
	struct iovec room = messages_room(m);
	ssize_t n = recv(m->fd.rx, room.iov_base, room.iov_len, flags);

	if (n < 0 && errno != EAGAIN)
		err(EXIT_USAGE, "recv");
	return n < 0 ? -1 : messages_take(m, (size_t)n);
}

int64_t messages_late(const struct messages *m, double q)
{
	struct values late = {m->late_ns, (size_t)m->got};

	return m->got ? (int64_t)stats_quantile(late, q) : 0;
}

void messages_end(struct messages *m)
{
	net_close(&m->fd);
	free(m->at_ns);
	free(m->came);
	free(m->late_ns);
}
