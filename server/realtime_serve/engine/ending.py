"""How an engine process ends: the front end is told why, whatever the reason."""

from __future__ import annotations

import logging
from collections.abc import Callable

from realtime_serve.engine.link import FrontEndGone, Link
from realtime_serve.engine.messages import Failed
from realtime_serve.engine.shortage import reason_of
from realtime_serve.engine.worker import StepsFail
from realtime_serve.errors import EngineFailed

log = logging.getLogger("realtime_serve.engine")


def until_the_end(run: Callable[[Link], None], link: Link) -> int:
    """The process's exit status. Whatever ends it but the front end's own will is told first."""
    try:
        run(link)
    except FrontEndGone:
        return 0
    except EngineFailed as failure:
        return give_up(link, reason_of(failure, failure.reason), str(failure))
    except StepsFail as failure:
        return give_up(link, reason_of(failure, "StepsFail"), str(failure))
    except Exception as failure:  # nobody above would see it: tell the front end before the process ends
        log.exception("unexpected")
        return give_up(link, reason_of(failure, "EngineCrashed"), f"{type(failure).__name__}: {failure}")
    return 0


def give_up(link: Link, reason: str, message: str) -> int:
    log.error("engine failed", extra={"fields": {"reason": reason, "message": message}})
    try:
        link.send(Failed(reason, message))
    except FrontEndGone:
        return 1
    return 1
