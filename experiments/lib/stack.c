/* SPDX-License-Identifier: MIT */
#include "stack.h"

/*
 * Pushes what a callee must keep, changes stacks, pops what was pushed there.  It goes on by a jump, whose
 * target the processor predicts; a `ret` it predicts from the calls of the stack that was left, always wrong.
 */
#if defined(__x86_64__)
__asm__(".text; .p2align 4; .globl stack_switch\n"
	"stack_switch:\n"
	"	pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
	"	movq %rsp, (%rdi); movq %rsi, %rsp\n"
	"	popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp\n"
	"	popq %rcx; jmpq *%rcx\n");
/*
 * In words: how far below the stack's end a new one's frame begins, and where in it the address to
 * go on at stands.
 */
enum { FRAME = 8, RETURN = 6 };
#elif defined(__aarch64__)
__asm__(".text; .p2align 4; .globl stack_switch\n"
	"stack_switch:\n"
	"	sub sp, sp, #160\n"
	"	stp x19, x20, [sp, #0]; stp x21, x22, [sp, #16]; stp x23, x24, [sp, #32]\n"
	"	stp x25, x26, [sp, #48]; stp x27, x28, [sp, #64]; stp x29, x30, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]; stp d10, d11, [sp, #112]\n"
	"	stp d12, d13, [sp, #128]; stp d14, d15, [sp, #144]\n"
	"	mov x9, sp; str x9, [x0]; mov sp, x1\n"
	"	ldp x19, x20, [sp, #0]; ldp x21, x22, [sp, #16]; ldp x23, x24, [sp, #32]\n"
	"	ldp x25, x26, [sp, #48]; ldp x27, x28, [sp, #64]; ldp x29, x30, [sp, #80]\n"
	"	ldp d8, d9, [sp, #96]; ldp d10, d11, [sp, #112]\n"
	"	ldp d12, d13, [sp, #128]; ldp d14, d15, [sp, #144]\n"
	"	add sp, sp, #160\n"
	"	br x30\n");
enum { FRAME = 20, RETURN = 11 };
#else
enum { FRAME = 0, RETURN = 0 }; /* no such instructions written yet: left out, never called */
void stack_switch(void **from, void *to)
{
	*from = to;
}
#endif

#ifndef __has_feature /* gcc has the names below instead */
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
	__has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

void *stack_begin(void *stack, size_t bytes, void (*first)(void))
{
	uintptr_t *frame = (uintptr_t *)stack + bytes / sizeof(*frame) - FRAME;

	frame[RETURN] = (uintptr_t)first;
	return frame;
}

const char *stack_missing(bool own)
{
	if (SANITIZED)
		return "a sanitizer is built in, and knows nothing of stacks of our own";
	if (own && FRAME == 0)
		return "no instructions written for this kind of CPU";
	return NULL;
}
