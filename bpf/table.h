/* The table of flows: an array of sets of FLOW_WAYS records, a cache line each.
 *
 * Who chooses ports must not choose sets, so the hash is keyed with a random key (NH of UMAC,
 * RFC 4418 section 5.2.2, then multiply-shift): two flows share a set by chance alone. A flow
 * is searched from a way that depends on its hash, so that most are found in the line that is
 * looked at first.
 *
 * CPUs share the table without locks. The first word of a record holds its sequence, row and
 * epoch. Key, class and destination are written only between two stores of that word: the
 * first, by compare-and-swap, makes the sequence odd and says who writes; the second makes it
 * even again, and another one than before. A reader takes what it has read only if the
 * sequence was even and is still the same afterwards (x86 keeps the order of loads and of
 * stores). The row alone is changed by compare-and-swap too, so that it never reaches a record
 * that has become another flow's. Figures (last, packets, bytes) steer nothing, and are added
 * without any of this: two CPUs may lose a packet of the count, or give it to a new flow.
 */
#pragma once

#include "count.h"

#define ADDRESS_WORDS 4
#define KEY_BITS 0xffffffffffULL /* of the word behind them: ports, protocol */
#define TICKS_AHEAD 0x10000U /* other CPUs may have looked at the clock later than we */


/* Where a flow is, or would be. */
struct place {
	struct flow_set *set;
	struct flow *flow; /* NULL: not there */
	__u64 head;        /* its first word, as it was read */
	__u32 decided;     /* its destination, class and rule */
	__u32 start;       /* the way to be searched first */
};

INLINE __u16 sequence_in(__u64 head)
{
	return head;
}

INLINE __u32 row_in(__u64 head)
{
	return (head >> 16) & 0xffff;
}

INLINE __u32 epoch_in(__u64 head)
{
	return head >> 32;
}

INLINE __u64 head_of(__u16 sequence, __u32 row, __u32 epoch)
{
	return (__u64)epoch << 32 | (row & 0xffff) << 16 | sequence;
}

INLINE __u32 tick_of(const struct work *work)
{
	return (__u64)work->now_ns >> FLOW_TICK;
}

/* The word of a key behind its addresses. It was written in parts, and is read in the same
 * ones: a processor waits when it reads as a word what it has just written in parts. */
INLINE __u64 last_word(const struct flow_key *key)
{
	return *(const __u32 *)&key->source_port | (__u64)key->protocol << 32 |
	       (__u64)key->family << 40;
}

INLINE __u8 six_in(const struct flow_key *key)
{
	return key->family == 6 ? FLOW_SIX : 0;
}

INLINE __u64 product(__u64 word, const __u32 *secret)
{
	return (__u64)((__u32)word + secret[0]) * (__u32)((__u32)(word >> 32) + secret[1]);
}

INLINE __u64 hash_of(const struct work *work, const struct flow_key *key)
{
	const __u64 *words = (const __u64 *)key;
	const __u32 *secret = work->settings->flow_key;
	__u64 sum = product(last_word(key), secret + 2 * ADDRESS_WORDS);

#pragma unroll
	for (int i = 0; i < ADDRESS_WORDS; i++)
		sum += product(words[i], secret + 2 * i);
	return (sum ^ sum >> 32) * (*(const __u64 *)(secret + 2 * ADDRESS_WORDS + 2) | 1);
}

INLINE int is_of(const struct flow *flow, const struct flow_key *key)
{
	const __u64 *one = (const __u64 *)flow->source, *other = (const __u64 *)key;

	return !((one[0] ^ other[0]) | (one[1] ^ other[1]) | (one[2] ^ other[2]) |
		 (one[3] ^ other[3]) | ((one[ADDRESS_WORDS] ^ last_word(key)) & KEY_BITS) |
		 ((flow->class ^ six_in(key)) & FLOW_SIX));
}

/* Have the record that is looked at first brought from memory. A store does not keep the
 * processor from what follows, as a load would: it works on until it needs the record. */
INLINE void fetch_flow(const struct work *work, __u64 hash)
{
	__u32 index = hash >> 32 & work->settings->flow_sets;
	struct flow_set *set = flows.lookup(&index);

	if (set)
		*(volatile __u8 *)&set->way[hash >> 61].fetched = 0;
}

