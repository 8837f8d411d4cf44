/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: events files
 *
 * What read and write of an open events file mean, in its three modes, for either home: text (a line is an event), packet (one
 * write, one event; one read, one event) and framed (like packet, with &struct kecho_frame in front). A home serialises the calls
 * on one writer, and on one reader, and does the waiting.
 */
#ifndef KECHO_STREAM_H
#define KECHO_STREAM_H
#include <linux/kecho.h>
#include "channel.h"

/**
 * struct kecho_writer - an events file open for writing
 * @type: of the directory that it is in, or empty
 * @buf: what has come of an unfinished line
 * @skip: a line was too long, and its end has not come yet
 * @batch: see kecho_channel_publish()
 */
struct kecho_writer {
	struct kecho_channel *channel;
	u32 mode;
	bool skip;
	char type[KECHO_NAME_MAX + 1];
	u8 *buf;
	u32 len, cap;
	struct kecho_batch *batch;
};

/**
 * struct kecho_reader - an events file open for reading
 * @msg: taken from the sink's queue, @off bytes of its form read
 * @head: what stands before the payload in that form
 */
struct kecho_reader {
	struct kecho_sink *sink;
	u32 mode;
	struct kecho_msg *msg;
	u64 off;
	char *head;
	u32 head_len;
};

/**
 * kecho_writer_write() - publish what is written
 * Return: bytes taken, fewer than @len if the channel has no room for more; -EAGAIN, -EMSGSIZE, -EINVAL, -ENODEV, -ENOMEM
 */
ssize_t kecho_writer_write(struct kecho_writer *w, const void *data, size_t len, u64 time_ns);
/** kecho_writer_finish() - publish an unterminated last line. -EAGAIN: call again when there is room */
int kecho_writer_finish(struct kecho_writer *w, u64 time_ns);
void kecho_writer_free(struct kecho_writer *w);

/**
 * kecho_reader_read() - the next event, or a part of it
 * @whole: the size of the reader's buffer, of which @len is the part to fill now (FUSE cuts long reads)
 * Return: bytes; 0 when the channel has gone; -EAGAIN: nothing is queued; -EMSGSIZE: packet and framed mode, the event stays
 */
ssize_t kecho_reader_read(struct kecho_reader *r, void *buf, size_t len, size_t whole);
/** kecho_reader_next() - like kecho_reader_read(), but copies nothing: 1, and kecho_reader_piece() has it */
int kecho_reader_next(struct kecho_reader *r, size_t whole);
/** kecho_reader_piece() - @len bytes of the event that are next, in place */
const void *kecho_reader_piece(const struct kecho_reader *r, size_t *len);
/** kecho_reader_advance() - the reader has got @n bytes of the piece. False: that was the end of the event */
bool kecho_reader_advance(struct kecho_reader *r, size_t n);
/** kecho_reader_rest() - has an event been read in part? */
bool kecho_reader_rest(const struct kecho_reader *r);
bool kecho_reader_ready(struct kecho_reader *r);
void kecho_reader_free(struct kecho_reader *r);
#endif
