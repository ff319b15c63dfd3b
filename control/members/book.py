"""Who is enrolled: names and keys, pinned in the configuration or certified by the operator.

- A pinned key is the only one of its name, whatever a certificate says.
- Any number of certificates may have been issued for a name; the highest serial stands.
- No key stands for two names, and ours for nobody else.

There is room for :data:`SITES_MAX` sites; nothing that is not signed by the operator
takes any of it.
"""

from collections.abc import Mapping
from typing import Final

from patronus.control.members.certificate import Certificate
from patronus.control.members.identity import PublicKey
from patronus.control.members.reason import Reason, Refused
from patronus.engine.units import SECOND

SITES_MAX: Final = 4096
"""Four times the thousand sites that an overlay is made for."""

GRACE_S: Final = 3600
"""A certificate is believed for so long after its end: a clock may have jumped by an hour."""


class EnrolmentError(ValueError):
    """The configuration enrols sites in a way that cannot be meant; the message says how."""


class Book:
    """The keys of other sites."""

    def __init__(
        self,
        name: str,
        own: PublicKey,
        *,
        pinned: Mapping[str, PublicKey],
        operator: PublicKey | None = None,
    ) -> None:
        """Open the book of one site.

        Raises:
            EnrolmentError: names or keys are pinned that exclude each other.
        """
        self.name, self.own, self._operator = name, own, operator
        self._pinned = {site: key for site, key in pinned.items() if site != name}
        self.certificates: dict[str, Certificate] = {}
        self._names = {key.raw: site for site, key in self._pinned.items()}
        self._check(pinned)

    def _check(self, pinned: Mapping[str, PublicKey]) -> None:
        if len(self._pinned) > SITES_MAX:
            raise EnrolmentError(f"more than {SITES_MAX} sites are pinned")
        if pinned.get(self.name, self.own) != self.own:
            raise EnrolmentError(
                f"{self.name} is this site, but another key is pinned for it than the one "
                f"it has ({self.own.text})"
            )
        for site, key in self._pinned.items():
            if key == self.own:
                raise EnrolmentError(f"{site} is pinned with the key of this site, {self.name}")
            if self._names[key.raw] != site:
                raise EnrolmentError(f"{site} and {self._names[key.raw]} have the same key")

    def __contains__(self, site: str) -> bool:
        """Return whether a site is enrolled."""
        return site in self._pinned or site in self.certificates

    def __len__(self) -> int:
        """Return how many sites are enrolled."""
        # No name is in both: who is pinned is not admitted by a certificate.
        return len(self._pinned) + len(self.certificates)

    def sites(self) -> list[str]:
        """Return the names of those who are enrolled, ascending."""
        return sorted({*self._pinned, *self.certificates})

    def key(self, site: str) -> PublicKey:
        """Return the key that a site is believed under.

        Raises:
            Refused: it is not enrolled.
        """
        if site in self._pinned:
            return self._pinned[site]
        if site in self.certificates:
            return self.certificates[site].public
        raise Refused(Reason.NOT_ENROLLED)

    def check_date(self, site: str, wall_ns: int) -> None:
        """Assert that a site's enrolment has not ended.

        Raises:
            Refused: it has.
        """
        if site not in self._pinned:
            _check_date(self.certificates[site], wall_ns)

    def judge(self, certificate: Certificate, wall_ns: int) -> bool:
        """Return whether a certificate tells anything that is not known.

        Raises:
            Refused: it is not to be believed.
        """
        if not self._is_news(certificate):
            return False
        _check_date(certificate, wall_ns)
        return True

    def _is_news(self, certificate: Certificate) -> bool:
        if certificate == self.certificates.get(certificate.name):
            return False
        if certificate.name == self.name:
            raise Refused(Reason.OWN_NAME)
        if certificate.public == self.own:
            raise Refused(Reason.OWN_KEY)
        if certificate.name in self._pinned:
            if certificate.public != self._pinned[certificate.name]:
                raise Refused(Reason.WRONG_KEY)
            return False
        if not self._outranks(certificate):
            return False
        if self._operator is None or not certificate.signed_by(self._operator):
            raise Refused(Reason.CERTIFICATE)
        return True

    def _outranks(self, certificate: Certificate) -> bool:
        if self._names.get(certificate.public.raw, certificate.name) != certificate.name:
            raise Refused(Reason.KEY_TAKEN)
        known = self.certificates.get(certificate.name)
        if known is None:
            if len(self) >= SITES_MAX:
                raise Refused(Reason.FULL)
            return True
        if certificate.serial > known.serial:
            return True
        # An older certificate of the same key is harmless: a site shows what it was given.
        if certificate.public != known.public:
            raise Refused(Reason.CERTIFICATE_OLD)
        return False

    def admit(self, certificate: Certificate, wall_ns: int) -> bool:
        """Enrol a site if its certificate is to be believed; return whether its key is new.

        Raises:
            Refused: it is not to be believed.
        """
        return self.judge(certificate, wall_ns) and self._enter(certificate)

    def recall(self, certificate: Certificate) -> None:
        """Enrol a site as it was before we started, also if its certificate has ended since.

        That one outranks older ones for ever: the key of those may have been stolen.

        Raises:
            Refused: the operator, or what is pinned, has changed meanwhile.
        """
        if self._is_news(certificate):
            self._enter(certificate)

    def _enter(self, certificate: Certificate) -> bool:
        known = self.certificates.get(certificate.name)
        if known is not None:
            del self._names[known.public.raw]
        self._names[certificate.public.raw] = certificate.name
        self.certificates[certificate.name] = certificate
        return known is None or known.public != certificate.public


def _check_date(certificate: Certificate, wall_ns: int) -> None:
    if wall_ns > (certificate.not_after_s + GRACE_S) * SECOND:
        raise Refused(Reason.EXPIRED)
