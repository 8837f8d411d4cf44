// SPDX-License-Identifier: GPL-2.0
/* The filter expr. */
#include "filters.h"
#include "../../filters/expr.c"

/* Kept by the test's filter, which gets this expression; quoted by @quote. */
static const char *kept_by(const char *expr, char quote)
{
	char line[400];
	int n = snprintf(line, sizeof(line), "%s expr=%c%s%c", filters.f ? "=0" : "out expr", quote, expr, quote);

	assert_true(n < (int)sizeof(line));
	if (filters_write(line))
		fail_msg("%s: %s", line, filters.said);
	return filters_run();
}

#define assert_kept(expr, want) assert_string_equal(kept_by(expr, '\''), want)
/* Of one candidate. */
#define assert_is(expr, want) do { \
		const char *_e = (expr); \
		if (!!*kept_by(_e, '\'') != (want)) \
			fail_msg("%s is not %d", _e, want); \
	} while (0)

static void one_candidate(void)
{
	filters_candidates("2/7 @1500 i=5 d=0.25 n=-3 t=abc u=abd zone=a | zone=b load=0.5");
	filters_event("req", "n=2 ez=a type=mine", "payload");
}

/* Sinks are asked first, then their nodes. */
static void candidates(void **state)
{
	filters_event("", "", "");
	filters_candidates("1 load=0.5 zone=a\n2\n3/7 load=0.2 | load=0.9 zone=a\n4 load=0.1 zone=b\n5/1 | load=0.69 zone=a");
	assert_kept("load < 0.7 && zone == \"a\"", "1 3/7 5/1");
	assert_ptr_equal(filters.pass.candidates[1], &filters.all[2]);
	assert_kept("load >= 0.5", "1 5/1");
	assert_kept("!has(load)", "2");
	assert_kept("sink", "3/7 5/1");
	assert_kept("sink == 0 && load < 1", "1 4");
	assert_kept("1", "1 2 3/7 4 5/1");
	assert_kept("0", "");
	assert_kept("load", "1 3/7 4 5/1");
	assert_kept("id == \"0000000000000004\"", "4");
	filters_candidates("18364758544493064720 @250\n1\n3 @1750");
	assert_kept("id == \"fedcba9876543210\"", "18364758544493064720");
	assert_kept("age > 0.2", "18364758544493064720 3");
	assert_kept("age == 1.75", "3");
	assert_kept("age == 0", "1");
	/* Nothing is heard later than now. */
	filters.all[0].heard_ns = filters.now + 1;
	assert_kept("age == 0", "18364758544493064720 1");
}

static void of_the_event(void **state)
{
	one_candidate();
	filters.prio = 6;
	filters.publisher = 0xab;
	assert_is("event.type == \"req\" && event.prio == 6 && event.len == 7", true);
	assert_is("event.publisher == \"00000000000000ab\" && !local", true);
	assert_is("event.publisher == id", false);
	assert_is("event.n == 2 && has(event.n) && !has(event.i) && !has(n.n)", true);
	assert_is("event.`type` == \"mine\" && has(event.`type`) && !(event.ez != zone)", true);
	assert_is("i - event.n == 3", true);
	/* Each event anew. */
	filters_event("", "n=4", "");
	filters.publisher = FILTERS_SELF;
	assert_string_equal(filters_run(), "");
	assert_is("i - event.n == 1 && event.type == \"\" && local && event.len == 0", true);
	filters_event("", "", "");
	assert_string_equal(filters_run(), "");
	/* What concerns the event alone is found out once, for all of them. */
	filters_candidates("2\n3\n4");
	assert_kept("local && !has(event.n)", "2 3 4");
	assert_kept("has(event.n)", "");
}

