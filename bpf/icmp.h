/* Errors told to the sender of a packet: its own first bytes behind a new header.
 *
 * The quotation is the IP header and eight bytes (RFC 792); IPv6 quotes its header and eight
 * bytes as well, which hold the ports and a TCP sequence number.
 *
 * Each processor sends a thousand a second of each kind, and up to ERRORS_AT_ONCE of them
 * together (RFC 4443 section 2.4 f, RFC 1812 section 4.3.2.8): what is sent in order to be
 * answered costs no more than that. As Linux does, neither kind takes from the other, so a
 * flood of packets without hops stops nobody from learning the size that fits.
 */
#pragma once

#include "count.h"
#include "parse.h"

#define QUOTED 8
#define ERROR_NS 1000000LL /* what one costs */
#define ERRORS_AT_ONCE 50

enum trouble {
	TIME_EXCEEDED,
	TOO_BIG,
};

/* Of one kind on one processor: until when its errors are paid for. */
struct budget {
	__s64 paid_ns;
};

BPF_PERCPU_ARRAY(budgets, struct budget, 2);

struct icmp_message {
	__u8 type;
	__u8 code;
	__sum16 check;
	__be32 rest;
};

struct quote4 {
	struct icmp_message icmp;
	struct iphdr ip;
	__u8 bytes[QUOTED];
};

struct reply4 {
	struct iphdr ip;
	struct icmp_message icmp;
};

struct quote6 {
	__u8 source[16];
	__u8 target[16];
	__be32 length;
	__be32 next;
	struct icmp_message icmp;
	struct ipv6hdr ip;
	__u8 bytes[QUOTED];
};

struct reply6 {
	struct ipv6hdr ip;
	struct icmp_message icmp;
};

INLINE __sum16 fold(__s64 sum)
{
	__u32 folded = sum;

	folded = (folded & 0xffff) + (folded >> 16);
	folded = (folded & 0xffff) + (folded >> 16);
	return ~folded;
}

/* May this packet be answered by an error (RFC 1122 section 3.2.2, RFC 4443 section 2.4)? */
INLINE int may_answer(const struct packet *packet)
{
	const __u8 *from = packet->key.source;

	if (packet->later || packet->icmp_error)
		return 0;
	if (packet->key.family == 4)
		return from[0] != 0 && from[0] != 127 && from[0] < 224 &&
		       packet->transport == packet->ip + sizeof(struct iphdr);
	return from[0] != 0xff && *(__u64 *)from | *(__u64 *)(from + 8);
}

/* Take an error's cost from the budget; 0 where there is nothing left. */
INLINE int may_afford(const struct work *work, enum trouble trouble)
{
	__u32 place = trouble;
	struct budget *budget = budgets.lookup(&place);
	__s64 ahead_ns;

	if (!budget)
		return 0;
	ahead_ns = budget->paid_ns - work->now_ns;
	if (ahead_ns < 0 || ahead_ns > ERRORS_AT_ONCE * ERROR_NS) /* idle, or of another clock */
		ahead_ns = 0;
	if (ahead_ns + ERROR_NS > ERRORS_AT_ONCE * ERROR_NS) {
		note(work, NOTE_ERROR_LIMITED);
		return 0;
	}
	budget->paid_ns = work->now_ns + ahead_ns + ERROR_NS;
	return 1;
}

/* Cut the packet down to what is quoted and make room for the reply's headers before it. */
INLINE int make_room(struct __sk_buff *skb, const struct packet *packet, __u32 quoted, __u32 room)
{
	return skb->len >= packet->ip + quoted &&
	       !bpf_skb_change_tail(skb, packet->ip + quoted, 0) &&
	       !bpf_skb_adjust_room(skb, room, BPF_ADJ_ROOM_MAC, 0);
}

