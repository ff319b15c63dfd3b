/* Next hops, remembered for a moment.
 *
 * To find route and neighbour for each packet costs more than all else that is done with it, and
 * both change seldom. What the kernel has found is kept for HOP_NS, and packets leave with the
 * addresses of Ethernet already in place. The packet that finds it too old asks anew and goes the
 * long way itself, so that the kernel sees its neighbour in use, and checks whether it is there.
 *
 * CPUs share what they found. Who writes claims it first, and a reader takes nothing of what was
 * another before or after it was read (x86 keeps the order of loads and of stores).
 */
#pragma once

#include "wrap.h"

#define HOP_NS 10000000LL /* so long an old route counts */
#define HOP_BUSY (-1LL)
#define HOP_FACTOR 0x9e3779b97f4a7c15ULL /* 2^64 over the golden ratio (Knuth 6.4) */

INLINE __s64 until_of(const struct hop *hop)
{
	return *(const volatile __s64 *)&hop->until_ns;
}

/* Begin to write; 0 if another CPU does. */
INLINE int claim_hop(struct hop *hop)
{
	__s64 before = until_of(hop);

	return before != HOP_BUSY &&
	       __sync_val_compare_and_swap(&hop->until_ns, before, HOP_BUSY) == before;
}

/* Write what was found, or that nothing was, and let others read it. */
INLINE void release_hop(const struct work *work, struct hop *hop,
			const struct bpf_fib_lookup *found)
{
	__builtin_memset(hop->hosts, 0, sizeof(hop->hosts));
	if (found) {
		__builtin_memcpy(hop->hosts, found->dmac, ETH_ALEN);
		__builtin_memcpy(hop->hosts + ETH_ALEN, found->smac, ETH_ALEN);
		hop->ifindex = found->ifindex;
	}
	barrier_();
	*(volatile __s64 *)&hop->until_ns = work->now_ns + HOP_NS;
}

/* Read what is known; 0 if that is too old. */
INLINE int read_hop(const struct work *work, const struct hop *hop, struct hop *copy)
{
	const __u32 *from = (const __u32 *)hop->hosts;
	__u32 *to = (__u32 *)copy->hosts;

	copy->until_ns = until_of(hop);
	barrier_();
	to[0] = from[0];
	to[1] = from[1];
	to[2] = from[2];
	copy->ifindex = hop->ifindex;
	return work->now_ns < copy->until_ns;
}

/* Was it the same all the while, and has it both addresses? PPP has none. */
INLINE int holds(const struct hop *hop, const struct hop *copy)
{
	const __u32 *hosts = (const __u32 *)copy->hosts;

	barrier_();
	return until_of(hop) == copy->until_ns && hosts[0] | (hosts[1] & 0xffff) &&
	       hosts[1] >> 16 | hosts[2];
}

/* Send a frame to a hop; the action. */
INLINE int leave_by(const struct work *work, const struct hop *hop, __be16 protocol)
{
	struct cursor cursor = cursor_at(work->skb, 0);
	struct ethhdr *ethernet = take(&cursor, sizeof(*ethernet));

	if (!ethernet)
		return TC_ACT_SHOT;
	__builtin_memcpy(ethernet, hop->hosts, sizeof(hop->hosts));
	ethernet->h_proto = protocol;
	return bpf_redirect(hop->ifindex, 0);
}

INLINE void learn_hop(const struct work *work, struct tunnel *tunnel)
{
	struct bpf_fib_lookup way = { .ifindex = tunnel->ifindex };
	long failed;

	if (!claim_hop(&tunnel->hop))
		return;
	set_ends(&way, tunnel->flags & TUNNEL_IPV6 ? 6 : 4, tunnel->local, tunnel->remote,
		 tunnel->mark);
	failed = bpf_fib_lookup(work->skb, &way, sizeof(way),
				FIB_LOOKUP_OUTPUT | FIB_LOOKUP_MARK);
	release_hop(work, &tunnel->hop,
		    failed || way.ifindex != tunnel->ifindex ? NULL : &way);
}

/* Send a wrapped packet on its tunnel; the action, TC_ACT_SHOT where no way leads. */
INLINE int send(const struct work *work, struct tunnel *tunnel, __u8 twins)
{
	__u32 ifindex = twins & TWIN_OWN ? tunnel->ifindex_twin : tunnel->ifindex;
	struct hop hop;

	work->skb->mark = tunnel->mark;
	if (!ifindex)
		return route(work, tunnel->flags & TUNNEL_IPV6 ? 6 : 4, tunnel->local,
			     tunnel->remote, tunnel->mark);
	/* There is no neighbour to be known at the end of a WireGuard device; it alone has a twin. */
	if (tunnel->kind == KIND_WIREGUARD)
		return redirect_neigh(ifindex, NULL, 0, 0);
	if (!read_hop(work, &tunnel->hop, &hop))
		learn_hop(work, tunnel);
	else if (holds(&tunnel->hop, &hop))
		return leave_by(work, &hop, tunnel->flags & TUNNEL_IPV6 ? bpf_htons(ETH_P_IPV6)
									: bpf_htons(ETH_P_IP));
	return redirect_neigh(tunnel->ifindex, NULL, 0, 0);
}

/* Where the way between the ends of a packet is remembered. */
INLINE struct lan_hop *place_of_hop(const struct packet *packet)
{
	const __u64 *from = (const __u64 *)packet->key.source;
	const __u64 *to = (const __u64 *)packet->key.target;
	__u64 sum = (from[0] + from[1]) * HOP_FACTOR + to[0] + to[1];
	__u32 index = sum * HOP_FACTOR >> 32 & (LAN_HOPS - 1);

	return lan_hops.lookup(&index);
}

/* Read the way to a host of the LAN; 0 if that is not known, or not for so large a packet. */
INLINE int knows_way(const struct work *work, const struct packet *packet,
		     const struct lan_hop *place, struct hop *hop)
{
	const struct __sk_buff *skb = work->skb;

	return read_hop(work, &place->hop, hop) &&
	       same_address(place->source, packet->key.source) &&
	       same_address(place->target, packet->key.target) &&
	       place->arrived_at == skb->ifindex &&
	       (skb->gso_size || skb->len - packet->ip <= place->mtu) && holds(&place->hop, hop);
}

INLINE void remember_way(const struct work *work, const struct packet *packet,
			 struct lan_hop *place, const struct bpf_fib_lookup *way)
{
	if (!claim_hop(&place->hop))
		return;
	copy_address6(place->source, packet->key.source);
	copy_address6(place->target, packet->key.target);
	place->arrived_at = work->skb->ifindex;
	place->mtu = way->tot_len; /* what the kernel has put there */
	release_hop(work, &place->hop, way);
}