/* Every comparison of every two kinds, both as attributes and as constants. */
static void comparisons(void **state)
{
	static const struct {
		const char *name, *literal;
		int kind, order;
	} values[] = {
		{ "i", "5", NUMBER, 5000 }, { "d", "0.25", NUMBER, 250 }, { "n", "-3", NUMBER, -3000 }, { "e", "\"\"", TEXT, 0 },
		{ "t", "\"abc\"", TEXT, 2 }, { "ab", "\"ab\"", TEXT, 1 }, { "u", "\"abd\"", TEXT, 3 }, { "missing", NULL, NOTHING, 0 },
	};
	static const char * const ops[] = { "==", "!=", "<", "<=", ">", ">=", "^=" };
	char expr[100];
	size_t i, j, k;

	filters_event("", "", "");
	filters_candidates("2/7 ab=ab i=5 d=0.25 e=\"\" n=-3 t=abc u=abd");
	for (i = 0; i < ARRAY_SIZE(values); i++) {
		for (j = 0; j < ARRAY_SIZE(values); j++) {
			int a = values[i].order, b = values[j].order;
			bool same = values[i].kind == values[j].kind && values[i].kind != NOTHING;
			bool begins = values[i].kind == TEXT && (!b || a == b || (b == 1 && a > 1));
			const bool want[] = { a == b, a != b, a < b, a <= b, a > b, a >= b, begins };

			for (k = 0; k < ARRAY_SIZE(ops); k++) {
				snprintf(expr, sizeof(expr), "%s %s %s", values[i].name, ops[k], values[j].name);
				assert_is(expr, same && want[k]);
				if (!values[j].literal || (k == 6 && values[j].kind == NUMBER))
					continue;
				snprintf(expr, sizeof(expr), "%s%s%s", values[i].name, ops[k], values[j].literal);
				assert_is(expr, same && want[k]);
				if (!same || (k == 6 && values[i].kind == NUMBER))
					continue;
				snprintf(expr, sizeof(expr), "%s%s%s", values[i].literal, ops[k], values[j].literal);
				assert_is(expr, want[k]);
			}
		}
	}
}

