"""An HTTP service that writes the events it receives to S3."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import BackgroundTasks, FastAPI, Header, HTTPException, Request, Response

from batcher import (
    Batcher,
    BatcherError,
    BudgetFullError,
    ObjectStore,
    PoisonRecordError,
    Receipt,
    RetryableError,
    Settings,
    Ticket,
)

LOGGER = logging.getLogger("uvicorn.error")


def create_app(store: ObjectStore | None = None) -> FastAPI:
    """Create the app. Its settings are environment variables; a test may pass a store."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        settings = Settings.from_env(linger_s=0.5, on_bad_record="fail")
        async with Batcher(settings, store=store, on_cancel="drain") as app.state.batcher:
            yield
        # All events that were accepted are durable now, or the line above has raised

    app = FastAPI(lifespan=lifespan)
    app.post("/events")(receive)
    return app


async def receive(
    request: Request, response: Response, tasks: BackgroundTasks, prefer: str = Header("")
) -> dict[str, str]:
    """Take one event. Answer 200 when it is durable, or with `Prefer: respond-async` 202 at once.

    After a 202 the event is lost if this process is killed before it is written.
    """
    batcher: Batcher = request.app.state.batcher
    try:
        ticket = batcher.submit_nowait(await request.body())
        if prefer == "respond-async" and not ticket.bad:
            tasks.add_task(log_failure, ticket)
            response.status_code = 202
            return {}
        return {"key": (await ticket).key}
    except PoisonRecordError as error:
        raise HTTPException(422, str(error)) from error
    except BudgetFullError as error:  # events come faster than S3 takes them
        raise HTTPException(503, str(error), {"Retry-After": "1"}) from error
    except RetryableError as error:  # S3 is down
        raise HTTPException(503, str(error), {"Retry-After": "10"}) from error


async def log_failure(ticket: Ticket[Receipt]) -> None:
    """Wait until an event that was answered with 202 is durable, and log if it is not."""
    try:
        await ticket
    except BatcherError:
        LOGGER.exception("an accepted event is lost")
