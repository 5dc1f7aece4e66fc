/* SPDX-License-Identifier: MIT */
/*
 * stack.h - several stacks in one thread, and going from one to the other without the kernel.
 */
#ifndef STACK_H
#define STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Leaves the stack it is called on, whose place goes to *from, and goes on where `to` was left.  The
 * registers that a callee must keep are kept, as a call keeps them; the floating point unit's
 * control words are left alone, for nobody here changes them.
 */
void stack_switch(void **from, void *to);

/*
 * Prepares fresh memory, aligned to 16 bytes, as a stack: the first stack_switch() to what this
 * returns calls first(), which must not return.
 */
void *stack_begin(void *stack, size_t bytes, void (*first)(void));

/*
 * Why that cannot be done in this build, or NULL; `own` = by stack_switch(), else by the C
 * library's swapcontext(3).
 */
const char *stack_missing(bool own);

#endif
