"""The liveness machine told as rules instead of a table."""


class Machine:
    """One tunnel; states, inputs and actions are named by their words."""

    def __init__(self, state: str) -> None:
        self.state = state

    def take(self, given: str) -> str:
        """Take one input and return the name of the action."""
        if given == "ADMIN_DOWN":
            return self._leave("ADMIN_DOWN")
        if self.state == "ADMIN_DOWN":
            if given == "ADMIN_UP":
                self.state = "DOWN"
            return "NONE"
        if given in {"EXPIRE", "CARRIER_LOST"}:
            return self._leave("DOWN")
        if given == "CONFIRM" and self.state == "DOWN":
            self.state = "INIT"
            return "START_HOLD"
        if given == "HOLD_ELAPSED" and self.state == "INIT":
            self.state = "UP"
            return "GO_UP"
        return "NONE"

    def _leave(self, to: str) -> str:
        before, self.state = self.state, to
        return {"UP": "GO_DOWN", "INIT": "CANCEL_HOLD"}.get(before, "NONE")
