/* Steering in a loop that stays in the kernel, for the benchmark alone.
 *
 * Each run takes the next frame of a list and writes it over whatever the last run left, so
 * that hops and keys are those of a new packet. `steered` runs the real program and takes the
 * outer headers off again; `wrapped` puts on and takes off the same room and does nothing
 * else; `restored` writes the frame alone. `once` and `twice` take the same room away, put on
 * in one piece and in two, so that they tell what taking away costs.
 */
#include "../../bpf/steer.bpf.c"

struct bench_frame {
	__u8 bytes[64];
};

BPF_F_TABLE("array", u32, struct bench_frame, bench_frames, 131072, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, u64, bench_next, 1, BPF_F_MMAPABLE);

INLINE int restore(struct __sk_buff *skb)
{
	__u32 zero = 0, at;
	__u64 *next = bench_next.lookup(&zero);
	struct bench_frame *frame;

	if (!next)
		return 0;
	at = (*next)++ & 131071;
	frame = bench_frames.lookup(&at);
	return frame && !bpf_skb_store_bytes(skb, 0, frame->bytes, 62, 0);
}

INLINE int is_six(struct __sk_buff *skb, __u32 at)
{
	__u8 version = 0;

	bpf_skb_load_bytes(skb, at, &version, 1);
	return version >> 4 == 6;
}

INLINE int take_off(struct __sk_buff *skb)
{
	__s32 room = sizeof(struct outer4);
	__u64 flags = ROOM_FIXED_GSO;

	/* IPv6 inside IPv4 has changed the packet's protocol, and gets it back. */
	if (is_six(skb, ETH_HLEN + sizeof(struct outer4)))
		flags |= ROOM_DECAP_IPV6;
	return !bpf_skb_adjust_room(skb, -room, BPF_ADJ_ROOM_MAC, flags);
}

int steered(struct __sk_buff *skb)
{
	if (!restore(skb) || steer_frame(skb, FROM_LAN) != TC_ACT_REDIRECT)
		return TC_ACT_SHOT;
	return take_off(skb) ? TC_ACT_OK : TC_ACT_SHOT;
}

int wrapped(struct __sk_buff *skb)
{
	if (!restore(skb) || !put_room(skb, 0, is_six(skb, ETH_HLEN)))
		return TC_ACT_SHOT;
	return take_off(skb) ? TC_ACT_OK : TC_ACT_SHOT;
}

INLINE int put_pieces(struct __sk_buff *skb, int pieces)
{
	__s32 room = sizeof(struct outer4);

	if (!restore(skb))
		return TC_ACT_SHOT;
	for (int i = 0; i < pieces; i++)
		if (bpf_skb_adjust_room(skb, room / pieces, BPF_ADJ_ROOM_MAC, ROOM_FIXED_GSO))
			return TC_ACT_SHOT;
	skb->mark = is_six(skb, ETH_HLEN + room);
	return bpf_skb_adjust_room(skb, -room, BPF_ADJ_ROOM_MAC, ROOM_FIXED_GSO) ? TC_ACT_SHOT
										 : TC_ACT_OK;
}

int once(struct __sk_buff *skb)
{
	return put_pieces(skb, 1);
}

int twice(struct __sk_buff *skb)
{
	return put_pieces(skb, 2);
}

int restored(struct __sk_buff *skb)
{
	return restore(skb) ? TC_ACT_OK : TC_ACT_SHOT;
}

/* The first steps of steering, up to and with the named one. */
enum step {
	BEGUN,
	PARSED,
	HASHED,
	FOUND,
	LED,
	SORTED,
};

INLINE int steps(struct __sk_buff *skb, enum step last)
{
	struct packet *packet = blank_packet();
	struct decision decision = {};
	struct destination destination = {};
	struct work work;

	if (!restore(skb) || !packet || !begin_untimed(&work, skb, FROM_LAN))
		return TC_ACT_SHOT;
	if (last >= PARSED && !parse_ip(skb, is_six(skb, ETH_HLEN) ? 6 : 4, ETH_HLEN, packet))
		return TC_ACT_SHOT;
	if (last >= HASHED)
		decision.hash = hash_of(&work, &packet->key);
	if (last >= FOUND) {
		fetch_flow(&work, decision.hash);
		work.now_ns = clock_ns(work.settings);
		find_flow(&work, &packet->key, decision.hash, &decision.place);
	}
	if (last >= LED)
		find_destination(&work, &packet->key, packet->key.target, &destination);
	decision.destination = destination.index;
	if (last >= SORTED)
		classify(&work, packet, &decision);
	/* Used, or the compiler leaves all of it out. */
	skb->mark = work.now_ns ^ decision.hash ^ decision.destination ^ decision.class ^
		    !decision.place.flow;
	return TC_ACT_OK;
}

int begun(struct __sk_buff *skb)
{
	return steps(skb, BEGUN);
}

int parsed(struct __sk_buff *skb)
{
	return steps(skb, PARSED);
}

int hashed(struct __sk_buff *skb)
{
	return steps(skb, HASHED);
}

int found(struct __sk_buff *skb)
{
	return steps(skb, FOUND);
}

int led(struct __sk_buff *skb)
{
	return steps(skb, LED);
}

int sorted(struct __sk_buff *skb)
{
	return steps(skb, SORTED);
}
