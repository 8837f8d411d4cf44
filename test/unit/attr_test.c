// SPDX-License-Identifier: GPL-2.0
/* Attribute lists: text form, encoding, comparison. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"	/* in the tables */
#include "unit.h"
#include <asm/byteorder.h>
#include "../../lib/attr/attr.h"
#include "../../lib/attr/text.h"

static struct kecho_attrs *must_parse(const char *text, size_t len)
{
	struct kecho_attrs *a;

	assert_int_equal(kecho_attrs_merge_text(NULL, text, len, GFP_KERNEL, &a), 0);
	return a;
}

#define PARSE(s) must_parse(s, strlen(s))

static void assert_shows(const struct kecho_attrs *a, const char *want)
{
	struct kecho_text t = { 0 };

	kecho_attrs_print(&t, a, '\n');
	kecho_text_append(&t, "", 1);
	assert_int_equal(t.err, 0);
	assert_string_equal(t.buf, want);
	kecho_text_free(&t);
}

/* What is printed is read back as the same list. */
static void assert_round_trip(const struct kecho_attrs *a)
{
	struct kecho_text t = { 0 };
	struct kecho_attrs *b;

	kecho_attrs_print(&t, a, '\n');
	assert_int_equal(t.err, 0);
	b = must_parse(t.buf, t.len);
	assert_true(kecho_attrs_equal(a, b));
	kecho_attrs_put(b);
	kecho_text_free(&t);
}

/* An entry as it travels. Returns its length. */
static size_t entry(u8 *p, const char *name, u8 type, const void *val, u16 len)
{
	size_t n = strlen(name);

	p[0] = n;
	p[1] = type;
	p[2] = len;
	p[3] = len >> 8;
	memcpy(p + 4, name, n);
	if (len)
		memcpy(p + 4 + n, val, len);
	return 4 + n + len;
}

static int decode(const void *p, size_t len)
{
	void *copy = malloc(len ? len : 1);	/* of exactly that size, for ASan */
	struct kecho_attrs *a = (void *)1;
	int err;

	memcpy(copy, p, len);
	err = kecho_attrs_decode(copy, len, GFP_KERNEL, &a);
	if (err) {
		assert_null(a);
	} else if (!len) {
		assert_null(a);
	} else {
		assert_int_equal(a->len, len);
		assert_memory_equal(a->data, p, len);
		assert_round_trip(a);
		kecho_attrs_put(a);
	}
	free(copy);
	return err;
}

static u64 rng = 20240607;

static u32 rnd(u32 n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 32) % n;
}

static void names(void **state)
{
	static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	char name[66];
	int c;

	memset(name, 'n', sizeof(name));
	assert_false(kecho_name_valid(name, 0));
	assert_true(kecho_name_valid(name, 1));
	assert_true(kecho_name_valid(name, 64));
	assert_false(kecho_name_valid(name, 65));
	for (c = 0; c < 256; c++) {
		bool ok = c && strchr(good, c);

		name[0] = c;
		name[1] = 'n';
		assert_int_equal(kecho_name_valid(name, 2), ok && c != '.');
		name[0] = 'n';
		name[1] = c;
		assert_int_equal(kecho_name_valid(name, 2), ok);
		name[63] = c;
		name[1] = 'n';
		assert_int_equal(kecho_name_valid(name, 64), ok);
		name[63] = 'n';
	}
}

#define I KECHO_ATTR_INT
#define D KECHO_ATTR_DECIMAL
#define S KECHO_ATTR_STRING

