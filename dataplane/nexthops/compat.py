"""The setting on which the speed of a switch depends (Linux, ip-sysctl: nexthop_compat_mode).

For listeners who know no next-hop objects the kernel tells of each route over an object that is
replaced, one message each: 46 ms at 100 k prefixes, where the switch itself takes 0.03. We put the
setting off and back as it was; programs that know such objects (FRR does) do not miss it.
"""

from pathlib import Path
from typing import Final

SETTING: Final = Path("/proc/sys/net/ipv4/nexthop_compat_mode")
ON: Final = "1"


def quieten(kept: Path) -> bool:
    """Put it off, and keep in a file that we did; tell whether it is off.

    Raises:
        OSError: the setting or the file cannot be written.
    """
    if SETTING.read_text().strip() == ON:
        kept.write_text(ON)
        SETTING.write_text("0")
    return SETTING.read_text().strip() != ON


def restore(kept: Path) -> bool:
    """Put it back if we put it off; tell whether that was so.

    Raises:
        OSError: the setting cannot be written.
    """
    if not kept.exists():
        return False
    SETTING.write_text(kept.read_text())
    kept.unlink()
    return True