static void calculations(void **state)
{
	/* Results as of integers without bounds, which are cut off at nine places. NULL: too large, or none. */
	static const struct {
		const char *expr, *result;
	} vectors[] = {
		{ "(-9223372036854775807 - 1) + (-9223372036854775807 - 1)", NULL },
		{ "(-9223372036854775807 - 1) + -1", NULL },
		{ "(-9223372036854775807 - 1) + -0.000000001", NULL },
		{ "(-9223372036854775807 - 1) + 0.000000001", "-9223372036854775807.999999999" },
		{ "(-9223372036854775807 - 1) + 1", "-9223372036854775807" },
		{ "(-9223372036854775807 - 1) + 2", "-9223372036854775806" },
		{ "(-9223372036854775807 - 1) + 18446744073", "-9223372018408031735" },
		{ "-3037000500 + 0", "-3037000500" },
		{ "-2 + 3", "1" },
		{ "-0.5 + -0.999999999", "-1.499999999" },
		{ "-0.000000001 + -0.000000001", "-0.000000002" },
		{ "0 + 0", "0" },
		{ "0.000000001 + (-9223372036854775807 - 1)", "-9223372036854775807.999999999" },
		{ "0.000000001 + 9223372036854775807.999999999", NULL },
		{ "0.333333333 + (-9223372036854775807 - 1)", "-9223372036854775807.666666667" },
		{ "1 + 0", "1" },
		{ "1 + 3", "4" },
		{ "2 + -9223372036854775807", "-9223372036854775805" },
		{ "2 + 3", "5" },
		{ "1000000000 + 0", "1000000000" },
		{ "4611686018427387904.000000001 + 0", "4611686018427387904.000000001" },
		{ "4611686018427387904.000000001 + 4294967295", "4611686022722355199.000000001" },
		{ "4611686018427387904.000000001 + 8589934593.000000005", "4611686027017322497.000000006" },
		{ "9223372036854775807.999999999 + 0.000000001", NULL },
		{ "9223372036854775807.999999999 + 1", NULL },
		{ "9223372036854775807.999999999 + 2", NULL },
		{ "9223372036854775807.999999999 + 9223372036854775807.999999999", NULL },
		{ "(-9223372036854775807 - 1) - (-9223372036854775807 - 1)", "0" },
		{ "(-9223372036854775807 - 1) - -1", "-9223372036854775807" },
		{ "(-9223372036854775807 - 1) - -0.000000001", "-9223372036854775807.999999999" },
		{ "(-9223372036854775807 - 1) - 0.000000001", NULL },
		{ "(-9223372036854775807 - 1) - 1", NULL },
		{ "(-9223372036854775807 - 1) - 2", NULL },
		{ "(-9223372036854775807 - 1) - 123456789.987654321", NULL },
		{ "(-9223372036854775807 - 1) - 4611686018427387904.000000001", NULL },
		{ "-7 - 2", "-9" },
		{ "-2 - 3", "-5" },
		{ "-1 - 3037000500", "-3037000501" },
		{ "-0.000000001 - -0.000000001", "0" },
		{ "0 - 0", "0" },
		{ "0 - 3037000500", "-3037000500" },
		{ "0.000000001 - (-9223372036854775807 - 1)", NULL },
		{ "0.000000001 - 9223372036854775807.999999999", "-9223372036854775807.999999998" },
		{ "0.333333333 - 8589934593.000000005", "-8589934592.666666672" },
		{ "1 - 0", "1" },
		{ "1 - 3", "-2" },
		{ "2 - 3", "-1" },
		{ "3 - 3", "0" },
		{ "1000000000 - 4611686018427387904.000000001", "-4611686017427387904.000000001" },
		{ "4611686018427387904.000000001 - 18446744073", "4611685999980643831.000000001" },
		{ "9223372036854775807.999999999 - 0.000000001", "9223372036854775807.999999998" },
		{ "9223372036854775807.999999999 - 1", "9223372036854775806.999999999" },
		{ "9223372036854775807.999999999 - 2", "9223372036854775805.999999999" },
		{ "9223372036854775807.999999999 - 9223372036854775807.999999999", "0" },
		{ "(-9223372036854775807 - 1) * (-9223372036854775807 - 1)", NULL },
		{ "(-9223372036854775807 - 1) * -1", NULL },
		{ "(-9223372036854775807 - 1) * -0.000000001", "9223372036.854775808" },
		{ "(-9223372036854775807 - 1) * 0.000000001", "-9223372036.854775808" },
		{ "(-9223372036854775807 - 1) * 1", "(-9223372036854775807 - 1)" },
		{ "(-9223372036854775807 - 1) * 2", NULL },
		{ "-9223372036854775807.999999999 * 1", "-9223372036854775807.999999999" },
		{ "-7 * 123456789.987654321", "-864197529.913580247" },
		{ "-2 * 3", "-6" },
		{ "-0.000000001 * -0.000000001", "0" },
		{ "0 * 0", "0" },
		{ "0.000000001 * (-9223372036854775807 - 1)", "-9223372036.854775808" },
		{ "0.000000001 * -9223372036854775807", "-9223372036.854775807" },
		{ "0.000000001 * 0.333333333", "0" },
		{ "0.000000001 * 9223372036854775807.999999999", "9223372036.854775807" },
		{ "0.333333333 * 3037000500", "1012333498.9876665" },
		{ "0.333333333 * 4611686018427387904.000000001", "1537228671271900628.524204032" },
		{ "1 * 0", "0" },
		{ "1 * 3", "3" },
		{ "2 * 3", "6" },
		{ "8589934593.000000005 * -1", "-8589934593.000000005" },
		{ "8589934593.000000005 * -0.000000001", "-8.589934593" },
		{ "9223372036854775807 * 1", "9223372036854775807" },
		{ "9223372036854775807.999999999 * 0.000000001", "9223372036.854775807" },
		{ "9223372036854775807.999999999 * 1", "9223372036854775807.999999999" },
		{ "9223372036854775807.999999999 * 2", NULL },
		{ "9223372036854775807.999999999 * 9223372036854775807.999999999", NULL },
		{ "(-9223372036854775807 - 1) / (-9223372036854775807 - 1)", "1" },
		{ "(-9223372036854775807 - 1) / -1", NULL },
		{ "(-9223372036854775807 - 1) / -0.000000001", NULL },
		{ "(-9223372036854775807 - 1) / 0.000000001", NULL },
		{ "(-9223372036854775807 - 1) / 1", "(-9223372036854775807 - 1)" },
		{ "(-9223372036854775807 - 1) / 2", "-4611686018427387904" },
		{ "-9223372036854775807 / 4611686018427387904.000000001", "-1.999999999" },
		{ "-3037000500 / 123456789.987654321", "-24.599704077" },
		{ "-2 / 3", "-0.666666666" },
		{ "-1 / 4294967296", "0" },
		{ "-0.999999999 / 4294967295", "0" },
		{ "-0.000000001 / -0.000000001", "1" },
		{ "-0.000000001 / 1", "-0.000000001" },
		{ "0 / 0", NULL },
		{ "0 / 9223372036854775807", "0" },
		{ "0.000000001 / (-9223372036854775807 - 1)", "0" },
		{ "0.000000001 / 9223372036854775807.999999999", "0" },
		{ "1 / 0", NULL },
		{ "1 / 3", "0.333333333" },
		{ "1 / 9223372036854775807.999999999", "0" },
		{ "2 / 3", "0.666666666" },
		{ "4294967296 / 4294967296", "1" },
		{ "4611686018427387904.000000001 / 4294967296", "1073741824" },
		{ "9223372036854775807.999999999 / 0.000000001", NULL },
		{ "9223372036854775807.999999999 / 1", "9223372036854775807.999999999" },
		{ "9223372036854775807.999999999 / 2", "4611686018427387903.999999999" },
		{ "9223372036854775807.999999999 / 9223372036854775807.999999999", "1" },
	};
	static const char * const operators[] = { "+", "-", "*", "/" };
	static const char * const operands[] = { "i", "5", "t", "missing", "event.n", "event.missing" };
	char expr[200];
	size_t i, j, k;

	one_candidate();
	for (i = 0; i < ARRAY_SIZE(vectors); i++) {
		if (vectors[i].result)
			snprintf(expr, sizeof(expr), "%s == %s", vectors[i].expr, vectors[i].result);
		else
			snprintf(expr, sizeof(expr), "!(%s == 0 || %s != 0)", vectors[i].expr, vectors[i].expr);
		assert_is(expr, true);
	}
	/* Only numbers can be calculated with, but any can. */
	for (i = 0; i < ARRAY_SIZE(operators); i++) {
		for (j = 0; j < ARRAY_SIZE(operands); j++) {
			for (k = 0; k < ARRAY_SIZE(operands); k++) {
				bool numbers = j % 4 < 2 && k % 4 < 2 && j != 5 && k != 5;

				snprintf(expr, sizeof(expr), "%s %s %s > -100", operands[j], operators[i], operands[k]);
				assert_is(expr, numbers);
			}
		}
	}
	assert_is("-d == -0.25 && -n == 3 && --i == 5 && - -i == 5 && -(i + d) == -5.25", true);
	assert_is("-t == 0 || -t != 0 || -missing == 0 || -missing != 0", false);
	filters_candidates("2 least=-9223372036854775808 most=9223372036854775807 dl=-9223372036.854775808 dm=9223372036.854775807");
	assert_is("least < -most && !(-least != most) && least + most == -1", true);
	assert_is("dl < -dm && dl + dm == -0.000000001 && -dl > dm && dm < most && dl > least", true);
	assert_is("least - least == 0 && most * 1 == most && dm * 2 > dm && dl / dl == 1", true);
}

