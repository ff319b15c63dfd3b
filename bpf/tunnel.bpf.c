/* Arrival: from tunnels to the LAN, or over one more tunnel.
 *
 * tunnel_ether sits at the ingress of devices with Ethernet headers (the transports
 * themselves for plain tunnels, VXLAN devices), tunnel_ip at that of WireGuard devices.
 */
#include "forward.h"
#include "handin.h"
#include "probe.h"

/* What arrived, before it is unwrapped. */
struct arrival {
	struct overlay overlay;
	__u8 from[16];
	__u8 to[16];
	__u32 ether; /* offset of the outer IP header */
	int six;
	__u32 row;
	__u32 size;  /* of the inner packet */
};

/* Find our header; 0 for packets that are none of ours. */
INLINE int parse_outer(const struct work *work, struct arrival *arrival)
{
	struct cursor cursor = cursor_at(work->skb, arrival->ether);
	struct overlay *overlay;
	struct udphdr *udp;

	if (arrival->six) {
		struct ipv6hdr *ip = take(&cursor, sizeof(*ip));

		if (!ip || ip->nexthdr != IPPROTO_UDP)
			return 0;
		__builtin_memcpy(arrival->from, &ip->saddr, 16);
		__builtin_memcpy(arrival->to, &ip->daddr, 16);
	} else {
		struct iphdr *ip = take(&cursor, sizeof(*ip));

		if (!ip || ip->ihl != 5 || ip->protocol != IPPROTO_UDP ||
		    ip->frag_off & bpf_htons(IP_MORE | IP_OFFSET))
			return 0;
		copy_address4(arrival->from, &ip->saddr);
		copy_address4(arrival->to, &ip->daddr);
	}
	udp = take(&cursor, sizeof(*udp));
	if (!udp || udp->dest != work->settings->port)
		return 0;
	overlay = take(&cursor, sizeof(*overlay));
	if (overlay)
		arrival->overlay = *overlay;
	else
		arrival->overlay.version_inner = 0;
	return 1;
}

/* Compare ends; but: bits of their second half that may differ. */
INLINE int same_end(const __u8 *one, const __u8 *other, __u64 but)
{
	const __u64 *a = (const __u64 *)one, *b = (const __u64 *)other;

	return a[0] == b[0] && !((a[1] ^ b[1]) & ~but);
}

/* Inside WireGuard either key of either end will do: it has found the packet to be of a key that
 * this very address belongs to. */
INLINE __u64 either_key(const struct tunnel *tunnel)
{
	return tunnel->kind == KIND_WIREGUARD ? (__u64)bpf_htonl(1) << 32 : 0;
}

/* Check that the packet is of the tunnel that it names; OUTCOMES means that it is. */
INLINE enum outcome doubt(const struct arrival *arrival, const struct tunnel *tunnel)
{
	__u64 session = (__u64)bpf_ntohl(arrival->overlay.session[0]) << 32 |
			bpf_ntohl(arrival->overlay.session[1]);

	if (!tunnel || !(tunnel->flags & TUNNEL_IN_USE))
		return DROP_BAD_TUNNEL;
	if (!(tunnel->flags & TUNNEL_IPV6) != !arrival->six ||
	    !same_end(arrival->from, tunnel->remote, either_key(tunnel)) ||
	    !same_end(arrival->to, tunnel->local, either_key(tunnel)))
		return DROP_BAD_ADDRESS;
	if (session != tunnel->session_in)
		return DROP_BAD_SESSION;
	return OUTCOMES;
}

/* Frames for redirection need an Ethernet header; on other devices a blank one is made. */
INLINE int make_ether(const struct work *work, struct packet *packet)
{
	if (packet->ip)
		return 1;
	if (bpf_skb_change_head(work->skb, ETH_HLEN, 0))
		return 0;
	packet->ip += ETH_HLEN;
	packet->transport += ETH_HLEN;
	set_ether(work->skb, ether_type(packet));
	return 1;
}

INLINE int deliver_to_stack(const struct work *work, struct packet *packet)
{
	if (!work->settings->overlay_ifindex)
		return pass(work, DELIVER_STACK);
	return make_ether(work, packet) ? hand_in(work) : drop(work, DROP_NO_ROOM);
}

/* Find the way to a host of the LAN; 0 for an address of this host, or without a route. */
INLINE int find_way(const struct work *work, const struct packet *packet, struct lan_hop *place,
		    struct bpf_fib_lookup *way)
{
	const struct flow_key *key = &packet->key;
	long failed = look_up(work, way, key->family, key->source, key->target, 0, 0);

	if (!failed && place)
		remember_way(work, packet, place, way);
	if (failed == BPF_FIB_LKUP_RET_NO_NEIGH)
		failed = look_up(work, way, key->family, key->source, key->target, 0,
				 FIB_LOOKUP_SKIP_NEIGH);
	return !failed;
}

