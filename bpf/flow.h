/* Flows: their record, weighted sharing among tunnels, and pinning to one of them.
 *
 * A pinned flow stays on its tunnel while that is usable. It leaves a dead one at once, and
 * one that drains, or that the entry no longer names, where this reorders nothing: towards a
 * slower path, or in a gap longer than the paths' delays differ.
 */
#pragma once

#include "classify.h"
#include "entry.h"

INLINE int is_pinned(const struct work *work, __u8 class)
{
	return class < CLASSES_MAX && work->settings->pinned_classes >> class & 1;
}

INLINE __u32 hash_of(const struct flow_key *key)
{
	const __u32 *words = (const __u32 *)key;
	__u32 mixed = words[10];

#pragma unroll
	for (int i = 0; i < 9; i++)
		mixed = (mixed ^ words[i]) * 0x9e3779b1;
	return (mixed ^ words[9]) * 0x9e3779b1;
}

/* Let a flow prefer the backup that its hash asks for. */
INLINE void share(const struct work *work, const struct packet *packet, __u64 word,
		  struct choice *choice)
{
	__u32 first = word >> (48 + ENTRY_SHARE_1) & 15;
	__u32 second = word >> (48 + ENTRY_SHARE_2) & 15;
	__u32 ticket, row;

	if (!(first + second) || choice->row == NO_ROW || choice->outcome == STEER_ALL_DEAD)
		return;
	ticket = hash_of(&packet->key) >> 28;
	if (ticket >= first + second)
		return;
	row = candidate(word, ticket < first ? 1 : 2);
	if (alive(work, row)) {
		choice->row = row;
		choice->outcome = STEER_SHARED;
	}
}

/* Tell whether a flow may leave a usable tunnel for another one now. */
INLINE int may_leave(const struct work *work, const struct flow *flow,
		     const struct tunnel *from, const struct tunnel *to)
{
	__s64 longer_ns = from->delay_ns - to->delay_ns;
	__s64 gap_ns = work->now_ns - flow->last_ns;
	int known = from->delay_ns > 0 && to->delay_ns > 0;

	if (from->drain_until_ns && work->now_ns >= from->drain_until_ns) {
		note(work, NOTE_DRAIN_FORCED);
		return 1;
	}
	if ((known && longer_ns <= 0) ||
	    gap_ns >= (longer_ns > 0 ? longer_ns : 0) + work->settings->drain_slack_ms * 1000000LL) {
		note(work, NOTE_DRAINED);
		return 1;
	}
	return 0;
}

/* Keep a flow of a pinned class where it is, as far as that goes. */
INLINE void pin(const struct work *work, struct flow *flow, __u64 word, struct choice *choice)
{
	__u32 row = flow->row;
	struct tunnel *from, *to;

	if (row == NO_ROW || row == choice->row)
		return;
	from = tunnel_of(row - 1);
	if (!from || !usable(work, from)) {
		if (choice->row != NO_ROW && choice->outcome != STEER_ALL_DEAD)
			note(work, NOTE_PIN_MOVED);
		return;
	}
	to = choice->row == NO_ROW || choice->outcome == STEER_ALL_DEAD ? NULL
									 : tunnel_of(choice->row - 1);
	if (to && (from->drain_until_ns ||
		   (!is_candidate(word, row) && !(flow->flags & FLOW_FOLLOWS))) &&
	    may_leave(work, flow, from, to))
		return;
	choice->row = row;
	choice->outcome = STEER_PINNED;
}

/* Write down what was decided and that a packet passed. */
INLINE void remember(const struct work *work, const struct packet *packet,
		     const struct decision *decision, const struct choice *choice)
{
	int kept = choice->row != NO_ROW && choice->outcome != STEER_ALL_DEAD &&
		   is_pinned(work, decision->class);
	struct flow *flow = decision->flow;

	if (flow) {
		flow->last_ns = work->now_ns;
		flow->packets += work->pieces;
		flow->bytes += work->length;
		if (kept)
			flow->row = choice->row;
		if (decision->is_new) {
			flow->destination = decision->destination;
			flow->class = decision->class;
			flow->rule = decision->rule;
			flow->epoch = work->settings->epoch;
		}
	} else {
		struct flow new = {
			.first_s = (__u64)work->now_ns / 1000000000,
			.last_ns = work->now_ns,
			.packets = work->pieces,
			.bytes = work->length,
			.epoch = work->settings->epoch,
			.destination = decision->destination,
			.class = decision->class,
			.rule = decision->rule,
			.row = kept ? choice->row : NO_ROW,
		};

		note(work, flows.update((struct flow_key *)&packet->key, &new) ? NOTE_FLOW_FULL
									       : NOTE_FLOW_NEW);
	}
}

/* A packet of a pinned class came out of a tunnel: what goes back shall take the same one.
 * Whoever began the flow leads; a flow of our own side keeps its tunnel. */
INLINE void pin_return(const struct work *work, const struct packet *packet, __u32 row)
{
	struct flow_key key = {
		.source_port = packet->key.target_port,
		.target_port = packet->key.source_port,
		.protocol = packet->key.protocol,
		.family = packet->key.family,
	};
	struct flow *flow;

	__builtin_memcpy(key.source, packet->key.target, 16);
	__builtin_memcpy(key.target, packet->key.source, 16);
	flow = flows.lookup(&key);
	if (!flow) {
		struct flow new = {
			.first_s = (__u64)work->now_ns / 1000000000,
			.last_ns = work->now_ns,
			.epoch = ~work->settings->epoch, /* class and destination: not yet */
			.row = row + 1,
			.flags = FLOW_FOLLOWS,
		};

		flows.update(&key, &new);
		note(work, NOTE_RETURN_PINNED);
	} else if (flow->flags & FLOW_FOLLOWS && flow->row != row + 1) {
		flow->row = row + 1;
		note(work, NOTE_RETURN_PINNED);
	}
}
