"""Recordings: what an engine was told, what it decided, and the proof that it would again.

::

    agent ─► RecordedEngine ─► Recorder ─► files ─► replay ─► the same engine, told the same
             (each verb)       (bounded,             │
                                rotated)             └─► equal decisions, or the first difference

A file stands for itself: it begins with the overlay, the policy and the whole state of the
engine, so that older files may be deleted and the rest still replays exactly. (To keep the
first file for ever and the newest ones would leave a gap through which no state leads; to let
the engine forget at each rotation would change what it decides.) A file that was closed in
good order ends with a digest of the state then, and replay must arrive at that state.
"""