/* @shown: as it is printed; NULL: as it was written. @type 0: EINVAL. */
static const struct {
	const char *text;
	u8 type;
	s64 num;
	const char *str;
	const char *shown;
} values[] = {
	{ "0", I, 0 },
	{ "-0", I, 0, NULL, "0" },
	{ "+7", I, 7, NULL, "7" },
	{ "007", I, 7, NULL, "7" },
	{ "9223372036854775807", I, S64_MAX },
	{ "-9223372036854775808", I, S64_MIN },
	{ "-9223372036854775807", I, -S64_MAX },
	{ "9223372036854775808", S, 0, "9223372036854775808" },
	{ "-9223372036854775809", S, 0, "-9223372036854775809" },
	{ "99999999999999999999999", S, 0, "99999999999999999999999" },
	{ "18446744073709551616", S, 0, "18446744073709551616" },
	{ "1.5", D, 1500000000 },
	{ "-1.5", D, -1500000000 },
	{ "+1.50", D, 1500000000, NULL, "1.5" },
	{ "0.0", D, 0 },
	{ "-0.0", D, 0, NULL, "0.0" },
	{ "-0.5", D, -500000000 },
	{ "1.12", D, 1120000000 },
	{ "1.123", D, 1123000000 },
	{ "1.1234", D, 1123400000 },
	{ "1.12345", D, 1123450000 },
	{ "1.123456", D, 1123456000 },
	{ "1.1234567", D, 1123456700 },
	{ "1.12345678", D, 1123456780 },
	{ "1.123456789", D, 1123456789 },
	{ "1.000000001", D, 1000000001 },
	{ "0.000000001", D, 1 },
	{ "-0.000000001", D, -1 },
	{ "1.0000000000", S, 0, "1.0000000000" },
	{ "1.1234567891", S, 0, "1.1234567891" },
	{ "9223372036.854775807", D, S64_MAX },
	{ "-9223372036.854775808", D, S64_MIN },
	{ "9223372036.854775808", S, 0, "9223372036.854775808" },
	{ "-9223372036.854775809", S, 0, "-9223372036.854775809" },
	{ "9223372036.9", S, 0, "9223372036.9" },
	{ "9223372037.0", S, 0, "9223372037.0" },
	{ "9223372036.8", D, 9223372036800000000 },
	{ "1.", S, 0, "1." },
	{ ".5", S, 0, ".5" },
	{ "-.5", S, 0, "-.5" },
	{ "1.2.3", S, 0, "1.2.3" },
	{ "1..2", S, 0, "1..2" },
	{ "-", S, 0, "-" },
	{ "+", S, 0, "+" },
	{ ".", S, 0, "." },
	{ "--1", S, 0, "--1" },
	{ "+-1", S, 0, "+-1" },
	{ "1-", S, 0, "1-" },
	{ "1e5", S, 0, "1e5" },
	{ "0x10", S, 0, "0x10" },
	{ " 5", S, 0, " 5" },
	{ "5 ", S, 0, "5 " },
	{ "1,5", S, 0, "1,5" },
	{ "nan", S, 0, "nan" },
	{ "a", S, 0, "a" },
	{ "a=b", S, 0, "a=b" },
	{ "=", S, 0, "=" },
	{ "\"\"", S, 0, "" },
	{ "\"a b\"", S, 0, "a b", "a b" },
	{ "\"5\"", S, 0, "5" },
	{ "\"-1.25\"", S, 0, "-1.25" },
	{ "\"+5\"", S, 0, "+5" },
	{ "\"9223372036854775808\"", S, 0, "9223372036854775808", "9223372036854775808" },
	{ "\"", S, 0, "\"", "\"\"\"" },
	{ "\"\"\"", S, 0, "\"" },
	{ "\"\"\"\"", S, 0, "\"\"" },
	{ "\"a", S, 0, "\"a", "\"\"a\"" },
	{ "a\"", S, 0, "a\"" },
	{ "a\"b", S, 0, "a\"b" },
	{ "\"a\"b", S, 0, "\"a\"b", "\"\"a\"b\"" },
	{ "\"a\"b\"", S, 0, "a\"b", "a\"b" },
	{ "\xc3\xa4\x80\xff", S, 0, "\xc3\xa4\x80\xff" },
	{ "a\tb" }, { "\t" }, { "a\rb" }, { "5\r" }, { "\x1f" }, { "\x7f" }, { "a\x7f" }, { "\"\x01\"" }, { "\"a\x7f\"" },
};

