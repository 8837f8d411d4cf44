// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* The filter file. No filter exists yet: what is well-formed names one that is not there. */
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include "channel.h"

struct words {
	const char *p, *end;
};

static size_t next_word(struct words *w, const char **word)
{
	while (w->p < w->end && (*w->p == ' ' || *w->p == '\t'))
		w->p++;
	*word = w->p;
	while (w->p < w->end && *w->p != ' ' && *w->p != '\t')
		w->p++;
	return w->p - *word;
}

static bool is_arg(const char *s, size_t len)
{
	const char *eq = memchr(s, '=', len);

	if (!eq || !kecho_name_valid(s, eq - s))
		return false;
	for (; eq < s + len; eq++)
		if ((u8)*eq < ' ' || *eq == 127)
			return false;
	return true;
}

static bool is_index(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	return len && len < 10;
}

int kecho_channel_write_filter(struct kecho_channel *ch, const char *text, size_t len)
{
	const char *nl = memchr(text, '\n', len), *word;
	struct words w = { text, nl ? nl : text + len };
	bool set = false;
	size_t n;

	if (nl && nl + 1 != text + len)
		return -EINVAL;
	n = next_word(&w, &word);
	if (n > 1 && word[0] == '-')
		return kecho_name_valid(word + 1, n - 1) && !next_word(&w, &word) ? -ENOENT : -EINVAL;
	if (n == 1 && word[0] == '-')
		return -EINVAL;
	if (n > 1 && word[0] == '=') {
		if (!is_index(word + 1, n - 1))
			return -EINVAL;
		set = true;
	} else {
		if ((n == 2 && !memcmp(word, "in", 2)) || (n == 3 && !memcmp(word, "out", 3)))
			n = next_word(&w, &word);
		if (!(n > 4 && !memcmp(word, "bpf:", 4)) && !kecho_name_valid(word, n))
			return -EINVAL;
	}
	while ((n = next_word(&w, &word))) {
		if (!is_arg(word, n))
			return -EINVAL;
		set = false;
	}
	return set ? -EINVAL : -ENOENT;
}
EXPORT_SYMBOL_GPL(kecho_channel_write_filter);