INLINE int deliver(const struct work *work, struct packet *packet)
{
	struct lan_hop *place = place_of_hop(packet);
	struct bpf_fib_lookup way;
	struct hop hop;
	int known;

	if (!(work->settings->flags & SETTING_DELIVER) || packet->ttl <= 1 || is_multicast(packet))
		return deliver_to_stack(work, packet);
	known = place && knows_way(work, packet, place, &hop);
	if (!known && !find_way(work, packet, place, &way))
		return deliver_to_stack(work, packet);
	if (!make_ether(work, packet))
		return drop(work, DROP_NO_ROOM);
	count_hop(work->skb, packet);
	return finish(work, DELIVER_LAN,
		      known ? leave_by(work, &hop, ether_type(packet)) : go(&way));
}

INLINE int transit(const struct work *work, struct packet *packet, const struct arrival *arrival,
		   __u32 destination)
{
	struct overlay overlay = { .class = arrival->overlay.class };
	struct choice choice;

	if (!(arrival->overlay.flags & OVERLAY_BUDGET))
		return drop(work, TRANSIT_NO_BUDGET);
	choice = steer_transit(work, destination * work->settings->classes + overlay.class);
	if (choice.row == NO_ROW)
		return drop(work, choice.outcome);
	if (!make_ether(work, packet))
		return drop(work, DROP_NO_ROOM);
	if (packet->ttl <= 1)
		return complain(work, packet, TIME_EXCEEDED, 0);
	overlay.destination = bpf_htons(destination);
	return forward(work, packet, &choice, &overlay);
}

INLINE int receive(const struct work *work, const struct arrival *arrival,
		   const struct tunnel *tunnel)
{
	__u8 inner = arrival->overlay.version_inner & 15;
	struct destination destination;
	struct packet *packet = blank_packet();

	/* The kernel takes off no more than leaves an IP header. */
	if (!packet || !unwrap(work->skb, arrival->ether, arrival->six, inner))
		return drop(work, DROP_BAD_INNER);
	reach(work->skb, 128);
	if (!parse_ip(work->skb, inner == INNER_IPV6 ? 6 : 4, arrival->ether, packet))
		return drop(work, DROP_BAD_INNER);
	if (!find_destination(work, &packet->key, packet->key.target, &destination))
		return drop(work, TRANSIT_NO_DESTINATION);
	if (!(destination.flags & DESTINATION_LOCAL))
		return transit(work, packet, arrival, destination.index);
	if (is_pinned(work, arrival->overlay.class) && !packet->later)
		pin_return(work, packet, arrival->row);
	clamp_mss(work, packet, tunnel->mtu);
	return deliver(work, packet);
}

INLINE void stamp(const struct work *work, const struct arrival *arrival, struct tunnel *tunnel)
{
	const struct overlay *overlay = &arrival->overlay;

	arrive(work, tunnel, bpf_ntohl(overlay->sequence), overlay->flags & OVERLAY_HEARS,
	       overlay->segments, 0);
	tunnel->rx_packets[bucket_of(arrival->size) & 3] += work->pieces;
	count(work, COUNT_TUNNEL + 2 * arrival->row + 1);
}

INLINE int accept(struct work *work, struct arrival *arrival)
{
	__u32 outer = arrival->six ? sizeof(struct outer6) : sizeof(struct outer4);
	__u8 inner = arrival->overlay.version_inner & 15;
	struct tunnel *tunnel;
	enum outcome wrong;

	if (arrival->overlay.version_inner >> 4 != OVERLAY_VERSION)
		return drop(work, DROP_BAD_HEADER);
	arrival->row = bpf_ntohs(arrival->overlay.tunnel);
	tunnel = tunnel_of(arrival->row);
	wrong = doubt(arrival, tunnel);
	if (wrong != OUTCOMES || !tunnel)
		return drop(work, wrong);
	/* One large packet stands for several here, if the device never cut it. */
	if (work->skb->gso_size)
		work->pieces = arrival->overlay.segments;
	arrival->size = work->skb->gso_size ? work->skb->gso_size
					    : work->skb->len - arrival->ether - outer;
	if (inner == INNER_STAMP)
		return probe_received(work, tunnel, arrival->row, arrival->ether + outer,
				      &arrival->overlay);
	if (inner != INNER_IPV4 && inner != INNER_IPV6)
		return drop(work, DROP_BAD_INNER);
	stamp(work, arrival, tunnel);
	return receive(work, arrival, tunnel);
}

INLINE int arrive_at(struct __sk_buff *skb, __u32 ether)
{
	struct arrival arrival = { .ether = ether };
	struct work work;

	if (!begin(&work, skb, FROM_TUNNEL))
		return TC_ACT_UNSPEC;
	reach(skb, ether + sizeof(struct outer6));
	arrival.six = skb->protocol == bpf_htons(ETH_P_IPV6);
	if (skb->pkt_type != PACKET_HOST ||
	    (!arrival.six && skb->protocol != bpf_htons(ETH_P_IP)) || !parse_outer(&work, &arrival))
		return pass(&work, PASS_NOT_OVERLAY);
	return accept(&work, &arrival);
}

int tunnel_ether(struct __sk_buff *skb)
{
	return arrive_at(skb, ETH_HLEN);
}

int tunnel_ip(struct __sk_buff *skb)
{
	return arrive_at(skb, 0);
}