static void value_grammar(void **state)
{
	struct kecho_attr v, found;
	struct kecho_attrs *a;
	char line[64];
	size_t i;
	int err;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		const char *text = values[i].text;

		memset(&v, 0xaa, sizeof(v));
		err = kecho_attr_parse_value(&v, text, strlen(text));
		snprintf(line, sizeof(line), "x=%s\n", text);
		if (!values[i].type) {
			assert_int_equal(err, -EINVAL);
			assert_int_equal(kecho_attrs_merge_text(NULL, line, strlen(line), GFP_KERNEL, &a), -EINVAL);
			continue;
		}
		if (err || v.type != values[i].type || v.num != values[i].num)
			fail_msg("%s: err %d type %u num %lld", text, err, v.type, (long long)v.num);
		a = PARSE(line);
		assert_true(kecho_attrs_find(a, "x", &found));
		assert_int_equal(kecho_attr_cmp(&v, &found), 0);
		assert_int_equal(found.type, v.type);
		if (v.type == S) {
			assert_int_equal(found.str_len, strlen(values[i].str));
			assert_memory_equal(found.str, values[i].str, found.str_len);
		}
		snprintf(line, sizeof(line), "x=%s\n", values[i].shown ? values[i].shown : text);
		assert_shows(a, line);
		assert_round_trip(a);
		kecho_attrs_put(a);
	}
	/* A NUL is a control character too, wherever it stands. */
	assert_int_equal(kecho_attr_parse_value(&v, "a\0b", 3), -EINVAL);
	assert_int_equal(kecho_attr_parse_value(&v, "5\0", 2), -EINVAL);
}

static void value_lengths(void **state)
{
	static const struct { u16 len; bool ok; } lengths[] = { { 1, 1 }, { 254, 1 }, { 255, 1 }, { 256, 0 }, { 4096, 0 } };
	static char line[4200] = "x=";
	struct kecho_attrs *a;
	size_t i, q;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		for (q = 0; q < 2; q++) {
			u16 len = lengths[i].len;
			int err;

			/* The quotes do not count. */
			memset(line + 2, q ? '"' : 's', len + 2);
			memset(line + 2 + q, 's', len);
			err = kecho_attrs_merge_text(NULL, line, 2 + len + 2 * q, GFP_KERNEL, &a);
			assert_int_equal(err, lengths[i].ok ? 0 : -EINVAL);
			if (err)
				continue;
			assert_int_equal(a->len, 4 + 1 + len);
			assert_round_trip(a);
			kecho_attrs_put(a);
		}
	}
}

static void lines(void **state)
{
	static const struct { const char *base, *text, *want; } cases[] = {
		{ "", "", "" },
		{ "", "\n\n", "" },
		{ "", "a=1", "a=1\n" },
		{ "", "a=1\n", "a=1\n" },
		{ "", "b=2\na=1", "a=1\nb=2\n" },
		{ "", "b=1\nab=2\na=3\nabc=4\nB=5\n", "B=5\na=3\nab=2\nabc=4\nb=1\n" },
		{ "", "\na=1\n\n\nb=2\n\n", "a=1\nb=2\n" },
		{ "", "a=1\na=2\na=x\n", "a=x\n" },
		{ "", "a=1\na=\n", "" },
		{ "", "a=\na=1\n", "a=1\n" },
		{ "a=1\nb=2\nc=3", "b=", "a=1\nc=3\n" },
		{ "a=1\nb=2\nc=3", "a=\nb=\nc=\n", "" },
		{ "a=1\nb=2\nc=3", "d=\nab=\n", "a=1\nb=2\nc=3\n" },
		{ "a=1\nb=2\nc=3", "b=long string now\n", "a=1\nb=long string now\nc=3\n" },
		{ "a=1\nb=long string\nc=3", "b=0\n", "a=1\nb=0\nc=3\n" },
		{ "a=1", "b=2", "a=1\nb=2\n" },
		{ "", "x==\n", "x==\n" },
		{ "", "-=1\n_=2\n0=3\na.b-c_d=4", "-=1\n0=3\n_=2\na.b-c_d=4\n" },
		{ "", "a=\"\"\n", "a=\"\"\n" },
		/* One bad line, and nothing is done. */
		{ "a=1\nb=2", "a=5\nbad\n", NULL },
		{ "a=1\nb=2", "a=5\nbad", NULL },
		{ "a=1", "bad\na=5", NULL },
		{ "", "=1", NULL }, { "", "=", NULL }, { "", "a", NULL }, { "", " a=1", NULL }, { "", "a =1", NULL },
		{ "", "a b=1", NULL }, { "", ".a=1", NULL }, { "", ".a=", NULL }, { "", "a/b=1", NULL }, { "", "\xc3\xa4=1", NULL },
		{ "", "a=1\r\n", NULL }, { "", "a=1\n b=2\n", NULL }, { "a=1", "a=\nb\n", NULL }, { "", " ", NULL }, { "", "#x", NULL },
		{ "", "a:1", NULL },
	};
	struct kecho_attrs *base, *a;
	char name[80];
	size_t i;
	int err;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		base = PARSE(cases[i].base);
		a = (void *)1;
		err = kecho_attrs_merge_text(base, cases[i].text, strlen(cases[i].text), GFP_KERNEL, &a);
		if (err != (cases[i].want ? 0 : -EINVAL))
			fail_msg("case %zu: %d", i, err);
		if (cases[i].want && cases[i].want[0])
			assert_shows(a, cases[i].want);
		else
			assert_null(a);
		kecho_attrs_put(a);
		a = PARSE(cases[i].base);
		assert_true(kecho_attrs_equal(a, base));
		kecho_attrs_put(a);
		kecho_attrs_put(base);
	}
	for (i = 63; i <= 66; i++) {
		memset(name, 'n', i);
		strcpy(name + i, "=1");
		err = kecho_attrs_merge_text(NULL, name, i + 2, GFP_KERNEL, &a);
		assert_int_equal(err, i <= 64 ? 0 : -EINVAL);
		if (!err)
			assert_round_trip(a);
		kecho_attrs_put(a);
	}
}

