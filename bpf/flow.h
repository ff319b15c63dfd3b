/* Flows: their record, weighted sharing among tunnels, and pinning to one of them, as
 * engine/pinning.py has it.
 *
 * A pinned flow stays on its tunnel while that is usable. It leaves a dead one at once, and
 * one that drains, or that the entry no longer names, where this reorders nothing: towards a
 * slower path, or in a gap longer than the paths' delays differ. What the peer began follows
 * the peer's packets by the same rule.
 */
#pragma once

#include "classify.h"
#include "entry.h"

#define UNLED_NS 1000000000LL /* after its deadline a drained tunnel is left by who is not led */

INLINE int is_pinned(const struct work *work, __u8 class)
{
	return class < CLASSES_MAX && work->settings->pinned_classes >> class & 1;
}

/* Let a flow prefer the backup that its hash asks for. */
INLINE void share(const struct work *work, __u64 hash, __u64 word, struct choice *choice)
{
	__u32 first = word >> (48 + ENTRY_SHARE_1) & 15;
	__u32 second = word >> (48 + ENTRY_SHARE_2) & 15;
	__u32 ticket, row;

	if (!(first + second) || choice->row == NO_ROW || choice->outcome == STEER_ALL_DEAD)
		return;
	ticket = hash >> 57 & 15; /* other bits than those that find the record */
	if (ticket >= first + second)
		return;
	row = candidate(word, ticket < first ? 1 : 2);
	if (alive(work, row)) {
		choice->row = row;
		choice->outcome = STEER_SHARED;
	}
}

/* Tell whether a flow may leave a usable tunnel for another one now. */
INLINE int may_leave(const struct work *work, __u32 last, const struct tunnel *from,
		     const struct tunnel *to)
{
	__s64 longer_ns = from->delay_ns - to->delay_ns;
	/* Not less than this: the last packet may have come at the end of its tick. */
	__s64 gap_ns = (__s64)(__s32)(tick_of(work) - last - 1) * (1 << FLOW_TICK) +
		       (work->now_ns & ((1 << FLOW_TICK) - 1));
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

/* Tell whether a tunnel is to be left even by what follows and is not led. */
INLINE int overdue(const struct work *work, const struct tunnel *tunnel)
{
	return tunnel->drain_until_ns && work->now_ns >= tunnel->drain_until_ns + UNLED_NS;
}

/* Tell whether a flow leaves its usable tunnel for the one of its entry. */
INLINE int leaves(const struct work *work, const struct decision *decision, __u64 word, __u32 row,
		  const struct tunnel *from, const struct tunnel *to)
{
	if (decision->follows) {
		if (!overdue(work, from))
			return 0;
		note(work, NOTE_DRAIN_FORCED);
		return 1;
	}
	return (from->drain_until_ns || !is_candidate(word, row)) &&
	       may_leave(work, decision->place.flow->last, from, to);
}

/* What follows and has left its tunnel unled shall follow the next packet at once. */
INLINE void stray(struct decision *decision)
{
	decision->strays = decision->follows && !decision->astray;
	decision->astray = decision->follows ? FLOW_ASTRAY : 0;
}

/* Keep a flow of a pinned class where it is, as far as that goes. */
INLINE void pin(const struct work *work, struct decision *decision, __u64 word,
		struct choice *choice)
{
	__u32 row = row_in(decision->place.head);
	int found = choice->row != NO_ROW && choice->outcome != STEER_ALL_DEAD;
	struct tunnel *from, *to;

	if (row == NO_ROW || row == choice->row)
		return;
	from = tunnel_of(row - 1);
	if (!from || !usable(work, from)) {
		if (found) {
			note(work, NOTE_PIN_MOVED);
			stray(decision);
		}
		return;
	}
	to = found ? tunnel_of(choice->row - 1) : NULL;
	if (to && leaves(work, decision, word, row, from, to)) {
		stray(decision);
		return;
	}
	choice->row = row;
	choice->outcome = STEER_PINNED;
}

/* What a record keeps of a decision. */
INLINE __u32 decided_in(const struct decision *decision, const struct flow_key *key)
{
	return (decision->destination & 0xffff) |
	       (__u32)(decision->class | decision->astray | six_in(key)) << 16 |
	       (__u32)(decision->rule | decision->follows) << 24;
}

/* Write down what was decided and that a packet passed. */
INLINE void remember(const struct work *work, const struct packet *packet,
		     const struct decision *decision, const struct choice *choice)
{
	int kept = choice->row != NO_ROW && choice->outcome != STEER_ALL_DEAD &&
		   is_pinned(work, decision->class);
	const struct place *place = &decision->place;
	__u32 epoch = decision->epoch, row;

	if (place->flow) {
		row = kept ? choice->row : row_in(place->head);
		add_figures(work, place->flow);
		if (decision->is_new || decision->strays)
			set_decided(place->flow, place->head, decided_in(decision, &packet->key), row,
				    epoch);
		else if (row != row_in(place->head))
			set_row(place->flow, place->head, row);
	} else {
		row = kept ? choice->row : NO_ROW;
		note(work, add_flow(work, place, &packet->key, decided_in(decision, &packet->key), row, epoch, 1)
				   ? NOTE_FLOW_NEW
				   : NOTE_FLOW_FULL);
	}
}

/* Let a flow that the peer began go where the peer's packet came from; row: row + 1.
 *
 * Not where nothing can be sent, or where nobody is to be any more. Its order is kept as a
 * leader's is, unless it is lost already. */
INLINE void follow(const struct work *work, const struct place *place, __u32 row)
{
	__u32 before = row_in(place->head), decided = place->decided;
	struct tunnel *from = before == NO_ROW ? NULL : tunnel_of(before - 1);
	struct tunnel *to = tunnel_of(row - 1);

	if (!to || !usable(work, to) || overdue(work, to))
		return;
	if (decided >> 16 & FLOW_ASTRAY) {
		set_decided(place->flow, place->head, decided & ~(FLOW_ASTRAY << 16), row,
			    epoch_in(place->head));
	} else {
		if (from && usable(work, from) && !may_leave(work, place->flow->last, from, to))
			return;
		set_row(place->flow, place->head, row);
	}
	note(work, NOTE_RETURN_PINNED);
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
	struct place place;

	__builtin_memcpy(key.source, packet->key.target, 16);
	__builtin_memcpy(key.target, packet->key.source, 16);
	find_flow(work, &key, hash_of(work, &key), &place);
	if (!place.flow) {
		/* Class and destination: not yet, which an epoch that is not ours says. */
		if (add_flow(work, &place, &key, FLOW_FOLLOWS << 24, row + 1,
			     ~work->settings->epoch, 0))
			note(work, NOTE_RETURN_PINNED);
	} else if (place.decided >> 24 & FLOW_FOLLOWS && row_in(place.head) != row + 1) {
		follow(work, &place, row + 1);
	}
}
