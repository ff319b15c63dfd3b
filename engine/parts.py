"""The parts of an engine, put together in the order in which they need each other."""

from collections.abc import Callable
from dataclasses import dataclass

from patronus.engine.attention import Attention
from patronus.engine.configured import Configured
from patronus.engine.fanout import Fanout
from patronus.engine.fingerprint import U64
from patronus.engine.heralds import Heralds
from patronus.engine.knowledge import Knowledge
from patronus.engine.lanes import Lanes
from patronus.engine.meters import Meters
from patronus.engine.moves import Moves
from patronus.engine.narrative import Narrator
from patronus.engine.overlay import Overlay
from patronus.engine.policy import Policy
from patronus.engine.prospects import Prospects
from patronus.engine.ranking import Ranking
from patronus.engine.reach import Interpreter
from patronus.engine.selection import Selector
from patronus.engine.steering import Steering
from patronus.engine.transit import TransitWatch
from patronus.engine.tunnels import Tunnels


@dataclass(frozen=True, eq=False)
class Parts:
    """One of each."""

    meters: Meters
    configured: Configured
    tunnels: Tunnels
    ranking: Ranking
    knowledge: Knowledge
    steering: Steering
    transit: TransitWatch
    heralds: Heralds
    moves: Moves
    attention: Attention


def assemble(
    overlay: Overlay,
    policy: Policy,
    *,
    fates: U64 | None,
    sink: Callable[[bytes], object] | None,
    selector: Selector,
) -> Parts:
    """Build all parts; arguments are those of ``Engine``."""
    configured = Configured(policy, overlay.deciding)
    tunnels = Tunnels(overlay, policy, fates)
    ranking = Ranking(overlay, policy, configured)
    interpreter = Interpreter(overlay, policy)
    knowledge = Knowledge(overlay, policy, interpreter)
    prospects = Prospects(overlay, tunnels=tunnels, ranking=ranking, knowledge=knowledge)
    steering = Steering(
        overlay,
        policy,
        configured=configured,
        tunnels=tunnels,
        prospects=prospects,
        fanout=Fanout(
            overlay, prospects.candidates, tunnels=tunnels, ranking=ranking, knowledge=knowledge
        ),
        lanes=Lanes(
            overlay, prospects.candidates, tunnels=tunnels, ranking=ranking, knowledge=knowledge
        ),
        selector=selector,
    )
    heralds = Heralds(
        policy,
        interpreter=interpreter,
        steering=steering,
        tunnels=tunnels,
        ranking=ranking,
        knowledge=knowledge,
    )
    narrator = Narrator(overlay, policy, configured=configured, tunnels=tunnels, ranking=ranking)
    return Parts(
        meters=Meters(overlay.rows, policy),
        configured=configured,
        tunnels=tunnels,
        ranking=ranking,
        knowledge=knowledge,
        steering=steering,
        transit=TransitWatch(
            steering,
            configured=configured,
            tunnels=tunnels,
            ranking=ranking,
            knowledge=knowledge,
        ),
        heralds=heralds,
        moves=Moves(steering, tunnels, narrator, sink),
        attention=Attention(overlay),
    )