/* What is true, and what binds how. */
static void logic(void **state)
{
	static const char * const truths[] = { "i", "1", "0.000000001", "-1", "d", "has(i)", "!missing", "!t", "!0", "2 > 1" };
	static const char * const untruths[] = { "0", "missing", "t", "0.0", "i - 5", "has(missing)", "!i", "!!missing", "missing / 0" };
	char expr[100];
	size_t i, j;

	one_candidate();
	for (i = 0; i < ARRAY_SIZE(truths) + ARRAY_SIZE(untruths); i++) {
		for (j = 0; j < ARRAY_SIZE(truths) + ARRAY_SIZE(untruths); j++) {
			bool a = i < ARRAY_SIZE(truths), b = j < ARRAY_SIZE(truths);
			const char *x = a ? truths[i] : untruths[i - ARRAY_SIZE(truths)];
			const char *y = b ? truths[j] : untruths[j - ARRAY_SIZE(truths)];

			snprintf(expr, sizeof(expr), "%s || %s", x, y);
			assert_is(expr, a || b);
			snprintf(expr, sizeof(expr), "%s && %s", x, y);
			assert_is(expr, a && b);
			snprintf(expr, sizeof(expr), "((%s) || (%s)) + ((%s) && (%s)) == %d", x, y, x, y, (a || b) + (a && b));
			assert_is(expr, true);
		}
	}
	assert_is("1 || 0 && 0", true);
	assert_is("(1 || 0) && 0", false);
	assert_is("0 && 0 || 1", true);
	assert_is("1 + 2 * 3 == 7 && (1 + 2) * 3 == 9", true);
	assert_is("10 - 3 - 2 == 5 && 12 / 3 / 2 == 2 && 12 / 3 * 2 == 8", true);
	assert_is("2 < 1 == 0 && 0 == 2 < 1", true);
	assert_is("!i == 0 && -i + 6 == 1 && !0 + 1 == 2", true);
	assert_is("(((((((((((((((i)))))))))))))))", true);
}

