/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What every file of tests begins with. The same files are programs, by cmocka, and parts of the module kecho_selftest, which has a
 * header of that name and as much of the C library as they use.
 */
#ifndef TEST_UNIT_H
#define TEST_UNIT_H
#ifdef __KERNEL__
#include "cmocka.h"
#else
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
/* Where all is slower, what tries many cases tries UNIT_SLOW times fewer; what would not be much without them, UNIT_STEP times. */
#define UNIT_SLOW 1
#define UNIT_STEP 1
/* The file's last line: its name, and an array of its tests. */
#define UNIT_SUITE(name, tests) int main(void) { return cmocka_run_group_tests_name(#name, tests, NULL, NULL); }
#endif
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/time64.h>
#endif