static void bytes_max(void **state)
{
	static char text[8192], last[300];
	struct kecho_attrs *a, *b;
	size_t n = 0;
	int i, pad;

	/* 15 entries of 4 + 2 + 255 and one that fills the list to the byte. */
	for (i = 0; i < 15; i++)
		n += sprintf(text + n, "a%c=s%0254d\n", 'a' + i, 0);
	a = must_parse(text, n);
	assert_int_equal(a->len, 15 * 261);
	pad = KECHO_ATTRS_BYTES_MAX - a->len - 4 - 2;
	memset(last, 'z', sizeof(last));
	memcpy(last, "zz=", 3);
	assert_int_equal(kecho_attrs_merge_text(a, last, 3 + pad, GFP_KERNEL, &b), 0);
	assert_int_equal(b->len, KECHO_ATTRS_BYTES_MAX);
	assert_round_trip(b);
	assert_int_equal(decode(b->data, b->len), 0);
	kecho_attrs_put(a);
	assert_int_equal(kecho_attrs_merge_text(b, "m=", 2, GFP_KERNEL, &a), 0);
	kecho_attrs_put(a);
	/* One byte more, as a longer value and as another entry. */
	assert_int_equal(kecho_attrs_merge_text(b, last, 3 + pad + 1, GFP_KERNEL, &a), -E2BIG);
	assert_null(a);
	assert_int_equal(kecho_attrs_merge_text(b, "m=1", 3, GFP_KERNEL, &a), -E2BIG);
	/* What makes room first may come after it; what needs it first may not. */
	assert_int_equal(kecho_attrs_merge_text(b, "aa=\nm=1", 7, GFP_KERNEL, &a), 0);
	kecho_attrs_put(a);
	assert_int_equal(kecho_attrs_merge_text(b, "m=1\naa=", 7, GFP_KERNEL, &a), -E2BIG);
	assert_int_equal(kecho_attrs_merge_text(b, last, 3 + pad, GFP_KERNEL, &a), 0);
	assert_true(kecho_attrs_equal(a, b));
	kecho_attrs_put(a);
	kecho_attrs_put(b);
	memset(text, 0, sizeof(text));
	assert_int_equal(decode(text, KECHO_ATTRS_BYTES_MAX), -EBADMSG);
	assert_int_equal(decode(text, KECHO_ATTRS_BYTES_MAX + 1), -E2BIG);
}

