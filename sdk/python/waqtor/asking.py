"""Each method of the API is written once, as the request it makes; a client carries it out, at once or awaited."""

from __future__ import annotations

import functools
import uuid
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Concatenate, Generic, Literal, ParamSpec, TypeVar, cast, overload

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from waqtor.client import AsyncClient, Client

T = TypeVar("T")
P = ParamSpec("P")
C = TypeVar("C", bound="Client | AsyncClient")
M = TypeVar("M", bound=BaseModel)

Order = Literal["oldest", "newest"]
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Model(BaseModel):
    """Part of an answer. A field that a newer server adds is kept aside, not an error."""

    model_config = ConfigDict(frozen=True, extra="ignore")


@dataclass(frozen=True)
class Ask(Generic[T]):
    """One request, and how to read its answer: JSON, or with `is_file` bytes. The idempotency key is made once: every
    repetition carries it."""

    method: str
    path: str
    read: Callable[[Any], T]
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Mapping[str, Any] | None = None
    file: tuple[str, bytes | BinaryIO] | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None
    timeout_s: float | None = None
    is_repeatable: bool = True
    is_file: bool = False
    cookie: str | None = None
    """Of the answer; `read` gets it beside the rest, as `cookie`."""
    under: str = "/api/v3"
    answers: frozenset[int] = frozenset()
    """Statuses that are answers too, not errors."""

    @property
    def headers(self) -> dict[str, str]:
        return {"Idempotency-Key": self.key} if self.key else {}


@dataclass(frozen=True)
class Pages(Generic[T]):
    """A list that is asked for page by page."""

    path: str
    model: Callable[[Any], T]
    params: Mapping[str, Any] = field(default_factory=dict)

    def page(self, cursor: str | None) -> Ask[tuple[list[T], str | None]]:
        return Ask(
            "GET",
            self.path,
            lambda answer: ([self.model(one) for one in answer["data"]], answer["next_cursor"]),
            params=given(**self.params, cursor=cursor),
        )


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some of a list. `next_cursor` leads to the next page; None at the end."""

    data: list[T]
    next_cursor: str | None


@dataclass(frozen=True)
class Sleep:
    seconds: float


Steps = Generator["Ask[Any] | Sleep", Any, T]
"""Several requests with pauses: each yielded `Ask` is answered by `send`."""


class Resource(Generic[C]):
    """The methods of one concept, of one client."""

    def __init__(self, client: C) -> None:
        self._client = client


class call(Generic[P, T]):  # noqa: N801  # a decorator
    """A method that is one request: `T` from a `Client`, `Awaitable[T]` from an `AsyncClient`."""

    def __init__(self, build: Callable[Concatenate[Any, P], Ask[T]]) -> None:
        self._build = build
        functools.update_wrapper(cast(Any, self), build)

    @overload
    def __get__(self, of: Resource[Client], owner: object = None) -> Callable[P, T]: ...
    @overload
    def __get__(self, of: Resource[AsyncClient], owner: object = None) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, of: Any, owner: object = None) -> Any:
        if of is None:
            return self._build

        @functools.wraps(self._build)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return of._client._send(self._build(of, *args, **kwargs))

        return method


class Listing(Generic[P, T]):
    """Called, it goes through the whole list; `page` is one page of it, from a cursor."""

    def __init__(self, of: Resource[Any], build: Callable[Concatenate[Any, P], Pages[T]]) -> None:
        self._of = of
        self._build = build
        functools.update_wrapper(cast(Any, self), build)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        found: Iterator[T] = self._of._client._through(self._build(self._of, *args, **kwargs))
        return found

    def page(self, cursor: str | None, /, *args: P.args, **kwargs: P.kwargs) -> Page[T]:
        found: Page[T] = self._of._client._send(_one_page(self._build(self._of, *args, **kwargs), cursor))
        return found


class AsyncListing(Generic[P, T]):
    """The same, awaited."""

    def __init__(self, of: Resource[Any], build: Callable[Concatenate[Any, P], Pages[T]]) -> None:
        self._of = of
        self._build = build
        functools.update_wrapper(cast(Any, self), build)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        found: AsyncIterator[T] = self._of._client._through(self._build(self._of, *args, **kwargs))
        return found

    async def page(self, cursor: str | None, /, *args: P.args, **kwargs: P.kwargs) -> Page[T]:
        found: Page[T] = await self._of._client._send(_one_page(self._build(self._of, *args, **kwargs), cursor))
        return found


def _one_page(pages: Pages[T], cursor: str | None) -> Ask[Page[T]]:
    ask = pages.page(cursor)
    return Ask(ask.method, ask.path, lambda answer: Page(*ask.read(answer)), params=ask.params)


class paged(Generic[P, T]):  # noqa: N801
    """A method that goes through a whole list: `Iterator[T]` or `AsyncIterator[T]`; its `page` is one page."""

    def __init__(self, build: Callable[Concatenate[Any, P], Pages[T]]) -> None:
        self._build = build
        functools.update_wrapper(cast(Any, self), build)

    @overload
    def __get__(self, of: Resource[Client], owner: object = None) -> Listing[P, T]: ...
    @overload
    def __get__(self, of: Resource[AsyncClient], owner: object = None) -> AsyncListing[P, T]: ...
    def __get__(self, of: Any, owner: object = None) -> Any:
        if of is None:
            return self._build
        return Listing(of, self._build) if of._client.is_sync else AsyncListing(of, self._build)


class steps(Generic[P, T]):  # noqa: N801
    """A method that is several requests: `T` or `Awaitable[T]`."""

    def __init__(self, build: Callable[Concatenate[Any, P], Steps[T]]) -> None:
        self._build = build
        functools.update_wrapper(cast(Any, self), build)

    @overload
    def __get__(self, of: Resource[Client], owner: object = None) -> Callable[P, T]: ...
    @overload
    def __get__(self, of: Resource[AsyncClient], owner: object = None) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, of: Any, owner: object = None) -> Any:
        if of is None:
            return self._build

        @functools.wraps(self._build)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return of._client._walk(self._build(of, *args, **kwargs))

        return method


def get(path: str, model: type[M], **params: Any) -> Ask[M]:
    return Ask("GET", path, model.model_validate, params=given(**params))


def write(
    method: str, path: str, model: type[M], *, json: Mapping[str, Any] | None = None, key: str | None = None
) -> Ask[M]:
    return Ask(method, path, model.model_validate, json=json, key=key or str(uuid.uuid4()))


def pages(path: str, model: type[M], **params: Any) -> Pages[M]:
    return Pages(path, model.model_validate, given(**params))


def given(**values: Any) -> dict[str, Any]:
    """Those that are not None."""
    return {name: value for name, value in values.items() if value is not None}