struct answer {
	int kind;
	s64 n;
	const char *s;
};

static u32 seed;

static u32 rnd(u32 below)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % below;
}

/*
 * Writes a random expression that needs no parentheses where operators of @from (1: ||, 7: unary) bind, and answers as C would: the
 * kinds of what is written are right, those of attributes may be any.
 */
static struct answer written(char **to, u32 deep, int from)
{
	static const struct {
		const char *text;
		int level;
	} ops[] = {
		{ "||", 1 }, { "&&", 2 }, { "==", 3 }, { "!=", 3 }, { "<", 4 }, { "<=", 4 }, { ">", 4 }, { ">=", 4 },
		{ " + ", 5 }, { " - ", 5 }, { "*", 6 }, { "!", 7 }, { "-", 7 },
	};
	static const struct {
		const char *text;
		struct answer is;
	} leaves[] = {
		{ "i", { NUMBER, 5, NULL } }, { "n", { NUMBER, -3, NULL } }, { "t", { TEXT, 0, "abc" } }, { "u", { TEXT, 0, "abd" } },
		{ "missing", { NOTHING, 0, NULL } }, { "event.n", { NUMBER, 2, NULL } }, { "event.ez", { TEXT, 0, "a" } },
		{ "zone", { TEXT, 0, "a" } }, { "sink", { NUMBER, 7, NULL } }, { "has(i)", { NUMBER, 1, NULL } },
		{ "has(missing)", { NUMBER, 0, NULL } }, { "0", { NUMBER, 0, NULL } }, { "1", { NUMBER, 1, NULL } },
	};
	struct answer a = { 0 }, b;
	bool paren, at, bt, same;
	s64 c;
	u32 i;

	if (!deep || !rnd(6)) {
		i = rnd(ARRAY_SIZE(leaves));
		*to += sprintf(*to, "%s", leaves[i].text);
		return leaves[i].is;
	}
	i = rnd(ARRAY_SIZE(ops));
	paren = ops[i].level < from || !rnd(8);
	*to += sprintf(*to, "%s", paren ? "(" : "");
	if (ops[i].level < 7) {
		a = written(to, deep - 1, ops[i].level + (ops[i].level == 3 || ops[i].level == 4));
		*to += sprintf(*to, "%s", ops[i].text);
		b = written(to, deep - 1, ops[i].level + 1);
	} else {
		*to += sprintf(*to, "%s", ops[i].text);
		b = written(to, deep - 1, 7);
	}
	*to += sprintf(*to, "%s", paren ? ")" : "");
	at = a.kind == NUMBER && a.n;
	bt = b.kind == NUMBER && b.n;
	same = a.kind == b.kind && a.kind != NOTHING;
	c = same && a.kind == TEXT ? strcmp(a.s, b.s) : a.n < b.n ? -1 : a.n > b.n;
	switch (i) {
	case 0: return (struct answer){ NUMBER, at || bt, NULL };
	case 1: return (struct answer){ NUMBER, at && bt, NULL };
	case 2: return (struct answer){ NUMBER, same && c == 0, NULL };
	case 3: return (struct answer){ NUMBER, same && c != 0, NULL };
	case 4: return (struct answer){ NUMBER, same && c < 0, NULL };
	case 5: return (struct answer){ NUMBER, same && c <= 0, NULL };
	case 6: return (struct answer){ NUMBER, same && c > 0, NULL };
	case 7: return (struct answer){ NUMBER, same && c >= 0, NULL };
	case 11: return (struct answer){ NUMBER, !bt, NULL };
	case 12: return b.kind == NUMBER ? (struct answer){ NUMBER, -b.n, NULL } : (struct answer){ 0 };
	}
	if (a.kind != NUMBER || b.kind != NUMBER)
		return (struct answer){ 0 };
	return (struct answer){ NUMBER, i == 8 ? a.n + b.n : i == 9 ? a.n - b.n : a.n * b.n, NULL };
}