static size_t random_list(u8 *p)
{
	static const char alphabet[] = "\"\"0123456789.+- ab=\xc3\xff";
	size_t len = 0, n;
	char name[8], str[256];
	__le64 le;
	u64 num;
	int i, j;

	for (i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "%c%u", 'a' + i, rnd(1000));
		switch (rnd(3)) {
		case 0:
		case 1:
			num = (u64)rnd(~0u) << 32 | rnd(~0u);
			num = (s64)num >> rnd(64);
			if (rnd(2))
				num = num / KECHO_DECIMAL_ONE * KECHO_DECIMAL_ONE;
			le = cpu_to_le64(num);
			len += entry(p + len, name, 1 + rnd(2), &le, 8);
			break;
		default:
			n = rnd(8) ? rnd(8) : rnd(256);
			for (j = 0; j < (int)n; j++)
				str[j] = alphabet[rnd(sizeof(alphabet) - 1)];
			len += entry(p + len, name, S, str, n);
		}
	}
	return len;
}

static void random_round_trips(void **state)
{
	static u8 buf[8192];
	int i;

	for (i = 0; i < 20000 / UNIT_SLOW; i++)
		assert_int_equal(decode(buf, random_list(buf)), 0);
}

static void truncated_and_damaged(void **state)
{
	u8 buf[256], bad[256];
	size_t ends[8], len = 0, i, j, n = 0;
	s64 num = -5;

	ends[n++] = 0;
	ends[n++] = len += entry(buf + len, "alpha", I, &num, 8);
	ends[n++] = len += entry(buf + len, "beta", S, "text", 4);
	ends[n++] = len += entry(buf + len, "empty", S, "", 0);
	ends[n++] = len += entry(buf + len, "gamma", D, &num, 8);
	for (i = 0; i <= len; i++) {
		bool end = false;

		for (j = 0; j < n; j++)
			end |= ends[j] == i;
		assert_int_equal(decode(buf, i), end ? 0 : -EBADMSG);
	}
	/* Any damage is found out, or is another well-formed list; decode() reads that back from its text. */
	for (i = 0; i < len; i++) {
		for (j = 0; j < 256; j += UNIT_STEP) {
			memcpy(bad, buf, len);
			bad[i] = j;
			decode(bad, len);
		}
	}
}

static void malformed(void **state)
{
	static u8 buf[1024];
	u8 zero[300] = { 0 };
	char str[300], name[70];
	size_t len;
	u16 n;
	u8 t;

	memset(str, 's', sizeof(str));
#define TWO(a, b) (len = entry(buf, a, S, "v", 1), decode(buf, len + entry(buf + len, b, S, "v", 1)))
	assert_int_equal(TWO("a", "b"), 0);
	assert_int_equal(TWO("a", "ab"), 0);
	assert_int_equal(TWO("B", "a"), 0);
	assert_int_equal(TWO("b", "a"), -EBADMSG);
	assert_int_equal(TWO("ab", "a"), -EBADMSG);
	assert_int_equal(TWO("a", "a"), -EBADMSG);
	for (n = 0; n <= 20; n++) {
		assert_int_equal(decode(buf, entry(buf, "n", I, zero, n)), n == 8 ? 0 : -EBADMSG);
		assert_int_equal(decode(buf, entry(buf, "n", D, zero, n)), n == 8 ? 0 : -EBADMSG);
	}
	for (n = 0; n <= 258; n++)
		assert_int_equal(decode(buf, entry(buf, "n", S, str, n)), n <= 255 ? 0 : -EBADMSG);
	for (t = 0; t < 255; t++)
		assert_int_equal(decode(buf, entry(buf, "n", t, zero, 8)), t == I || t == D ? 0 : -EBADMSG);
	for (n = 0; n < 256; n++) {
		str[1] = n;
		assert_int_equal(decode(buf, entry(buf, "n", S, str, 3)), n < 32 || n == 127 ? -EBADMSG : 0);
		name[0] = 'n', name[1] = n ? n : ' ', name[2] = 0;
		assert_int_equal(decode(buf, entry(buf, name, S, "", 0)), kecho_name_valid(name, 2) ? 0 : -EBADMSG);
	}
	for (n = 0; n <= 66; n++) {
		memset(name, 'n', n);
		name[n] = 0;
		assert_int_equal(decode(buf, entry(buf, name, S, "v", 1)), n && n <= 64 ? 0 : -EBADMSG);
	}
	assert_int_equal(decode(buf, entry(buf, ".n", S, "v", 1)), -EBADMSG);
	/* Lengths that reach beyond the end. */
	len = entry(buf, "n", S, "v", 1);
	buf[0] = 255;
	assert_int_equal(decode(buf, len), -EBADMSG);
	buf[0] = 1;
	buf[2] = buf[3] = 255;
	assert_int_equal(decode(buf, len), -EBADMSG);
}