INLINE void find_flow(const struct work *work, const struct flow_key *key, __u64 hash,
		      struct place *place)
{
	__u32 index = hash >> 32 & work->settings->flow_sets;
	struct flow *flow;
	__u64 head;

	place->set = flows.lookup(&index);
	place->flow = NULL;
	place->start = hash >> 61;
	if (!place->set)
		return;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < FLOW_WAYS; i++) {
		flow = &place->set->way[(place->start + i) & (FLOW_WAYS - 1)];
		head = *(volatile __u64 *)flow;
		barrier_();
		if (!sequence_in(head))
			return;
		if (!is_of(flow, key))
			continue;
		place->decided = *(volatile __u32 *)&flow->destination;
		barrier_();
		if (head & 1 || *(volatile __u16 *)flow != sequence_in(head))
			return;
		place->head = head;
		place->flow = flow;
		return;
	}
}

/* Make a record ours to write; head: its first word, as it was read. */
INLINE int claim(struct flow *flow, __u64 head)
{
	return __sync_val_compare_and_swap((__u64 *)flow, head, head + 1) == head;
}

/* Let others read a record that we have claimed; head: its first word before that. */
INLINE void release_flow(struct flow *flow, __u64 head, __u32 row, __u32 epoch)
{
	__u16 sequence = sequence_in(head) + 2;

	barrier_();
	*(volatile __u64 *)flow = head_of(sequence ? sequence : 2, row, epoch);
}

/* Set the row of a flow, if it is still what we have read. */
INLINE void set_row(struct flow *flow, __u64 head, __u32 row)
{
	__u64 after = head_of(sequence_in(head), row, epoch_in(head));

	__sync_val_compare_and_swap((__u64 *)flow, head, after);
}

/* Write down what has been decided anew about a flow. */
INLINE void set_decided(struct flow *flow, __u64 head, __u32 decided, __u32 row, __u32 epoch)
{
	if (!claim(flow, head))
		return;
	*(volatile __u32 *)&flow->destination = decided;
	release_flow(flow, head, row, epoch);
}

INLINE void add_figures(const struct work *work, struct flow *flow)
{
	__u64 low = (__u64)flow->bytes_low + work->length;

	flow->last = tick_of(work);
	flow->packets += work->pieces;
	flow->bytes_low = low;
	if (low >> 32)
		flow->bytes_high++;
}

INLINE void fill_flow(const struct work *work, struct flow *flow, const struct flow_key *key,
		      __u32 decided)
{
	__u64 *to = (__u64 *)flow->source;
	const __u64 *from = (const __u64 *)key;

	*(volatile __u32 *)&flow->destination = decided | six_in(key) << 16;
	flow->last = tick_of(work);
#pragma unroll
	for (int i = 0; i < ADDRESS_WORDS; i++)
		to[i] = from[i];
	to[ADDRESS_WORDS] = last_word(key) & KEY_BITS; /* with zero in bytes_high */
	flow->bytes_low = 0;
	flow->packets = 0;
}

/* Take the first way that was never used, else the one that was idle longest. A set in which
 * another CPU writes is left alone: what it writes may be this very flow. */
INLINE struct flow *new_flow(const struct work *work, const struct place *place, __u64 *before)
{
	struct flow *flow, *best = NULL;
	__u32 now = tick_of(work) + TICKS_AHEAD, idle, most = 0;
	__u64 head;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; place->set && i < FLOW_WAYS; i++) {
		flow = &place->set->way[(place->start + i) & (FLOW_WAYS - 1)];
		head = *(volatile __u64 *)flow;
		if (head & 1)
			return NULL;
		idle = now - flow->last;
		if (sequence_in(head) && best && idle <= most)
			continue;
		best = flow;
		most = idle;
		*before = head;
		if (!sequence_in(head))
			break;
	}
	if (!best || !claim(best, *before))
		return NULL;
	if (sequence_in(*before))
		note(work, NOTE_FLOW_EVICTED);
	return best;
}

/* Begin a flow's record; NULL if that is not possible now. */
INLINE struct flow *add_flow(const struct work *work, const struct place *place,
			     const struct flow_key *key, __u32 decided, __u32 row, __u32 epoch,
			     int counted)
{
	__u64 before = 0;
	struct flow *flow = new_flow(work, place, &before);

	if (!flow)
		return NULL;
	fill_flow(work, flow, key, decided);
	if (counted)
		add_figures(work, flow);
	release_flow(flow, before, row, epoch);
	return flow;
}