static void against_a_naive_one(void **state)
{
	static char expr[1000];
	char *end;
	struct answer is;
	u32 i, tried = 0;

	one_candidate();
	for (i = 0, seed = 1; i < 20000 / UNIT_SLOW; i++) {
		end = expr;
		is = written(&end, 1 + rnd(4), 1);
		if (end - expr > KECHO_ATTR_VALUE_MAX)
			continue;
		assert_is(expr, is.kind == NUMBER && is.n);
		tried++;
	}
	assert_true(tried > 15000 / UNIT_SLOW);
}

/* The file's quotes and those in the text. */
static void quotes(void **state)
{
	one_candidate();
	filters_candidates("2 t=abc q=it's free-mem=3 id=mine 5g=1 event.x=2");
	assert_string_equal(kept_by("t == \"abc\"", '\''), "2");
	assert_string_equal(kept_by("t == 'abc'", '"'), "2");
	assert_int_equal(filters_write("=0 expr='q == \"it'\"'\"'s\"'"), 0);
	assert_string_equal(filters_run(), "2");
	assert_int_equal(filters_write("=0 expr=t^=\"'ab'\""), 0);
	assert_string_equal(filters_run(), "2");
	assert_int_equal(filters_write("=0 expr=has(t)&&1<2"), 0);
	assert_string_equal(filters_run(), "2");
	assert_is("  t ^=\"ab\"&&t^=\"\"  ", true);
	assert_is("`free-mem` == 3 && !(free - mem == 0) && has(`free-mem`)", true);
	assert_is("`id` == \"mine\" && id != \"mine\" && has(`id`) && `5g` && `event.x` == 2 && !has(event.x)", true);
	assert_is("has == 1 || has", false);
}

