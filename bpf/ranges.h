/* Destinations by ranges of addresses.
 *
 * A trie of prefixes has a node for each bit that tells two of them apart, and each is a line of
 * its own somewhere in memory. Prefixes that are laid out as ranges, one after the other, are
 * searched in a tree whose nodes are lines with 16 keys (8 of IPv6): a node's key is the first
 * address of what is below it, the lowest level's keys are where ranges begin. Level n begins
 * behind the 1 + 16 + ... + 16^(n-1) nodes of those above. dataplane/linux/ranges.py builds the
 * tree in the idle bank; even nodes are those of bank 0.
 */
#pragma once

#include "parse.h"

/* 1 if one is below the other, without a branch that the processor would guess. */
INLINE __u64 is_below(__u64 one, __u64 other)
{
	__u64 borrow = (~one & other) | ((~one | other) & (one - other));

	asm volatile("" : "+r"(borrow)); /* or the compiler makes it a comparison again */
	return borrow >> 63;
}

/* The last key of a node that is not above an address: its first one never is. */
INLINE __u32 last_key4(const struct range4 *node, __u64 address)
{
	__u32 last = RANGE_KEYS4 - 1;

#pragma unroll
	for (int i = 1; i < RANGE_KEYS4; i++) {
		__u64 difference = address - node->key[i];

		asm volatile("" : "+r"(difference));
		last -= difference >> 63;
	}
	return last;
}

INLINE __u32 last_key6(const struct range6 *node, __u64 address)
{
	__u32 last = RANGE_KEYS6 - 1;

#pragma unroll
	for (int i = 1; i < RANGE_KEYS6; i++)
		last -= is_below(address, node->key[i]);
	return last;
}

/* What an IPv4 address lies in. Unused keys are the highest address, which nothing is sent to
 * and which is looked for as the one before. */
INLINE __u32 range_of4(const struct work *work, __be32 address)
{
	__u32 word = *(volatile __u32 *)&work->settings->ranges[0];
	__u32 key = bpf_ntohl(address), place = 0, above = 0, width = 1, index;
	struct range_place *found;
	struct range4 *node;

	key -= key == 0xffffffff;
#pragma clang loop unroll(disable)
	for (__u32 level = 0; level < RANGE_LEVELS && level < word >> 1; level++) {
		index = 2 * (above + place) + (word & 1);
		node = ranges4.lookup(&index);
		if (!node)
			return 0;
		place = place * RANGE_KEYS4 + last_key4(node, key);
		above += width;
		width *= RANGE_KEYS4;
	}
	found = word >> 1 ? places4.lookup(&place) : NULL;
	return found ? found->bank[word & 1] : 0;
}

INLINE __u32 range_of6(const struct work *work, __be64 high)
{
	__u32 word = *(volatile __u32 *)&work->settings->ranges[1];
	__u32 place = 0, above = 0, width = 1, index;
	__u64 key = bpf_ntohll(high);
	struct range_place *found;
	struct range6 *node;

	key -= key == ~0ULL;
#pragma clang loop unroll(disable)
	for (__u32 level = 0; level < RANGE_LEVELS && level < word >> 1; level++) {
		index = 2 * (above + place) + (word & 1);
		node = ranges6.lookup(&index);
		if (!node)
			return 0;
		place = place * RANGE_KEYS6 + last_key6(node, key);
		above += width;
		width *= RANGE_KEYS6;
	}
	found = word >> 1 ? places6.lookup(&place) : NULL;
	return found ? found->bank[word & 1] : 0;
}
