/* SPDX-License-Identifier: MIT */
/* Stacks of our own: everything a callee keeps is kept, on each of several stacks. */
#include "stack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { STACKS = 3, BYTES = 64 << 10, ROUNDS = 1000 };

static void *places[STACKS], *home;
static int current;
static uint64_t integers[STACKS];
static double reals[STACKS];

/* More values across a switch than there are registers that need not be kept. */
static void work(void)
{
	int mine = current;
	uint64_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6;
	double r = 0.5, s = 0.25, t = 0.125, u = 1.5;

	for (;;) {
		a += (uint64_t)mine, b += a, c += b, d += c, e += d, f += e;
		r += 1, s += r, t += s / 1024, u += t / 1024;
		integers[mine] = a + b + c + d + e + f;
		reals[mine] = r + s + t + u;
		stack_switch(&places[mine], home);
	}
}

/* The same without switches. */
static void expect(uint64_t mine, int rounds, uint64_t *integer, double *real)
{
	uint64_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6;
	double r = 0.5, s = 0.25, t = 0.125, u = 1.5;

	for (int i = 0; i < rounds; i++) {
		a += mine, b += a, c += b, d += c, e += d, f += e;
		r += 1, s += r, t += s / 1024, u += t / 1024;
	}
	*integer = a + b + c + d + e + f;
	*real = r + s + t + u;
}

static void test_a_switch_keeps_everything(void **state)
{
	void *stacks[STACKS];
	uint64_t integer;
	double real;

	(void)state;
	if (stack_missing(true))
		skip();
	for (int i = 0; i < STACKS; i++) {
		stacks[i] = aligned_alloc(16, BYTES);
		assert_non_null(stacks[i]);
		places[i] = stack_begin(stacks[i], BYTES, work);
	}
	for (int round = 1; round <= ROUNDS; round++)
		for (current = 0; current < STACKS; current++) {
			stack_switch(&home, places[current]);
			expect((uint64_t)current, round, &integer, &real);
			assert_true(integers[current] == integer && reals[current] == real);
		}
	for (int i = 0; i < STACKS; i++)
		free(stacks[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_switch_keeps_everything)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
