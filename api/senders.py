"""WhatsApp accounts that write. Their secrets go in and never come out."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import Field

from api.auth import needs
from api.bodies import Body, Shown
from api.deps import Id, Now, PlatformDep, Secret, Str, Tx
from api.errors import documented
from api.idempotent import DOCUMENTED, Once, Signed
from api.pages import Named, Page, PlaceDep, page
from core import health, senders, template_sync, watchdog

router = APIRouter(prefix="/api/v3/senders", tags=["senders"], route_class=Once)
asking = APIRouter(prefix="/api/v3/senders", tags=["senders"], route_class=Signed)

_NumberId = Annotated[Str, Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_.-]+$")]


_WarmUp = Annotated[list[Annotated[int, Field(ge=1, le=2**31 - 1)]], Field(min_length=1, max_length=90)]
_JITTER = "Each message leaves up to this share of the time between two later than its slot, and half a second at most."
_WARM_UP = "New conversations at most on each of the first days, from today; never fewer than the day before."


class SenderIn(Body):
    """An account of the WhatsApp Cloud API. All of it is found in Meta's App Dashboard."""

    name: Annotated[Str, Field(min_length=1, max_length=100)] = Field(examples=["Shop"])
    phone_number_id: _NumberId = Field(examples=["106540352242922"])
    waba_id: _NumberId = Field(description="The WhatsApp Business Account's id.", examples=["102290129340398"])
    access_token: Secret = Field(description="Kept encrypted; never shown again.")
    app_secret: Secret = Field(description="Checks the signature of WhatsApp's webhooks.")
    verify_token: Secret = Field(description="Any text of your own, given to Meta with the webhook's address.")
    rate: float = Field(default=80, gt=0, le=senders.MAX_RATE, description="Messages per second at most.")
    daily_cap: int | None = Field(
        default=None, ge=1, le=2**31 - 1, description="Messages in any 24 hours; null for no limit of ours."
    )
    conversation_cap: int | None = Field(
        default=None,
        ge=1,
        le=2**31 - 1,
        description="New conversations in any 24 hours (Meta's tier).",
        examples=[2000],
    )
    jitter: float = Field(default=0, ge=0, le=1, description=_JITTER, examples=[0.3])
    warm_up: _WarmUp | None = Field(default=None, description=_WARM_UP, examples=[[50, 100, 200, 400]])


class SenderChange(Body):
    """What is not named stays as it is; null takes a limit away."""

    rate: float = Field(default=80, gt=0, le=senders.MAX_RATE, description="Messages per second at most.")
    daily_cap: int | None = Field(default=None, ge=1, le=2**31 - 1, examples=[5000])
    conversation_cap: int | None = Field(default=None, ge=1, le=2**31 - 1, examples=[2000])
    jitter: float = Field(default=0, ge=0, le=1, description=_JITTER, examples=[0.3])
    warm_up: _WarmUp | None = Field(default=None, description=_WARM_UP, examples=[[50, 100, 200, 400]])


class SenderOut(Shown):
    """A sender, without its secrets."""

    id: int = Field(examples=[1])
    name: str = Field(examples=["Shop"])
    kind: str = Field(examples=["cloud"])
    phone_number_id: str = Field(examples=["106540352242922"])
    waba_id: str = Field(examples=["102290129340398"])
    state: Literal["active", "paused", "blocked", "suspect"]
    state_reason: str = Field(description="Why it is not active.", examples=["token_expired"])
    rate: float = Field(examples=[80])
    daily_cap: int | None
    conversation_cap: int | None = Field(examples=[2000])
    jitter: float = Field(examples=[0.3])
    warm_up: dict[str, str | list[int]] | None = Field(examples=[{"began": "2026-11-20", "per_day": [50, 100]}])
    tier: str | None = Field(description="What WhatsApp said last.", examples=["TIER_2K"])
    quality: str | None = Field(description="What WhatsApp said last.", examples=["GREEN"])
    checked_at: datetime | None = Field(description="When WhatsApp was asked last.")
    created_at: datetime


class HealthOut(Shown):
    """What WhatsApp says of the account."""

    ok: bool
    detail: str = Field(description="What is wrong, where something is.")
    display_phone: str | None
    verified_name: str | None
    quality: str | None = Field(examples=["GREEN"])
    tier: str | None = Field(examples=["TIER_2K"])
    state: str = Field(description="Ours; `suspect` where it sends and no receipts come back.", examples=["active"])
    budget: "BudgetOut"


class BudgetOut(Shown):
    """What the sender has left in the moving 24 hours; null where nothing limits it."""

    messages_left: int | None = Field(examples=[4200])
    conversations_left: int | None = Field(examples=[1800])
    last_sent_at: datetime | None
    last_receipt_at: datetime | None = Field(description="The newest of its last messages.")