static void refused(void **state)
{
	static const struct {
		const char *expr, *words;
	} cases[] = {
		{ "", "at its end: expected a number, a text" },
		{ "load <", "at its end: expected a number, a text" },
		{ "load < && 1", "at byte 8, \"&& 1\": expected a number, a text" },
		{ "load < 0.7 zone", "at byte 12, \"zone\": expected || &&" },
		{ "zone = \"a\"", "at byte 6, \"= \"a\"\": expected || &&" },
		{ "a & b", "at byte 3, \"& b\": expected || &&" },
		{ "a b c d e f g h i j k l m n o p q", "at byte 3, \"b c d e f g h i j k l m \": expected || &&" },
		{ "least(3)", "at byte 6, \"(3)\": expected || &&" },
		{ "(a && b", "at byte 1, \"(a && b\": this ( is not closed" },
		{ "a && (b", "at byte 6, \"(b\": this ( is not closed" },
		{ "a)", "at byte 2, \")\": there is no ( for it" },
		{ "(a))", "at byte 4, \")\": there is no ( for it" },
		{ "()", "at byte 2, \")\": expected a number, a text" },
		{ "zone == \"a", "at byte 9, \"\"a\": this quote is not closed" },
		{ "`a", "at byte 1, \"`a\": this quote is not closed" },
		{ "5x", "at byte 1, \"5x\": expected a number" },
		{ "1.2.3", "at byte 1, \"1.2.3\": expected a number" },
		{ "1. + 2", "at byte 1, \"1. + 2\": expected a number" },
		{ ".5", "at byte 1, \".5\": expected a number" },
		{ "a + 0.1234567891", "at byte 5, \"0.1234567891\": expected a number" },
		{ "9223372036854775808", "at byte 1, \"9223372036854775808\": expected a number" },
		{ "``", "at byte 1, \"``\": expected an attribute's name" },
		{ "event.", "at byte 1, \"event.\": expected an attribute's name after event." },
		{ "event.5", "at byte 1, \"event.5\": expected an attribute's name after event." },
		{ "has()", "at byte 5, \")\": expected an attribute's name" },
		{ "has(a b)", "at byte 7, \"b)\": expected the ) of has()" },
		{ "has(a", "at its end: expected the ) of has()" },
		{ "has(id)", "at byte 5, \"id)\": this is always there" },
		{ "has( event.type )", "at byte 6, \"event.type )\": this is always there" },
		{ "free-mem > 5", "at byte 1, \"free-mem > 5\": put blanks around a minus" },
		{ "load-1 > 5", "at byte 1, \"load-1 > 5\": put blanks around a minus" },
		{ "0 < load < 1", "at byte 10, \"< 1\": one comparison after another" },
		{ "a == b + 1 != c", "at byte 12, \"!= c\": one comparison after another" },
		{ "\"a\"", "at byte 1, \"\"a\"\": a text is neither" },
		{ "zone == \"a\" || \"b\"", "at byte 13, \"|| \"b\"\": a text is neither" },
		{ "event.type && a", "at byte 12, \"&& a\": a text is neither" },
		{ "!\"a\"", "at byte 1, \"!\"a\"\": a text is neither" },
		{ "-id", "at byte 1, \"-id\": a text is neither" },
		{ "1 + \"a\" > 1", "at byte 3, \"+ \"a\" > 1\": a text is neither" },
		{ "\"a\" * 1 > 1", "at byte 5, \"* 1 > 1\": a text is neither" },
		{ "event.type == 1", "at byte 12, \"== 1\": a text is compared with a number" },
		{ "!zone == \"a\"", "at byte 7, \"== \"a\"\": a text is compared with a number" },
		{ "age < \"5\"", "at byte 5, \"< \"5\"\": a text is compared with a number" },
		{ "zone ^= 1", "at byte 6, \"^= 1\": ^= compares texts" },
		{ "!zone ^= \"a\"", "at byte 7, \"^= \"a\"\": ^= compares texts" },
		{ "((((((((((((((((( 1 )))))))))))))))))", "at byte 17, \"( 1 )))))))))))))))))\": more than 16 parentheses" },
		{ "!!!!!!!!!!!!!!!!!1", "at byte 17, \"!1\": more than 16 parentheses" },
	};
	char line[400];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(line, sizeof(line), "out expr expr='%s'", cases[i].expr);
		assert_refused(line, cases[i].words);
	}
	assert_refused("out expr", "which candidates?");
	assert_refused("out expr expr=5", "takes expr=");
	assert_refused("out expr expr='1' also=5", "takes expr=");
	assert_refused("out expr keep='1'", "takes expr=");
	assert_null(filters.f);
	/* The old one stays. */
	one_candidate();
	assert_is("i == 5", true);
	assert_refused("=0 expr='i =='", "at its end");
	assert_string_equal(filters_run(), "2/7");
}

/* As much as there can be of everything, of 255 bytes. */
static void longest(void **state)
{
	static const char * const parts[] = { "i+", "1||", "0||", "!i||", "\"\"^=t||", "event.n+", "-i*", "1+(0)*", "has(i)+" };
	char expr[KECHO_ATTR_VALUE_MAX + 1];
	size_t i, n, len;

	one_candidate();
	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		len = strlen(parts[i]);
		for (n = 0; n + len < KECHO_ATTR_VALUE_MAX - 2; n += len)
			memcpy(expr + n, parts[i], len);
		memset(expr + n, ' ', KECHO_ATTR_VALUE_MAX - n);
		expr[n] = 'i';
		expr[KECHO_ATTR_VALUE_MAX] = 0;
		assert_is(expr, i != 6);
	}
}

static void without_memory(void **state)
{
	kecho_fail_alloc = 0;
	assert_int_equal(ops.setup(NULL, NULL, 0, (void *[]){ NULL }), -ENOMEM);
}

static const struct CMUnitTest tests[] = {
	filters_test(candidates), filters_test(of_the_event), filters_test(comparisons), filters_test(calculations), filters_test(logic),
	filters_test(against_a_naive_one), filters_test(quotes), filters_test(refused), filters_test(longest),
	filters_test(without_memory),
};
UNIT_SUITE(filter_expr, tests)
