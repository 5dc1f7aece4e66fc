/* SPDX-License-Identifier: MIT */
/*
 * test_assembly - what gcc and clang make of x += 1 is told apart, on x86-64 and on AArch64.
 */
#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "assembly.h"

static const struct {
	const char *text; /* between "loop:" and ".size" */
	bool arm;
	enum assembly_form form;
	int between;
} cases[] = {
	/* gcc -O2, volatile */
	{"\ttestq\t%rdi, %rdi\n\tjle\t.L1\n.L3:\n\tmovq\tx(%rip), %rax\n\taddq\t$1, %rdx\n"
	 "\taddq\t$1, %rax\n\tmovq\t%rax, x(%rip)\n\tcmpq\t%rdx, %rdi\n\tjne\t.L3\n.L1:\n\tret\n",
	 false, ASSEMBLY_LOAD_STORE, 2},
	/* gcc -O0: what is on the stack is not x */
	{"\tmovq\t$0, -8(%rbp)\n\tjmp\t.L2\n.L3:\n\tmovq\tx(%rip), %rax\n\taddq\t$1, %rax\n"
	 "\tmovq\t%rax, x(%rip)\n\taddq\t$1, -8(%rbp)\n.L2:\n\tmovq\t-8(%rbp), %rax\n"
	 "\tcmpq\t-24(%rbp), %rax\n\tjl\t.L3\n\tret\n",
	 false, ASSEMBLY_LOAD_STORE, 1},
	/* clang -O2, volatile; with its remarks */
	{"# %bb.0:\n\t.p2align\t4, 0x90\n.LBB0_3:                # =>This Inner Loop\n"
	 "\taddq\t$1, x(%rip)\n\taddq\t$-1, %rdi\n\tjne\t.LBB0_3\n\tretq\n",
	 false, ASSEMBLY_ONE, 0},
	{".LBB0_3:\n\tlock\t\taddq\t$1, x(%rip)\n\taddq\t$-1, %rax\n\tjne\t.LBB0_3\n", false,
	 ASSEMBLY_LOCKED, -1},
	/* gcc -O1, plain */
	{"\tmovq\tx(%rip), %rdx\n.L3:\n\taddq\t$1, %rdx\n\tcmpq\t%rdi, %rdx\n\tjne\t.L3\n"
	 "\tmovq\t%rdx, x(%rip)\n\tret\n",
	 false, ASSEMBLY_REGISTER, -1},
	{"\ttestq\t%rdi, %rdi\n\tjle\t.L1\n\taddq\t%rdi, x(%rip)\n.L1:\n\tret\n", false,
	 ASSEMBLY_FOLDED, -1},
	/* a label that begins like another one */
	{".L31:\n\tmovq\t%rax, %rdx\n\tjne\t.L3\n.L3:\n\tret\n", false, ASSEMBLY_UNKNOWN, -1},
	{"", false, ASSEMBLY_UNKNOWN, -1},
	/* AArch64: gcc -O0, and clang's jumps from block to block */
	{".L3:\n\tadrp\tx0, x\n\tadd\tx0, x0, :lo12:x\n\tldr\tx0, [x0]\n\tadd\tx1, x0, 1\n"
	 "\tadrp\tx0, x\n\tadd\tx0, x0, :lo12:x\n\tstr\tx1, [x0]\n\tldr\tx0, [sp, 24]\n"
	 "\tblt\t.L3\n\tret\n",
	 true, ASSEMBLY_LOAD_STORE, 3},
	{".LBB0_1:                 // =>This Inner Loop\n\tldr\tx8, [sp]\n\tb.ge\t.LBB0_4\n"
	 ".LBB0_2:\n\tadrp\tx9, x\n\tldr\tx8, [x9, :lo12:x]\n\tadd\tx8, x8, #1\n"
	 "\tstr\tx8, [x9, :lo12:x]\n\tb\t.LBB0_1\n.LBB0_4:\n\tret\n",
	 true, ASSEMBLY_LOAD_STORE, 1},
	{".L3:\n\tmov\tx0, 1\n\tbl\t__aarch64_ldadd8_relax\n\tblt\t.L3\n", true, ASSEMBLY_LOCKED,
	 -1},
	{".L3:\n\tldadd\tx1, x2, [x0]\n\tcbnz\tx3, .L3\n", true, ASSEMBLY_LOCKED, -1},
};

static struct assembly read_text(const char *before, const char *text, const char *after, bool arm)
{
	char all[2048];
	struct assembly a;
	FILE *in;

	snprintf(all, sizeof(all), "%s%s%s", before, text, after);
	in = fmemopen(all, strlen(all), "r");
	assert_non_null(in);
	a = assembly_read(in, "loop", arm);
	fclose(in);
	return a;
}

static void test_forms(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct assembly a =
			read_text("get:\n\tmovq\tx(%rip), %rax\n\tret\nloop:\n", cases[i].text,
				  "\t.size\tloop, .-loop\n", cases[i].arm);

		assert_int_equal(a.form, cases[i].form);
		assert_int_equal(a.between, cases[i].between);
	}
}

static void test_only_the_function(void **state)
{
	struct assembly a =
		read_text("loops:\n\tlock addq\t$1, x(%rip)\n", "loop:\n\tret\n",
			  "\t.size\tloop, .-loop\nnext:\n\tlock addq $1, x(%rip)\n", false);

	(void)state;
	assert_int_equal(a.form, ASSEMBLY_UNKNOWN);
	assert_string_equal(a.code, "       ret\n");
}

static void test_marks(void **state)
{
	struct assembly a = read_text("loop:\n", cases[0].text, "\t.size\tloop, .-loop\n", false);

	(void)state;
	assert_string_equal(a.code, "       .L3:\n"
				    "load   movq x(%rip), %rax\n"
				    "       addq $1, %rdx\n"
				    "       addq $1, %rax\n"
				    "store  movq %rax, x(%rip)\n"
				    "       cmpq %rdx, %rdi\n"
				    "       jne .L3\n");
}

/* Longer than there is room for: whatever is read, nothing is overrun. */
static void test_long_text(void **state)
{
	char all[40000] = "loop:\n.L1:\n";
	struct assembly a;
	FILE *in;

	(void)state;
	for (int i = 0; i < 500; i++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "\taddq\t$%060d, x(%%rip)\n",
			 i);
	in = fmemopen(all, strlen(all), "r");
	assert_non_null(in);
	a = assembly_read(in, "loop", false);
	fclose(in);
	assert_true(strlen(a.code) < sizeof(a.code));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_only_the_function),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_long_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
