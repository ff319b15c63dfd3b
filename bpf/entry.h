/* Entries: steer() of engine/fastpath.py, and the moves that it makes. */
#pragma once

#include "liveness.h"

#define NO_ROW 0 /* rows are kept as row + 1 here */

struct choice {
	__u32 row; /* row + 1 */
	enum outcome outcome;
};

INLINE __u32 candidate(__u64 word, __u32 position)
{
	return (word >> 16 * position) & 0xffff;
}

INLINE int alive(const struct work *work, __u32 row)
{
	struct tunnel *tunnel = row == NO_ROW ? NULL : tunnel_of(row - 1);

	return tunnel && usable(work, tunnel);
}

INLINE int is_candidate(__u64 word, __u32 row)
{
	return row != NO_ROW && (row == candidate(word, 0) || row == candidate(word, 1) ||
				 row == candidate(word, 2));
}

INLINE __u32 first_known(__u64 word)
{
	if (candidate(word, 0))
		return candidate(word, 0);
	return candidate(word, 1) ? candidate(word, 1) : candidate(word, 2);
}

/* Return where a packet goes; last: the row that carried the entry before. */
INLINE struct choice steer(const struct work *work, __u64 word, __u32 last)
{
	struct choice choice = { .row = NO_ROW, .outcome = DROP_ALL_DEAD };

	if (alive(work, candidate(word, 0))) {
		choice.row = candidate(word, 0);
		choice.outcome = STEER_PRIMARY;
		return choice;
	}
	for (__u32 position = 1; position < CANDIDATES; position++) {
		if (alive(work, candidate(word, position))) {
			choice.row = candidate(word, position);
			choice.outcome = STEER_BACKUP;
			return choice;
		}
	}
	if (word >> 48 & ENTRY_DROP)
		return choice;
	choice.row = is_candidate(word, last) ? last : first_known(word);
	choice.outcome = choice.row == NO_ROW ? DROP_NO_PATH : STEER_ALL_DEAD;
	return choice;
}

/* Keep candidates alone that end at the destination. */
INLINE __u64 direct_only(__u64 word)
{
	__u64 flags = word >> 48;

	for (__u32 position = 0; position < CANDIDATES; position++)
		if (!(flags & (ENTRY_DIRECT << position)))
			word &= ~(0xffffULL << 16 * position);
	return word;
}

INLINE void tell_move(const struct work *work, __u32 entry, __u32 from, __u32 to)
{
	__u32 zero = 0, place;
	struct ring *control = ring.lookup(&zero);
	struct move *move;
	__u64 number, slot;

	if (!control)
		return;
	note(work, NOTE_MOVED);
	number = __sync_fetch_and_add(&control->next, 1);
	/* Two CPUs may both see the last free place: the slot after it belongs to neither,
	 * so a ring is full one place for each CPU early. */
	if (control->head - control->tail + 64 >= control->capacity) {
		__sync_fetch_and_add(&control->lost, 1);
		note(work, NOTE_MOVE_LOST);
		return;
	}
	slot = __sync_fetch_and_add(&control->head, 1);
	place = slot & (control->capacity - 1);
	move = moves.lookup(&place);
	if (!move)
		return;
	move->number = number;
	move->at_ns = work->now_ns;
	move->entry = entry;
	move->from_row = (__s32)from - 1;
	move->to_row = (__s32)to - 1;
	/* The last store: a reader that sees it sees the others (x86 keeps their order). */
	*(volatile __u64 *)&move->ready = slot + 1;
}

/* Remember which row an entry uses, and tell of it if the table did not ask for it. */
INLINE void book(const struct work *work, struct used *used, __u32 entry, __u32 row,
		 __u32 generation)
{
	__u64 before = *(volatile __u64 *)used;
	__u64 after = (__u64)generation << 32 | row;

	/* A generation ahead of ours: the engine has booked what its switch will do. */
	if ((__u32)before == row || (__s32)((__u32)(before >> 32) - generation) > 0)
		return;
	if (__sync_val_compare_and_swap((__u64 *)used, before, after) == before)
		tell_move(work, entry, (__u32)before, row);
}

/* Steer by the table in force; word: out, the entry that decided. */
INLINE struct choice steer_entry(const struct work *work, __u32 entry, __u64 *word)
{
	__u64 bank_word = *(volatile __u64 *)&work->settings->bank_word;
	__u32 index = (bank_word & 1) * work->settings->entries + entry;
	struct choice choice = { .row = NO_ROW, .outcome = DROP_NO_PATH };
	__u64 *found = entry < work->settings->entries ? entries.lookup(&index) : NULL;
	struct used *last = used.lookup(&entry);

	if (!found || !last)
		return choice;
	*word = *(volatile __u64 *)found;
	choice = steer(work, *word, *(volatile __u32 *)&last->row);
	book(work, last, entry, choice.row, bank_word >> 1);
	return choice;
}

/* The same for a packet that came out of a tunnel: over direct tunnels only, and the entry
 * keeps its own record of what it uses. */
INLINE struct choice steer_transit(const struct work *work, __u32 entry)
{
	__u64 bank_word = *(volatile __u64 *)&work->settings->bank_word;
	__u32 index = (bank_word & 1) * work->settings->entries + entry;
	struct choice choice = { .row = NO_ROW, .outcome = DROP_NO_PATH };
	__u64 *found = entry < work->settings->entries ? entries.lookup(&index) : NULL;

	if (found)
		choice = steer(work, direct_only(*(volatile __u64 *)found), NO_ROW);
	if (choice.outcome == STEER_ALL_DEAD)
		choice.outcome = TRANSIT_ALL_DEAD;
	else if (choice.outcome == DROP_NO_PATH)
		choice.outcome = TRANSIT_NO_DIRECT;
	else if (choice.row != NO_ROW)
		choice.outcome = TRANSIT;
	return choice;
}