INLINE int reply4(const struct work *work, const struct packet *packet, enum trouble trouble,
		  __u32 mtu)
{
	struct quote4 quote = {
		.icmp.type = trouble == TOO_BIG ? 3 : 11,
		.icmp.code = trouble == TOO_BIG ? 4 : 0,
		.icmp.rest = trouble == TOO_BIG ? bpf_htonl(mtu) : 0,
	};
	struct reply4 reply = {
		.ip.version = 4,
		.ip.ihl = 5,
		.ip.tos = 0xc0, /* internetwork control, as routers send them (RFC 1812 4.3.2.5) */
		.ip.ttl = 64,
		.ip.protocol = IPPROTO_ICMP,
		.ip.tot_len = bpf_htons(sizeof(reply) + sizeof(quote) - sizeof(quote.icmp)),
	};
	__u32 quoted = sizeof(quote) - sizeof(quote.icmp);

	if (bpf_skb_load_bytes(work->skb, packet->ip, &quote.ip, quoted))
		return 0;
	__builtin_memcpy(&reply.ip.saddr, work->settings->router_v4, 4);
	__builtin_memcpy(&reply.ip.daddr, packet->key.source, 4);
	reply.ip.check = fold(bpf_csum_diff(NULL, 0, (__be32 *)&reply.ip, sizeof(reply.ip), 0));
	quote.icmp.check = fold(bpf_csum_diff(NULL, 0, (__be32 *)&quote, sizeof(quote), 0));
	reply.icmp = quote.icmp;
	return make_room(work->skb, packet, quoted, sizeof(reply)) &&
	       !bpf_skb_store_bytes(work->skb, packet->ip, &reply, sizeof(reply), 0);
}

INLINE int reply6(const struct work *work, const struct packet *packet, enum trouble trouble,
		  __u32 mtu)
{
	__u32 quoted = sizeof(struct ipv6hdr) + QUOTED;
	struct quote6 quote = {
		.length = bpf_htonl(sizeof(struct icmp_message) + quoted),
		.next = bpf_htonl(NEXT_ICMPV6),
		.icmp.type = trouble == TOO_BIG ? 2 : 3,
		.icmp.rest = trouble == TOO_BIG ? bpf_htonl(mtu) : 0,
	};
	struct reply6 reply = {
		.ip.version = 6,
		.ip.hop_limit = 64,
		.ip.nexthdr = NEXT_ICMPV6,
		.ip.payload_len = bpf_htons(sizeof(struct icmp_message) + quoted),
	};

	if (bpf_skb_load_bytes(work->skb, packet->ip, &quote.ip, quoted))
		return 0;
	__builtin_memcpy(quote.source, work->settings->router_v6, 16);
	__builtin_memcpy(quote.target, packet->key.source, 16);
	__builtin_memcpy(&reply.ip.saddr, quote.source, 16);
	__builtin_memcpy(&reply.ip.daddr, quote.target, 16);
	quote.icmp.check = fold(bpf_csum_diff(NULL, 0, (__be32 *)&quote, sizeof(quote), 0));
	reply.icmp = quote.icmp;
	return make_room(work->skb, packet, quoted, sizeof(reply)) &&
	       !bpf_skb_store_bytes(work->skb, packet->ip, &reply, sizeof(reply), 0);
}

INLINE void swap_hosts(struct __sk_buff *skb)
{
	__u8 hosts[12], swapped[12];

	if (bpf_skb_load_bytes(skb, 0, hosts, 12))
		return;
	__builtin_memcpy(swapped, hosts + 6, 6);
	__builtin_memcpy(swapped + 6, hosts, 6);
	bpf_skb_store_bytes(skb, 0, swapped, 12, 0);
}

/* Answer a packet: back to the LAN that it came from; out of a tunnel, by way of the LAN's
 * own steering, since its sender lies behind a tunnel too. */
INLINE int complain(const struct work *work, const struct packet *packet, enum trouble trouble,
		    __u32 mtu)
{
	enum outcome reply = trouble == TOO_BIG ? REPLY_TOO_BIG : REPLY_TIME_EXCEEDED;
	enum outcome silent = trouble == TOO_BIG ? DROP_TOO_BIG : DROP_TIME_EXCEEDED;
	struct __sk_buff *skb = work->skb;
	int made;

	if (work->origin == FROM_KERNEL || !may_answer(packet) ||
	    !may_afford(work, trouble))
		return drop(work, silent);
	if (packet->key.family == 4)
		made = reply4(work, packet, trouble, mtu);
	else
		made = reply6(work, packet, trouble, mtu);
	if (!made)
		return drop(work, silent);
	if (work->origin == FROM_LAN) {
		swap_hosts(skb);
		return finish(work, reply, bpf_redirect(skb->ifindex, 0));
	}
	skb->mark = MARK_HANDED_IN;
	return finish(work, reply, bpf_redirect(work->settings->lan_ifindex, BPF_F_INGRESS));
}