static void comparison(void **state)
{
	/* Ascending; those in one line are equal. */
	static const char * const order[][3] = {
		{ "-9223372036854775808" }, { "-9223372036854775807" }, { "-9223372037" }, { "-9223372036.854775808" },
		{ "-9223372036.854775807" }, { "-9223372036", "-9223372036.0" }, { "-2" }, { "-1.5" }, { "-1.000000001" },
		{ "-1", "-1.0" }, { "-0.999999999" }, { "-0.5" }, { "-0.000000001" }, { "0", "0.0", "-0" }, { "0.000000001" },
		{ "0.5" }, { "0.999999999" }, { "1", "1.0", "+1.000" }, { "1.000000001" }, { "1.5" }, { "2" },
		{ "9223372036.854775806" }, { "9223372036.854775807" }, { "9223372037" }, { "9223372036854775807" },
		{ "\"\"" }, { "\"-1\"" }, { "\"1\"" }, { "\"10\"" }, { "\"2\"" }, { "A" }, { "a", "\"a\"" }, { "aa" }, { "b" }, { "\xc3" },
	};
	struct kecho_attr a, b;
	size_t i, j, k, l;

	for (i = 0; i < ARRAY_SIZE(order); i++)
		for (j = 0; j < ARRAY_SIZE(order); j++)
			for (k = 0; k < 3 && order[i][k]; k++)
				for (l = 0; l < 3 && order[j][l]; l++) {
					int c, want = (i > j) - (i < j);

					assert_int_equal(kecho_attr_parse_value(&a, order[i][k], strlen(order[i][k])), 0);
					assert_int_equal(kecho_attr_parse_value(&b, order[j][l], strlen(order[j][l])), 0);
					c = kecho_attr_cmp(&a, &b);
					if ((c > 0) - (c < 0) != want)
						fail_msg("%s <=> %s: %d", order[i][k], order[j][l], c);
				}
}

static void lookup(void **state)
{
	struct kecho_attrs *a = PARSE("a=1\nabc=x\nz=2.5"), *b = PARSE("z=2.50\nabc=\"x\"\na=1"), *c = PARSE("a=1");
	struct kecho_attr v;
	u32 pos = 0, n = 0;

	assert_true(kecho_attrs_find(a, "abc", &v));
	assert_true(v.type == S && v.str_len == 1 && v.str[0] == 'x' && v.name_len == 3);
	assert_true(kecho_attrs_find(a, "z", &v) && v.num == 2500000000ll);
	assert_false(kecho_attrs_find(a, "ab", &v));
	assert_false(kecho_attrs_find(a, "abcd", &v));
	assert_false(kecho_attrs_find(a, "", &v));
	assert_false(kecho_attrs_find(NULL, "a", &v));
	while (kecho_attrs_next(a, &pos, &v))
		n++;
	assert_int_equal(n, 3);
	assert_int_equal(pos, a->len);
	assert_false(kecho_attrs_next(a, &pos, &v));
	assert_true(kecho_attrs_equal(a, b) && kecho_attrs_equal(NULL, NULL));
	assert_false(kecho_attrs_equal(a, c) || kecho_attrs_equal(c, a) || kecho_attrs_equal(a, NULL) || kecho_attrs_equal(NULL, a));
	kecho_attrs_put(a);
	kecho_attrs_put(b);
	kecho_attrs_put(c);
}

