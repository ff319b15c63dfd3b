"""Why something that arrived is not believed: each reason has a counter of its own."""

from enum import StrEnum


class Reason(StrEnum):
    """One reason for each way in which a datagram can be wrong."""

    TRUNCATED = "truncated"
    """It ends before its fields do."""
    OVERSIZED = "oversized"
    """Longer than any datagram of ours."""
    TRAILING = "trailing"
    """It goes on after its end."""
    NOT_OURS = "not-ours"
    """Another magic: some other protocol."""
    VERSION = "version"
    KIND = "kind"
    NAME = "name"
    """A name is empty or not UTF-8."""
    BODY = "body"
    """A field of the body has a value that no sender of ours writes."""
    LIMITED = "limited"
    """Its source sent too much that could not be verified."""
    NOT_ENROLLED = "not-enrolled"
    """A site that is neither pinned nor has shown a certificate."""
    WRONG_KEY = "wrong-key"
    """The name of an enrolled site under another key."""
    OWN_ECHO = "own-echo"
    """A datagram of ours came back."""
    TWIN = "twin"
    """Another machine signs with our key now."""
    OWN_NAME = "own-name"
    """Our name under another key."""
    OWN_KEY = "own-key"
    """Our key under another name."""
    SIGNATURE = "signature"
    EXPIRED = "expired"
    """The certificate is past its end."""
    CERTIFICATE = "certificate"
    """Not signed by the operator, or of another site than it came from."""
    CERTIFICATE_OLD = "certificate-old"
    """A newer certificate of that site is known."""
    KEY_TAKEN = "key-taken"
    """Another site is enrolled with that key."""
    FULL = "full"
    """As many sites are enrolled as there is room for."""
    REPLAYED = "replayed"
    """A counter that does not grow."""
    DUPLICATE = "duplicate"
    """The whole of it has arrived before; it is acknowledged again."""
    UNPROVEN = "unproven"
    """Nothing proves that it was made since we started."""
    INCONSISTENT = "inconsistent"
    """Two pieces of one announcement disagree on its length."""
    ANNOUNCEMENT = "announcement"
    """Its pieces make no announcement."""
    FOREIGN = "foreign"
    """A site speaks for another one."""


class Refused(Exception):
    """What arrived is not believed."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason
