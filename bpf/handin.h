/* Packets out of tunnels that the kernel itself takes on: to this machine, or to be forwarded
 * in mode mark. They are handed in at the overlay device, by which the kernel's routes lead back
 * to where they come from: a strict reverse path check passes them, and its firewall sees them
 * come in where the answers go out. */
#pragma once

#include "wrap.h"

/* Of the overlay device: control/agent/overlaydev.py gives it this address. Frames to another
 * one would be somebody else's. */
#define OVERLAY_MAC { 0x02, 'P', 'a', 't', 'r', 'n' }

INLINE int hand_in(const struct work *work)
{
	const __u8 mac[ETH_ALEN] = OVERLAY_MAC;

	bpf_skb_store_bytes(work->skb, 0, mac, sizeof(mac), 0);
	return finish(work, DELIVER_STACK,
		      bpf_redirect(work->settings->overlay_ifindex, BPF_F_INGRESS));
}