static void references(void **state)
{
	struct kecho_attrs *a = PARSE("a=1"), *b;

	assert_int_equal(refcount_read(&a->ref), 1);
	assert_ptr_equal(kecho_attrs_get(a), a);
	assert_int_equal(refcount_read(&a->ref), 2);
	assert_int_equal(kecho_attrs_merge_text(a, "b=1", 3, GFP_KERNEL, &b), 0);
	assert_int_equal(refcount_read(&a->ref), 2);
	assert_int_equal(refcount_read(&b->ref), 1);
	kecho_attrs_put(a);
	assert_int_equal(refcount_read(&a->ref), 1);
	assert_shows(a, "a=1\n");
	kecho_attrs_put(a);
	assert_shows(b, "a=1\nb=1\n");
	kecho_attrs_put(b);
	assert_null(kecho_attrs_get(NULL));
	kecho_attrs_put(NULL);
}

static void text_grows(void **state)
{
	struct kecho_text t = { 0 };
	static char want[20000];
	size_t n = 0;
	int i;

	kecho_text_append(&t, NULL, 0);
	assert_true(!t.buf && !t.len && !t.err);
	for (i = 0; n < sizeof(want) - 600; i++) {
		n += sprintf(want + n, "%d-%*s;", i, rnd(500), "x");
		kecho_text_printf(&t, "%d-", i);
		kecho_text_append(&t, strrchr(want, '-') + 1, want + n - strrchr(want, '-') - 1);
		assert_true(t.len == n && t.cap >= n);
	}
	assert_memory_equal(t.buf, want, n);
	kecho_text_free(&t);
	assert_true(!t.buf && !t.len && !t.cap && !t.err);
	/* Exactly what is there, and one more. */
	for (i = 250; i < 260; i++) {
		kecho_text_printf(&t, "%0*d", i, 0);
		assert_int_equal(t.len, i);
		kecho_text_append(&t, "ab", 2);
		assert_memory_equal(t.buf + i - 1, "0ab", 3);
		kecho_text_free(&t);
	}
	kecho_text_append(&t, "abc", 3);
	kecho_fail_alloc = 0;
	kecho_text_printf(&t, "%0*d", 5000, 0);
	assert_int_equal(kecho_fail_alloc, -1);
	assert_int_equal(t.err, -ENOMEM);
	kecho_text_append(&t, "d", 1);
	kecho_text_printf(&t, "e");
	assert_int_equal(t.len, 3);
	assert_memory_equal(t.buf, "abc", 3);
	kecho_text_free(&t);
	kecho_text_append(&t, "x", 1);
	assert_true(t.len == 1 && !t.err);
	kecho_text_free(&t);
}

static void without_memory(void **state)
{
	struct kecho_attrs *base = PARSE("a=1\nb=text"), *a;
	struct kecho_text t;
	int err, n;

	for (n = 0; ; n++) {
		kecho_fail_alloc = n;
		err = kecho_attrs_merge_text(base, "c=5", 3, GFP_KERNEL, &a);
		if (kecho_fail_alloc >= 0)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_null(a);
	}
	kecho_fail_alloc = -1;
	assert_int_equal(n, 2);
	assert_int_equal(err, 0);
	assert_shows(a, "a=1\nb=text\nc=5\n");
	kecho_attrs_put(a);
	kecho_fail_alloc = 0;
	assert_int_equal(kecho_attrs_decode(base->data, base->len, GFP_KERNEL, &a), -ENOMEM);
	assert_null(a);
	kecho_fail_alloc = 0;
	memset(&t, 0, sizeof(t));
	kecho_attrs_print(&t, base, '\n');
	assert_int_equal(t.err, -ENOMEM);
	assert_int_equal(t.len, 0);
	kecho_text_free(&t);
	kecho_attrs_put(base);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(names), cmocka_unit_test(value_grammar), cmocka_unit_test(value_lengths), cmocka_unit_test(lines),
	cmocka_unit_test(bytes_max), cmocka_unit_test(random_round_trips), cmocka_unit_test(truncated_and_damaged),
	cmocka_unit_test(malformed), cmocka_unit_test(comparison), cmocka_unit_test(lookup),
	cmocka_unit_test(references), cmocka_unit_test(text_grows), cmocka_unit_test(without_memory),
};
UNIT_SUITE(attr, tests)
