/* The last steps that packets from the LAN and packets in transit have in common: hop count,
 * size, MSS, headers, counters, out. All of them stand behind an Ethernet header. */
#pragma once

#include "flow.h"
#include "hop.h"
#include "icmp.h"

#define TCP_OPTION_END 0
#define TCP_OPTION_NOP 1
#define TCP_OPTION_MSS 2 /* RFC 9293 section 3.2 */

/* Count the hop down; the caller knows that there is one left. */
INLINE void count_hop(struct __sk_buff *skb, const struct packet *packet)
{
	struct cursor cursor = cursor_at(skb, ETH_HLEN);
	struct ipv6hdr *six;
	struct iphdr *four;
	__u32 check;

	if (packet->key.family == 4) {
		four = take(&cursor, sizeof(*four));
		if (!four)
			return;
		four->ttl--;
		check = four->check + bpf_htons(0x0100);
		four->check = check + (check >= 0xffff);
	} else {
		six = take(&cursor, sizeof(*six));
		if (six)
			six->hop_limit--;
	}
}

INLINE void write_mss(const struct work *work, const struct packet *packet, __u32 at, __be16 old,
		      __u16 most)
{
	__u32 check = packet->transport + offsetof(struct tcphdr, check);
	__be16 new = bpf_htons(most);

	if (bpf_ntohs(old) <= most)
		return;
	/* Behind an odd number of bytes the sum sees the halves the other way round. */
	if ((at - packet->transport) & 1)
		bpf_l4_csum_replace(work->skb, check, bpf_ntohs(old), most, sizeof(new));
	else
		bpf_l4_csum_replace(work->skb, check, old, new, sizeof(new));
	bpf_skb_store_bytes(work->skb, at, &new, sizeof(new), 0);
	note(work, NOTE_MSS_CLAMPED);
}

/* Segments of a new connection shall fit the tunnel. */
INLINE void clamp_mss(const struct work *work, const struct packet *packet, __u16 mtu)
{
	__u32 headers = (packet->key.family == 4 ? 20 : 40) + sizeof(struct tcphdr);
	__u32 at = packet->transport + sizeof(struct tcphdr);
	__u32 end = packet->transport + packet->tcp_words * 4;
	__u8 option[4];

	if (!packet->syn || mtu <= headers)
		return;
	for (int i = 0; i < 10; i++) {
		if (at + sizeof(option) > end ||
		    bpf_skb_load_bytes(work->skb, at, option, sizeof(option)))
			return;
		if (option[0] == TCP_OPTION_MSS) {
			write_mss(work, packet, at + 2, *(__be16 *)(option + 2), mtu - headers);
			return;
		}
		if (option[0] == TCP_OPTION_END || (option[0] != TCP_OPTION_NOP && option[1] < 2))
			return;
		at += option[0] == TCP_OPTION_NOP ? 1 : option[1];
	}
}

/* Send a packet over the tunnel that was chosen for it.
 *
 * size: of the IP packet, before anything is put on; overlay: with class, destination, budget.
 */
INLINE int forward(const struct work *work, const struct packet *packet,
		   const struct choice *choice, struct overlay *overlay)
{
	__u32 row = choice->row - 1, size = size_of(work->skb, packet);
	struct tunnel *tunnel = tunnel_of(row);
	int action;
	__u8 twins;

	if (!tunnel)
		return drop(work, DROP_NO_PATH);
	if (size > tunnel->mtu) {
		if (packet->may_fragment && work->origin == FROM_LAN)
			return pass(work, PASS_TO_FRAGMENT);
		return complain(work, packet, TOO_BIG, tunnel->mtu);
	}
	clamp_mss(work, packet, tunnel->mtu);
	if (work->origin != FROM_KERNEL)
		count_hop(work->skb, packet);
	twins = twins_of(tunnel);
	if (!wrap(work, packet, tunnel, twins, overlay))
		return drop(work, DROP_NO_ROOM);
	__sync_fetch_and_add(&tunnel->tx_packets[bucket_of(size) & 3], work->pieces);
	count(work, COUNT_TUNNEL + 2 * row);
	action = send(work, tunnel, twins);
	if (action == TC_ACT_SHOT)
		return drop(work, DROP_NO_ROUTE);
	return finish(work, choice->outcome, action);
}
