/* Putting on the outer headers, taking them off, and handing packets to a device. */
#pragma once

#include "count.h"
#include "liveness.h"
#include "parse.h"

#define AF_INET_ 2
#define AF_INET6_ 10
#define ALREADY (-114) /* the packet counts as encapsulated from before */
#define OUTER_HOPS 64

struct outer4 {
	struct iphdr ip;
	struct udphdr udp;
	struct overlay overlay;
};

struct outer6 {
	struct ipv6hdr ip;
	struct udphdr udp;
	struct overlay overlay;
};

/* Write our header where it is sent from: read back as words from elsewhere, what was written
 * as bytes and halves would make the processor wait. */
INLINE void fill_overlay(const struct work *work, const struct tunnel *tunnel, __u32 sequence,
			 __u8 inner, const struct overlay *given, struct overlay *to)
{
	to->version_inner = OVERLAY_VERSION << 4 | inner;
	to->flags = given->flags | (hears(work, tunnel) ? OVERLAY_HEARS : 0);
	to->class = given->class;
	to->segments = work->pieces > 255 ? 255 : work->pieces;
	to->tunnel = bpf_htons(tunnel->peer_id);
	to->destination = given->destination;
	to->sequence = bpf_htonl(sequence);
	to->session[0] = bpf_htonl(tunnel->session_out >> 32);
	to->session[1] = bpf_htonl(tunnel->session_out);
}

INLINE __sum16 sum_ipv4(const struct iphdr *ip)
{
	const __u16 *half = (const __u16 *)ip;
	__u32 sum = 0;

#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += half[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* The codepoint goes outside too; congestion marks do not (RFC 6040, compatibility mode). */
INLINE __u8 outer_tos(__u8 tos)
{
	return tos & 0xfc;
}

/* Write the outer headers into the room made for them; 0 where that is not to be had. */
INLINE int store_outer4(const struct work *work, const struct packet *packet,
			const struct tunnel *tunnel, __u32 sequence,
			const struct overlay *overlay)
{
	struct cursor cursor = cursor_at(work->skb, 0);
	struct ethhdr *ethernet = take(&cursor, sizeof(*ethernet));
	struct outer4 *outer = take(&cursor, sizeof(*outer));
	__u32 length = work->skb->len - ETH_HLEN;

	if (!ethernet || !outer)
		return 0;
	ethernet->h_proto = bpf_htons(ETH_P_IP);
	*(__be16 *)&outer->ip = bpf_htons(0x4500 | outer_tos(packet->tos));
	outer->ip.tot_len = bpf_htons(length);
	outer->ip.id = 0;
	outer->ip.frag_off = bpf_htons(IP_DONT);
	outer->ip.ttl = OUTER_HOPS;
	outer->ip.protocol = IPPROTO_UDP;
	outer->ip.check = 0;
	__builtin_memcpy(&outer->ip.saddr, tunnel->local, 4);
	__builtin_memcpy(&outer->ip.daddr, tunnel->remote, 4);
	outer->ip.check = sum_ipv4(&outer->ip);
	outer->udp.source = tunnel->local_port;
	outer->udp.dest = tunnel->remote_port;
	outer->udp.len = bpf_htons(length - sizeof(outer->ip));
	outer->udp.check = 0;
	fill_overlay(work, tunnel, sequence, packet->key.family, overlay, &outer->overlay);
	return 1;
}

/* Tell which of either end's two keys a packet goes by: asked once a packet, since device and
 * addresses of different answers do not fit together. */
INLINE __u8 twins_of(const struct tunnel *tunnel)
{
	return *(const volatile __u8 *)&tunnel->twins;
}

INLINE void put_ends6(struct ipv6hdr *ip, const struct tunnel *tunnel, __u8 twins)
{
	__builtin_memcpy(&ip->saddr, tunnel->local, 16);
	__builtin_memcpy(&ip->daddr, tunnel->remote, 16);
	ip->saddr.in6_u.u6_addr8[15] ^= !!(twins & TWIN_OWN);
	ip->daddr.in6_u.u6_addr8[15] ^= !!(twins & TWIN_PEER);
}

/* The outer UDP checksum is zero, as RFC 6935 allows tunnels; the inner one stands. */
INLINE int store_outer6(const struct work *work, const struct packet *packet,
			const struct tunnel *tunnel, __u8 twins, __u32 sequence,
			const struct overlay *overlay)
{
	struct cursor cursor = cursor_at(work->skb, 0);
	struct ethhdr *ethernet = take(&cursor, sizeof(*ethernet));
	struct outer6 *outer = take(&cursor, sizeof(*outer));
	__u32 length = work->skb->len - ETH_HLEN - sizeof(struct ipv6hdr);

	if (!ethernet || !outer)
		return 0;
	ethernet->h_proto = bpf_htons(ETH_P_IPV6);
	*(__be32 *)&outer->ip = bpf_htonl(6 << 28 | outer_tos(packet->tos) << 20);
	outer->ip.payload_len = bpf_htons(length);
	outer->ip.nexthdr = IPPROTO_UDP;
	outer->ip.hop_limit = OUTER_HOPS;
	put_ends6(&outer->ip, tunnel, twins);
	outer->udp.source = tunnel->local_port;
	outer->udp.dest = tunnel->remote_port;
	outer->udp.len = bpf_htons(length);
	outer->udp.check = 0;
	fill_overlay(work, tunnel, sequence, packet->key.family, overlay, &outer->overlay);
	return 1;
}

INLINE void set_ether(struct __sk_buff *skb, __be16 protocol)
{
	bpf_skb_store_bytes(skb, ETH_HLEN - 2, &protocol, 2, 0);
}

/* Frames shorter than Ethernet's least are padded; padding does not travel. */
INLINE void trim(struct __sk_buff *skb, const struct packet *packet)
{
	__u32 end = ETH_HLEN + packet->size;

	if (!skb->gso_size && packet->size && skb->len > end)
		bpf_skb_change_tail(skb, end, 0);
}

/* Make room in a packet that has come out of a tunnel and whose offload state says so still.
 * That state is as ours would be: the inner packet has not moved. Only the protocol may have
 * to change, which the kernel does where it takes something away. */
INLINE long make_room_again(struct __sk_buff *skb, __u32 room, int six, int inner_six)
{
	long failed;

	if (six == inner_six)
		return bpf_skb_adjust_room(skb, room, BPF_ADJ_ROOM_MAC, ROOM_FIXED_GSO);
	failed = bpf_skb_adjust_room(skb, room + 4, BPF_ADJ_ROOM_MAC, ROOM_FIXED_GSO);
	if (failed)
		return failed;
	return bpf_skb_adjust_room(skb, -4, BPF_ADJ_ROOM_MAC,
				   ROOM_FIXED_GSO | (six ? ROOM_DECAP_IPV6 : ROOM_DECAP_IPV4));
}

/* Make room for the outer headers; true if there is. */
INLINE int put_room(struct __sk_buff *skb, int six, int inner_six)
{
	__u32 room = six ? sizeof(struct outer6) : sizeof(struct outer4);
	__u64 flags = ROOM_FIXED_GSO | ROOM_ENCAP_UDP | ROOM_INNER_HEADER(sizeof(struct overlay)) |
		      (six ? ROOM_ENCAP_IPV6 : ROOM_ENCAP_IPV4);
	long failed = bpf_skb_adjust_room(skb, room, BPF_ADJ_ROOM_MAC, flags);

	if (failed == ALREADY)
		failed = make_room_again(skb, room, six, inner_six);
	return !failed;
}

/* Put the outer headers on; overlay: with class, destination and budget set. */
INLINE int wrap(const struct work *work, const struct packet *packet, struct tunnel *tunnel,
		__u8 twins, struct overlay *overlay)
{
	int six = !!(tunnel->flags & TUNNEL_IPV6);
	__u32 sequence;

	trim(work->skb, packet);
	if (!put_room(work->skb, six, packet->key.family == 6))
		return 0;
	sequence = __sync_fetch_and_add(&tunnel->tx_sequence, work->pieces);
	return six ? store_outer6(work, packet, tunnel, twins, sequence, overlay)
		   : store_outer4(work, packet, tunnel, sequence, overlay);
}

/* Take the outer headers off; ether: offset of the outer IP header, 0 without Ethernet. */
INLINE int unwrap(struct __sk_buff *skb, __u32 ether, int six, __u8 inner)
{
	__s32 room = six ? sizeof(struct outer6) : sizeof(struct outer4);
	__u64 flags = ROOM_FIXED_GSO;

	if (six != (inner == INNER_IPV6))
		flags |= six ? ROOM_DECAP_IPV4 : ROOM_DECAP_IPV6;
	if (bpf_skb_adjust_room(skb, -room, BPF_ADJ_ROOM_MAC, flags))
		return 0;
	if (ether)
		set_ether(skb, inner == INNER_IPV6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP));
	return 1;
}

