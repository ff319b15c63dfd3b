/* Counting: every packet ends in finish(), and nowhere else. */
#pragma once

#include "base.h"

INLINE void count(const struct work *work, __u32 place)
{
	__u32 index = work->base + place;
	struct count *at = counters.lookup(&index);

	if (at) {
		at->packets += work->pieces;
		at->bytes += work->length;
	}
}

INLINE void note(const struct work *work, enum note what)
{
	count(work, COUNT_NOTE + what);
}

/* Count what became of a packet and return what the kernel shall do. */
INLINE int finish(const struct work *work, enum outcome outcome, int action)
{
	count(work, COUNT_OUTCOME + outcome);
	return action;
}

/* Leave a packet to whatever filter comes next, and to the kernel. */
INLINE int pass(const struct work *work, enum outcome outcome)
{
	return finish(work, outcome, TC_ACT_UNSPEC);
}

INLINE int drop(const struct work *work, enum outcome outcome)
{
	return finish(work, outcome, TC_ACT_SHOT);
}

/* Begin with a packet; without settings there is nothing to do and nowhere to count.
 * What time it is remains to be asked. */
INLINE int begin_untimed(struct work *work, struct __sk_buff *skb, enum origin origin)
{
	struct settings *found = settings_of();

	if (!found)
		return 0;
	work->skb = skb;
	work->settings = found;
	work->now_ns = 0;
	work->base = bpf_get_smp_processor_id() * found->counter_stride;
	work->length = skb->len;
	work->pieces = 1;
	work->origin = origin;
	return 1;
}

INLINE int begin(struct work *work, struct __sk_buff *skb, enum origin origin)
{
	if (!begin_untimed(work, skb, origin))
		return 0;
	work->now_ns = clock_ns(work->settings);
	return 1;
}
