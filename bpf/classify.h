/* From a packet to its class and destination: rules, prefixes, flows. */
#pragma once

#include "parse.h"
#include "ranges.h"
#include "table.h"

/* What was decided about a packet before any tunnel is asked. */
struct decision {
	struct place place; /* of the flow's record */
	__u64 hash;
	__u32 destination;
	__u32 flags;        /* enum destination_flag */
	__u32 epoch;        /* before anything was asked: what changed since is asked anew */
	__u8 class;
	__u8 rule;
	__u8 follows;       /* FLOW_FOLLOWS or 0 */
	__u8 astray;        /* FLOW_ASTRAY or 0 */
	__u8 strays;        /* that is news */
	__u8 is_new;        /* class and destination have just been looked up */
};

INLINE __u64 rule_word(const struct work *work, __u32 place)
{
	__u32 index = (work->settings->epoch & 1) * RULES_BANK + place;
	__u64 *word = rules.lookup(&index);

	return word ? *word : 0;
}

/* A place of its own, 0 to 63, for each single bit (Leiserson, Prokop and Randall, 1998).
 * Finding the bit by comparing would make the verifier walk every way 64 times. */
INLINE __u32 place_of_lowest(__u64 bits)
{
	return (bits & -bits) * RULES_SEQUENCE >> 58;
}

INLINE void key4(struct prefix4 *key, const __u8 *address)
{
	key->length = 32;
	__builtin_memcpy(key->address, address, 4);
}

INLINE void key6(struct prefix6 *key, const __u8 *address)
{
	key->length = 128;
	__builtin_memcpy(key->address, address, 16);
}

INLINE __u64 target_rules(const struct work *work, const struct flow_key *flow)
{
	struct rule_bits *bits;
	struct prefix4 four;
	struct prefix6 six;

	if (flow->family == 4) {
		key4(&four, flow->target);
		bits = targets4.lookup(&four);
	} else {
		key6(&six, flow->target);
		bits = targets6.lookup(&six);
	}
	return bits ? bits->bank[work->settings->epoch & 1] : 0;
}

/* Find the first rule that matches: each field knows the rules that it satisfies, and rules
 * that name ports want one of the two. Ports and tries are asked only while a rule that names
 * some is still possible. */
INLINE void classify(const struct work *work, const struct packet *packet,
		     struct decision *decision)
{
	const struct flow_key *key = &packet->key;
	__u64 any, bits = rule_word(work, RULES_DSCP + (packet->tos >> 2));

	bits &= rule_word(work, RULES_PROTOCOL + key->protocol);
	/* The words of ports fill a megabyte: what is asked there is seldom in a cache. */
	any = rule_word(work, RULES_ANY_PORT);
	if (bits & ~any)
		bits &= any | rule_word(work, RULES_SOURCE_PORT + bpf_ntohs(key->source_port)) |
			rule_word(work, RULES_TARGET_PORT + bpf_ntohs(key->target_port));
	any = rule_word(work, RULES_ANY_TARGET);
	if (bits & ~any)
		bits &= any | target_rules(work, key);
	bits = rule_word(work, bits ? RULES_FOUND + place_of_lowest(bits) : RULES_DEFAULT);
	decision->class = bits;
	decision->rule = bits >> 8;
}

/* Find the destination of an address; 0 if there is none. */
INLINE int find_destination(const struct work *work, const struct flow_key *flow,
			    const __u8 *address, struct destination *to)
{
	__u32 range = flow->family == 4 ? range_of4(work, *(const __be32 *)address)
					: range_of6(work, *(const __be64 *)address);
	struct destination *found;
	struct prefix6 six;

	if (range & RANGE_DEEPER) {
		key6(&six, address);
		found = prefixes6.lookup(&six);
		if (found)
			*to = *found;
		return !!found;
	}
	to->index = (range & RANGE_INDEX) - 1;
	to->flags = range & RANGE_LOCAL ? DESTINATION_LOCAL : 0;
	return !!range;
}

/* Look at the clock, and decide from the flow's record if that is up to date, else from prefixes
 * and rules. Returns 0 for a packet that is none of the overlay's business. */
INLINE int decide(struct work *work, const struct packet *packet,
		  struct decision *decision)
{
	struct place *place = &decision->place;
	struct destination destination;

	decision->epoch = *(volatile __u32 *)&work->settings->epoch;
	decision->hash = hash_of(work, &packet->key);
	fetch_flow(work, decision->hash);
	work->now_ns = clock_ns(work->settings); /* which takes a while */
	find_flow(work, &packet->key, decision->hash, place);
	decision->flags = 0;
	decision->follows = place->flow ? place->decided >> 24 & FLOW_FOLLOWS : 0;
	decision->astray = place->flow ? place->decided >> 16 & FLOW_ASTRAY : 0;
	decision->is_new = !place->flow || epoch_in(place->head) != decision->epoch;
	if (!decision->is_new) {
		decision->destination = place->decided & 0xffff;
		decision->class = (place->decided >> 16) & ~(FLOW_SIX | FLOW_ASTRAY);
		decision->rule = (place->decided >> 24) & ~FLOW_FOLLOWS;
		return 1;
	}
	if (!find_destination(work, &packet->key, packet->key.target, &destination))
		return 0;
	decision->destination = destination.index;
	decision->flags = destination.flags;
	if (!(destination.flags & DESTINATION_LOCAL))
		classify(work, packet, decision);
	return 1;
}

/* Give later fragments the ports of the first one, and remember those. */
INLINE void follow_fragments(const struct work *work, struct packet *packet)
{
	struct fragment_key key = {
		.id = packet->fragment_id,
		.protocol = packet->key.protocol,
		.family = packet->key.family,
	};
	struct fragment *known, ports = {
		.source_port = packet->key.source_port,
		.target_port = packet->key.target_port,
	};

	__builtin_memcpy(key.source, packet->key.source, 16);
	__builtin_memcpy(key.target, packet->key.target, 16);
	if (packet->first) {
		fragments.update(&key, &ports);
		return;
	}
	known = fragments.lookup(&key);
	note(work, known ? NOTE_FRAGMENT_FOLLOWED : NOTE_FRAGMENT_ORPHAN);
	if (known) {
		packet->key.source_port = known->source_port;
		packet->key.target_port = known->target_port;
	}
}
