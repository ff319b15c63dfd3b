"""What RFC 5880 says of a received packet and of a session's state, case by case."""


def refusal(data: bytes) -> str | None:
    """Return why 6.8.6 refuses a payload before any session is looked for, None if it does not.

    The packet is read as one long string of bits.
    """
    bits = "".join(f"{octet:08b}" for octet in data).ljust(24 * 8, "0")

    def field(start: int, width: int) -> int:
        return int(bits[start : start + width], 2)

    least = 26 if bits[13] == "1" else 24
    broken = {
        "payload_short": len(data) < 4,
        "version": bits[:3] != "001",
        "length_short": field(24, 8) < least,
        "length_long": field(24, 8) > len(data),
        "detect_mult_zero": field(16, 8) == 0,
        "multipoint": bits[15] == "1",
        "my_discriminator_zero": field(32, 32) == 0,
        "your_discriminator_zero": field(64, 32) == 0 and bits[8:10] in ("10", "11"),
    }
    return next((reason for reason, is_so in broken.items() if is_so), None)


def state_after(ours: str, heard: str) -> tuple[str, bool]:
    """Return the state after a packet, and whether the peer took the session down."""
    if ours == "AdminDown":
        return ours, False
    if heard == "AdminDown":
        return "Down", ours != "Down"
    if ours == "Down":
        if heard == "Down":
            return "Init", False
        if heard == "Init":
            return "Up", False
        return "Down", False
    if ours == "Init":
        return ("Up", False) if heard in ("Init", "Up") else ("Init", False)
    return ("Down", True) if heard == "Down" else ("Up", False)
