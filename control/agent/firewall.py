"""Forward and NAT rules that redirected packets would pass by (DATAPLANE 7).

``tc redirect`` takes packets past nftables. So where the firewall has a say in what is
forwarded, redirecting is refused unless the configuration accepts it.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any, Final

HOOKS: Final = frozenset({"forward"})
NAT: Final = "nat"
_SECONDS: Final = 10


def bypassed() -> list[str]:
    """Return the chains with rules that redirected packets would not see.

    Without ``nft`` nothing can be told of them: the kernel shows them to nobody else.
    """
    program = shutil.which("nft")
    if program is None:
        return []
    try:
        done = subprocess.run(
            [program, "-j", "list", "ruleset"],
            capture_output=True, text=True, timeout=_SECONDS, check=False,
        )  # fmt: skip
        return sorted(set(concerned(json.loads(done.stdout or "{}").get("nftables", []))))
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return []


def concerned(ruleset: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the chains that forward or translate, and do something about it."""
    chains = {_key(e["chain"]): e["chain"] for e in ruleset if "chain" in e}
    for key, chain in chains.items():
        if chain.get("hook") in HOOKS and chain.get("policy") == "drop":
            yield " ".join(key)
    for each in ruleset:
        rule = each.get("rule")
        if rule is None:
            continue
        key = rule["family"], rule["table"], rule["chain"]
        chain = chains.get(key, {})
        if chain.get("hook") in HOOKS or (chain.get("type") == NAT and chain.get("hook")):
            yield " ".join(key)


def _key(chain: dict[str, Any]) -> tuple[str, str, str]:
    return chain["family"], chain["table"], chain["name"]