/* Write down between which addresses a way is asked for. */
INLINE void set_ends(struct bpf_fib_lookup *way, __u8 family, const __u8 *from, const __u8 *to,
		     __u32 mark)
{
	if (family == 4) {
		way->family = AF_INET_;
		__builtin_memcpy(&way->ipv4_src, from, 4);
		__builtin_memcpy(&way->ipv4_dst, to, 4);
	} else {
		way->family = AF_INET6_;
		__builtin_memcpy(way->ipv6_src, from, 16);
		__builtin_memcpy(way->ipv6_dst, to, 16);
	}
	*(__u32 *)way->smac = mark; /* its place in kernels that know FIB_LOOKUP_MARK */
}

/* Ask the routing table; to: an address of the family. Returns what bpf_fib_lookup() does. */
INLINE long look_up(const struct work *work, struct bpf_fib_lookup *way, __u8 family,
		    const __u8 *from, const __u8 *to, __u32 mark, __u32 flags)
{
	__builtin_memset(way, 0, sizeof(*way));
	way->ifindex = work->skb->ifindex;
	set_ends(way, family, from, to, mark);
	return bpf_fib_lookup(work->skb, way, sizeof(*way), flags | FIB_LOOKUP_MARK);
}

/* Leave the rest to the kernel: the way is known, the neighbour may not be. */
INLINE int go(const struct bpf_fib_lookup *way)
{
	struct bpf_redir_neigh hop = { .nh_family = way->family };

	__builtin_memcpy(hop.ipv6_nh, way->ipv6_dst, 16);
	return redirect_neigh(way->ifindex, &hop, sizeof(hop), 0);
}

/* Find the way by the routing table. Returns the action. */
INLINE int route(const struct work *work, __u8 family, const __u8 *from, const __u8 *to,
		 __u32 mark)
{
	struct bpf_fib_lookup way;

	if (look_up(work, &way, family, from, to, mark, FIB_LOOKUP_SKIP_NEIGH))
		return TC_ACT_SHOT;
	return go(&way);
}
