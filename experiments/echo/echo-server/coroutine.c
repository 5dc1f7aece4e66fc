/* SPDX-License-Identifier: MIT */
#include "coroutine.h"

#include <sys/mman.h>

#include "stack.h"

enum { STACK = 32 << 10, PAGE = 4 << 10 };

/* This struct lies at the top of the stack's memory. */
struct coroutine {
	void *stack; /* pointer, where it was switched away from */
	void (*serve)(struct conn *conn);
	struct conn *conn;
	struct coroutine *next; /* in the list of free ones */
};

/* This thread's. */
static _Thread_local void *loop; /* its stack, as of a coroutine */
static _Thread_local struct coroutine *current, *free_ones;

/* On each stack: one connection after the other. */
static void serve_conns(void)
{
	for (;;) {
		struct coroutine *self = current;

		self->serve(self->conn);
		self->next = free_ones;
		free_ones = self;
		coroutine_wait();
	}
}

/* With a guard page below its stack. */
static struct coroutine *allocate(void)
{
	char *memory = mmap(NULL, PAGE + STACK, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t room = PAGE + STACK - 64;
	struct coroutine *made;

	if (memory == MAP_FAILED)
		return NULL;
	mprotect(memory, PAGE, PROT_NONE);
	made = (struct coroutine *)(void *)(memory + room);
	made->stack = stack_begin(memory, room, serve_conns);
	return made;
}

struct coroutine *coroutine_new(void (*serve)(struct conn *conn), struct conn *conn)
{
	struct coroutine *coroutine = free_ones;

	if (coroutine)
		free_ones = coroutine->next;
	else
		coroutine = allocate();
	if (coroutine) {
		coroutine->serve = serve;
		coroutine->conn = conn;
	}
	return coroutine;
}

void coroutine_resume(struct coroutine *coroutine)
{
	current = coroutine;
	stack_switch(&loop, coroutine->stack);
}

struct coroutine *coroutine_self(void)
{
	return current;
}

void coroutine_wait(void)
{
	stack_switch(&current->stack, loop);
}

const char *coroutine_missing(void)
{
	return stack_missing(true);
}
