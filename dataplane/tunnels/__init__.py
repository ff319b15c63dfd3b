"""Tunnels to other sites: plain UDP, VXLAN and WireGuard behind one interface."""
