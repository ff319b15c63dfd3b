/* Steering: from the LAN into tunnels.
 *
 * steer_lan sits at the ingress of LAN devices, steer_out at the egress of the overlay
 * device, where the kernel's own packets and those that its firewall has let through come by.
 */
#include "forward.h"

INLINE int steer_packet(struct work *work, struct packet *packet)
{
	struct overlay overlay = { .flags = OVERLAY_BUDGET };
	struct decision decision = {};
	struct choice choice;
	__u64 word = 0;

	if (packet->first || packet->later)
		follow_fragments(work, packet);
	if (!decide(work, packet, &decision))
		return pass(work, PASS_NO_DESTINATION);
	if (decision.flags & DESTINATION_LOCAL)
		return pass(work, PASS_LOCAL);
	if (work->origin == FROM_LAN && work->settings->flags & SETTING_MARK) {
		work->skb->mark = work->settings->mark + decision.class;
		return pass(work, PASS_MARKED);
	}
	if (work->origin == FROM_LAN && packet->ttl <= 1)
		return complain(work, packet, TIME_EXCEEDED, 0);
	count(work, COUNT_CLASS + (decision.class & (CLASSES_MAX - 1)));
	count(work, COUNT_RULE + (decision.rule <= RULES_MAX ? decision.rule : RULES_MAX));
	choice = steer_entry(work, decision.destination * work->settings->classes + decision.class,
			     &word);
	share(work, decision.hash, word, &choice);
	if (decision.place.flow && is_pinned(work, decision.class))
		pin(work, &decision, word, &choice);
	remember(work, packet, &decision, &choice);
	if (choice.row == NO_ROW)
		return drop(work, choice.outcome);
	overlay.class = decision.class;
	overlay.destination = bpf_htons(decision.destination);
	if (work->skb->vlan_present)
		bpf_skb_vlan_pop(work->skb);
	return forward(work, packet, &choice, &overlay);
}

INLINE int steer_frame(struct __sk_buff *skb, enum origin origin)
{
	struct packet *packet = blank_packet();
	struct ethhdr *ethernet;
	struct cursor cursor;
	struct work work;
	__u8 family;

	if (!packet || !begin_untimed(&work, skb, origin))
		return TC_ACT_UNSPEC;
	reach(skb, 128);
	cursor = cursor_at(skb, 0);
	ethernet = take(&cursor, sizeof(*ethernet));
	if (!ethernet)
		return pass(&work, PASS_MALFORMED);
	if (ethernet->h_dest[0] & 1)
		return pass(&work, PASS_MULTICAST);
	if (origin == FROM_LAN && skb->pkt_type != PACKET_HOST && skb->mark != MARK_HANDED_IN)
		return pass(&work, PASS_OTHER_HOST);
	if (ethernet->h_proto == bpf_htons(ETH_P_IP))
		family = 4;
	else if (ethernet->h_proto == bpf_htons(ETH_P_IPV6))
		family = 6;
	else
		return pass(&work, PASS_NOT_IP);
	if (!parse_ip(skb, family, ETH_HLEN, packet))
		return pass(&work, PASS_MALFORMED);
	work.pieces = pieces_of(skb, packet);
	if (is_multicast(packet))
		return pass(&work, PASS_MULTICAST);
	if (is_link_local(packet))
		return pass(&work, PASS_LOCAL);
	return steer_packet(&work, packet);
}

int steer_lan(struct __sk_buff *skb)
{
	return steer_frame(skb, FROM_LAN);
}

int steer_out(struct __sk_buff *skb)
{
	return steer_frame(skb, FROM_KERNEL);
}

/* What every packet costs before a program has done anything: the benchmarks' zero. */
int empty(struct __sk_buff *skb)
{
	return TC_ACT_UNSPEC;
}