class ProblemOut(Shown):
    """A template that is at WhatsApp and cannot be sent from here."""

    name: str = Field(examples=["spring_offer"])
    language: str = Field(examples=["ar"])
    message: str = Field(examples=["It has a variable in a button's address, which cannot be filled in from here."])


class SyncedOut(Shown):
    """What a sync changed; counts languages of templates."""

    created: int = Field(examples=[3])
    updated: int = Field(examples=[1])
    deleted: int = Field(description="Gone at WhatsApp; kept here, marked.", examples=[0])
    problems: list[ProblemOut]


class TokenIn(Body):
    """A new access token."""

    access_token: Secret


class PauseIn(Body):
    """Why."""

    reason: Annotated[Str, Field(max_length=200)] = Field(default="", examples=["number under review"])


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(needs("senders.manage"))],
    responses=documented(409),
    openapi_extra=DOCUMENTED,
)
async def create_sender(body: SenderIn, platform: PlatformDep, tx: Tx, now: Now) -> SenderOut:
    """Add an account. Then give Meta the webhook address `/webhooks/cloud/{id}` and the verify token."""
    given = body.model_dump()
    for name in ("access_token", "app_secret", "verify_token"):
        given[name] = given[name].get_secret_value()
    return SenderOut.model_validate(await senders.create(tx, platform.key, **given, at=now))


@router.get("", dependencies=[Depends(needs("senders.read"))], responses=documented())
async def list_senders(tx: Tx, place: PlaceDep, name: Named = None) -> Page[SenderOut]:
    """All senders."""
    rows = await senders.listed(tx, after=place.after, limit=place.limit, name=name)
    return page(rows, place, id_of=lambda row: row.id, show=SenderOut.model_validate)


@router.get("/{sender_id}", dependencies=[Depends(needs("senders.read"))], responses=documented(404))
async def get_sender(sender_id: Id, tx: Tx) -> SenderOut:
    """One sender."""
    return SenderOut.model_validate(await senders.get(tx, sender_id))


@asking.get("/{sender_id}/health", dependencies=[Depends(needs("senders.read"))], responses=documented(404))
async def get_sender_health(sender_id: Id, platform: PlatformDep) -> HealthOut:
    """Ask WhatsApp how the account is, and keep tier and quality. Takes as long as WhatsApp takes."""
    told = await health.check(platform, sender_id)
    async with platform.database.reading() as tx:
        sender = await senders.get(tx, sender_id)
        left = await health.budget(tx, sender, now=await platform.clock.now(tx))
    return HealthOut(**asdict(told), state=sender.state, budget=BudgetOut.model_validate(left))


@router.patch(
    "/{sender_id}",
    dependencies=[Depends(needs("senders.manage"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def change_sender(sender_id: Id, body: SenderChange, tx: Tx, now: Now) -> SenderOut:
    """Change the pace; a campaign under way follows with its next messages."""
    return SenderOut.model_validate(await senders.change(tx, sender_id, body.model_dump(exclude_unset=True), at=now))


@asking.post(
    "/{sender_id}/sync-templates", dependencies=[Depends(needs("templates.write"))], responses=documented(404, 409)
)
async def sync_templates(sender_id: Id, platform: PlatformDep) -> SyncedOut:
    """Take in the templates of the sender's WhatsApp account: new ones are made, known ones brought up to date, gone
    ones marked `deleted`. It happens every hour by itself, and is safe to repeat, so it needs no idempotency key."""
    return SyncedOut.model_validate(await template_sync.sync(platform, sender_id))


@router.put(
    "/{sender_id}/token",
    dependencies=[Depends(needs("senders.manage"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def replace_token(sender_id: Id, body: TokenIn, platform: PlatformDep, tx: Tx, now: Now) -> SenderOut:
    """Replace an access token, e.g. an expired one; the sender goes to work again."""
    token = body.access_token.get_secret_value()
    return SenderOut.model_validate(
        await senders.replace_token(tx, platform.key, sender_id, access_token=token, at=now)
    )


@router.post(
    "/{sender_id}/pause",
    dependencies=[Depends(needs("senders.pause"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def pause_sender(sender_id: Id, tx: Tx, now: Now, body: PauseIn | None = None) -> SenderOut:
    """Nothing more leaves from this account until it is resumed; counts before the next message."""
    sender = await senders.get(tx, sender_id, lock=True)
    await senders.move(tx, sender, senders.PAUSED, reason=(body or PauseIn()).reason, quietly=True, at=now)
    return SenderOut.model_validate(sender)


@router.post(
    "/{sender_id}/resume",
    dependencies=[Depends(needs("senders.pause"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def resume_sender(sender_id: Id, tx: Tx, now: Now) -> SenderOut:
    """Let it work again, also one that is `suspect`. Its running campaigns go on with the next sweep."""
    return SenderOut.model_validate(await watchdog.resume(tx, sender_id, at=now))
