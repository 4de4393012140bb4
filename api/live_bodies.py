"""What is said over the WebSocket, each way. `docs/asyncapi.json` is written from here."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from api.notifications_v2 import NotificationCountV2Data, NotificationV2

Topic = Annotated[str, Field(min_length=1, max_length=100, examples=["campaigns", "campaign:7"])]
Timestamp = Annotated[int, Field(description="Milliseconds since 1970, UTC.", examples=[1793448000000])]


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    id: Annotated[str, Field(max_length=100)] | None = Field(
        default=None, description="Comes back with the answer, so that you know which it answers."
    )


class Subscribe(_Said):
    """Follow topics. With `since` what happened after it comes first."""

    type: Literal["subscribe"]
    topics: Annotated[list[Topic], Field(max_length=200)] = []
    events: Annotated[list[Topic], Field(max_length=200)] | None = Field(
        default=None, description='As in 2.3.0, the same as topics; `["all"]` is every system.'
    )
    since: int | None = Field(
        default=None, ge=0, le=2**63 - 1, description="The last `seq` you have dealt with. Without it: from now on."
    )


class Unsubscribe(_Said):
    """Follow these topics no longer; without any: none."""

    type: Literal["unsubscribe"]
    topics: Annotated[list[Topic], Field(max_length=200)] = []
    events: Annotated[list[Topic], Field(max_length=200)] | None = None


class Ping(_Said):
    """Are you there?"""

    type: Literal["ping"]


class GetState(_Said):
    """Ask for `session_state`."""

    type: Literal["get_state"]


class GetQr(_Said):
    """Ask for `qr_code`."""

    type: Literal["get_qr"]


Said = Annotated[Subscribe | Unsubscribe | Ping | GetState | GetQr, Field(discriminator="type")]
SAID: TypeAdapter[Said] = TypeAdapter(Said)
HEARD: tuple[type[_Said], ...] = (Subscribe, Unsubscribe, Ping, GetState, GetQr)


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)
    timestamp: Timestamp


class _Answer(_Told):
    id: str | None = None


class Welcome(_Told):
    """The first message of every connection."""

    type: Literal["welcome"] = "welcome"
    message: str = "Subscribe to topics to follow them."
    server: str
    seq: int = Field(description="The newest event there is.")


class Subscribed(_Answer):
    """The topics followed now. What comes after has a `seq` above `seq`."""

    type: Literal["subscribed"] = "subscribed"
    topics: list[str]
    events: list[str] = Field(description="As in 2.3.0: the same.")
    seq: int
    recovered: bool = Field(
        description="False: the log no longer reaches back to `since`. Reload by REST, then go on from `seq`."
    )


class Unsubscribed(_Answer):
    """The topics that are still followed."""

    type: Literal["unsubscribed"] = "unsubscribed"
    topics: list[str]


class Pong(_Answer):
    """Yes. Of what you follow, everything up to `seq` has been told; null while something is still to come."""

    type: Literal["pong"] = "pong"
    seq: int | None = None


class SenderState(BaseModel):
    """One sender as it is now."""

    id: int
    name: str
    state: str


class StateData(BaseModel):
    """As in 2.3.0, of the whole installation: connected while a sender can send."""

    status: Literal["connected", "disconnected"]
    ready: bool
    authenticated: bool
    hasQR: bool = False  # noqa: N815  2.3.0's name
    senders: list[SenderState]


class SessionState(_Answer):
    """How the senders are. Comes once after the welcome, and when it is asked for."""

    type: Literal["session_state"] = "session_state"
    data: StateData


class QrData(BaseModel):
    """Null while no WhatsApp Web session waits to be linked."""

    qr: str | None = None


class QrCode(_Answer):
    """The code to link a WhatsApp Web session by."""

    type: Literal["qr_code"] = "qr_code"
    data: QrData


class LiveEvent(_Told):
    """Something that happened. A `prev` above the last `seq` you had of this topic: subscribe again with that as
    `since`, for something was missed."""

    type: str = Field(examples=["campaign.finished"])
    topic: str = Field(examples=["campaign:7"])
    seq: int = Field(examples=[1042])
    prev: int = Field(description="The `seq` of the event of this topic before this one.", examples=[1037])
    data: dict[str, Any] = Field(examples=[{"campaign_id": 7, "what": "finished", "reason": ""}])


class LiveState(_Told):
    """How something is at this moment. It has no `seq`: only the newest counts, and none comes again."""

    type: Literal["campaign.progress"]
    topic: str
    data: dict[str, Any]


class NotificationData(NotificationV2):
    """As 2.3.0 had it, and how to say it in another language (`wording`, `params`)."""

    kind: str = Field(examples=["campaign.paused"])
    wording: str = Field(examples=["campaign.paused"])
    params: dict[str, Any] = Field(examples=[{"name": "Spring", "reason": "template_paused"}])
    about: str | None = Field(description="What it is about.", examples=["campaign:7"])
    path: str | None = Field(description="Where the API has that.", examples=["/api/v3/campaigns/7"])


class NotificationNew(LiveEvent):
    """Something that you are told: a `LiveEvent`, whole. Each gets only what is for them."""

    type: Literal["notification:new"]
    topic: Literal["notifications"]
    data: NotificationData  # type: ignore[assignment]  # narrower than of events in general


class NotificationCountData(NotificationCountV2Data):
    """Whose it is, and how many."""

    userId: str = Field(description="You.", examples=["user:3"])  # noqa: N815  # the wire's name


class NotificationCount(_Told):
    """How many there are for you, and how many you have not read: when you subscribe, and when that changes. It has no
    `seq`: only the newest counts."""

    type: Literal["notification:count"]
    topic: Literal["notifications"]
    data: NotificationCountData


class Missed(_Told):
    """You read too slowly, and were not told what came after `seq`: subscribe again with it as `since`."""

    type: Literal["missed"] = "missed"
    seq: int


class Goodbye(_Told):
    """This process ends. Connect again after `retry_in_ms`, with `since`; then nobody misses anything."""

    type: Literal["goodbye"] = "goodbye"
    retry_in_ms: int


class ErrorTold(_Answer):
    """What you sent was not understood or is not allowed. The connection stays."""

    type: Literal["error"] = "error"
    code: str
    message: str
    field: str | None = None
    hint: str | None = None


TOLD: tuple[type[_Told], ...] = (
    Welcome,
    Subscribed,
    Unsubscribed,
    Pong,
    SessionState,
    QrCode,
    LiveEvent,
    LiveState,
    NotificationNew,
    NotificationCount,
    Missed,
    Goodbye,
    ErrorTold,
)
