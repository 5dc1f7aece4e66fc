/* SPDX-License-Identifier: MIT */
/*
 * uring.h - io_uring by its three system calls, for a thread that waits: no library is needed.
 *
 * Two rings in memory that the kernel shares: requests go into one, and what became of them comes
 * out of the other.  One thread uses it.
 *
 *	struct uring ring;
 *	struct io_uring_cqe done;
 *
 *	if ((error = uring_open(&ring, 8)) != 0) ...      ENOSYS, EPERM: this machine has none
 *	*uring_ask(&ring) = (struct io_uring_sqe){.opcode = IORING_OP_RECV, .fd = fd, ...};
 *	uring_enter(&ring, 1);                            submits all, sleeps until one is done
 *	while (uring_done(&ring, &done)) ...              done.res, done.user_data
 *	uring_close(&ring);
 *
 * uring_done() is no system call: it looks into memory, where the kernel writes meanwhile.
 */
#ifndef URING_H
#define URING_H

#include <errno.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct uring {
	int fd;
	_Atomic unsigned int *sq_head, *sq_tail; /* of requests: the kernel moves the head */
	_Atomic unsigned int *cq_head, *cq_tail; /* of completions: the kernel moves the tail */
	unsigned int sq_mask, cq_mask;
	struct io_uring_sqe *requests;
	struct io_uring_cqe *completions;
	unsigned int next, submitted; /* requests asked for so far, and told to the kernel */
	void *rings;
	size_t rings_bytes, requests_bytes;
};

static inline void uring_close(struct uring *ring)
{
	munmap(ring->requests, ring->requests_bytes);
	munmap(ring->rings, ring->rings_bytes);
	close(ring->fd);
}

/* Both rings lie in one mapping (Linux 5.4); the requests themselves in another. */
static inline int uring_map(struct uring *ring, const struct io_uring_params *p)
{
	const int prot = PROT_READ | PROT_WRITE;
	const int flags = MAP_SHARED | MAP_POPULATE;
	size_t sq = p->sq_off.array + p->sq_entries * sizeof(unsigned int);
	size_t cq = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);

	ring->rings_bytes = sq > cq ? sq : cq;
	ring->rings = mmap(NULL, ring->rings_bytes, prot, flags, ring->fd, IORING_OFF_SQ_RING);
	if (ring->rings == MAP_FAILED)
		return errno;
	ring->requests_bytes = p->sq_entries * sizeof(struct io_uring_sqe);
	ring->requests = mmap(NULL, ring->requests_bytes, prot, flags, ring->fd, IORING_OFF_SQES);
	if (ring->requests == MAP_FAILED) {
		int error = errno;

		munmap(ring->rings, ring->rings_bytes);
		return error;
	}
	return 0;
}

/*
 * 0, or an error number: ENOSYS (no such kernel), EPERM (forbidden by kernel.io_uring_disabled or a
 * seccomp filter) and so on: then there is nothing to close.  entries: the most that can be asked
 * for before uring_enter().
 */
static inline int uring_open(struct uring *ring, unsigned int entries)
{
	struct io_uring_params p = {0};
	unsigned int *array;
	char *rings;
	int error;

	*ring = (struct uring){.fd = (int)syscall(__NR_io_uring_setup, entries, &p)};
	if (ring->fd < 0)
		return errno;
	error = p.features & IORING_FEAT_SINGLE_MMAP ? uring_map(ring, &p) : ENOSYS;
	if (error) {
		close(ring->fd);
		return error;
	}
	rings = ring->rings;
	ring->sq_head = (void *)(rings + p.sq_off.head);
	ring->sq_tail = (void *)(rings + p.sq_off.tail);
	ring->sq_mask = p.sq_entries - 1;
	ring->cq_head = (void *)(rings + p.cq_off.head);
	ring->cq_tail = (void *)(rings + p.cq_off.tail);
	ring->cq_mask = p.cq_entries - 1;
	ring->completions = (void *)(rings + p.cq_off.cqes);
	array = (void *)(rings + p.sq_off.array);
	for (unsigned int i = 0; i < p.sq_entries; i++)
		array[i] = i; /* the request in slot i is the i-th, for good */
	return 0;
}

/* Why this machine has none: an error number, or 0. */
static inline int uring_missing(void)
{
	struct uring probe;
	int error = uring_open(&probe, 1);

	if (!error)
		uring_close(&probe);
	return error;
}

/* An empty request to fill in; NULL if as many are waiting for uring_enter() as fit. */
static inline struct io_uring_sqe *uring_ask(struct uring *ring)
{
	struct io_uring_sqe *request = &ring->requests[ring->next & ring->sq_mask];

	if (ring->next - atomic_load_explicit(ring->sq_head, memory_order_acquire) > ring->sq_mask)
		return NULL;
	ring->next++;
	memset(request, 0, sizeof(*request));
	return request;
}

/* Asks for a recv(2) into that room; there must be an empty request. */
static inline void uring_ask_recv(struct uring *ring, int fd, struct iovec room)
{
	*uring_ask(ring) = (struct io_uring_sqe){
		.opcode = IORING_OP_RECV,
		.fd = fd,
		.addr = (uint64_t)(uintptr_t)room.iov_base,
		.len = (uint32_t)room.iov_len,
	};
}

/*
 * Submits what was asked for, and sleeps until so many completions are there; 0 = does not.  0, or
 * an error number (EINTR).
 */
static inline int uring_enter(struct uring *ring, unsigned int wait)
{
	unsigned int fresh = ring->next - ring->submitted;
	long n;

	atomic_store_explicit(ring->sq_tail, ring->next, memory_order_release);
	n = syscall(__NR_io_uring_enter, ring->fd, fresh, wait, wait ? IORING_ENTER_GETEVENTS : 0,
		    NULL, 0);
	if (n < 0)
		return errno;
	ring->submitted += (unsigned int)n;
	return 0;
}

/* Takes the next completion, if there is one. */
static inline bool uring_done(struct uring *ring, struct io_uring_cqe *done)
{
	unsigned int head = atomic_load_explicit(ring->cq_head, memory_order_relaxed);

	if (head == atomic_load_explicit(ring->cq_tail, memory_order_acquire))
		return false;
	*done = ring->completions[head & ring->cq_mask];
	atomic_store_explicit(ring->cq_head, head + 1, memory_order_release);
	return true;
}

#endif
