"""What the API processes on one database tell each other over Redis: how many are connected, and what was taken of the
limits. Nothing that is delivered depends on it. Where there is no Redis, or it is away, each process keeps to its own.
"""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import orjson
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from api.limits import Limits
from core.bootstrap import Platform

_ALIVE_S = 5
"""Of a process that was killed, the places count for so long."""
_BEAT_S, _TELL_S, _RETRY_S, _PATIENCE_S = 1.0, 0.05, 0.5, 0.5
_AWAY = (RedisError, OSError, TimeoutError)
_LIVING = """
local now = tonumber(redis.call('TIME')[1])
local living = redis.call('ZRANGEBYSCORE', KEYS[1], now - tonumber(ARGV[1]), '+inf')
"""
_FITS = (
    _LIVING
    + """
local wanted = cjson.decode(ARGV[4])
for _, one in ipairs(wanted) do
  local sum = one[2]
  for _, id in ipairs(living) do
    if id ~= ARGV[2] then sum = sum + tonumber(redis.call('HGET', ARGV[3] .. id, one[1]) or 0) end
  end
  if sum > one[3] then return one[1] end
end
for _, one in ipairs(wanted) do redis.call('HSET', ARGV[3] .. ARGV[2], one[1], one[2]) end
return ''
"""
)
_PRESENT = (
    _LIVING
    + """
local found = {}
for _, id in ipairs(living) do found[#found + 1] = {id, redis.call('HGETALL', ARGV[3] .. id)} end
return found
"""
)
_BEAT = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 10 * tonumber(ARGV[1]))
redis.call('EXPIRE', KEYS[1], 10 * tonumber(ARGV[1]))
return redis.call('EXPIRE', ARGV[3] .. ARGV[2], 2 * tonumber(ARGV[1]))
"""
logger = logging.getLogger(__name__)


class Cluster:
    """`state` is `none` where there is no Redis to be asked. `look_again` is set where another process saw that
    somebody's access has changed."""

    def __init__(self, platform: Platform, limits: Limits) -> None:
        settings = platform.settings
        self.instance = secrets.token_hex(4)
        self.state: Literal["none", "ok", "away"] = "away" if settings.redis_url else "none"
        self.look_again = asyncio.Event()
        self._limits = limits
        self._redis = _client(settings.redis_url) if settings.redis_url else None
        self._prefix = f"waqtor:{platform.installation}:"
        self._taken: Counter[str] = Counter()
        self._news: set[str] = set()
        self._is_joining = False
        self._turn = asyncio.Lock()

    async def take(self, most: Mapping[str, int]) -> str:
        """One place of each name; or none, where over all processes more would be taken of one than there may be: its
        name. One after the other: of those that come to two processes at once, the first has the place."""
        async with self._turn:
            if full := await self._full(most):
                return full
            self._count(most, 1)
            return ""

    def leave(self, names: Iterable[str]) -> None:
        self._count(names, -1)

    def _count(self, names: Iterable[str], change: int) -> None:
        for name in names:
            self._taken[name] += change
            if not self._taken[name]:
                del self._taken[name]
            if self._is_joining:
                self._news.add(name)

    async def _full(self, most: Mapping[str, int]) -> str:
        if self._redis is None or self.state != "ok":
            return ""
        wanted = [[name, self._taken[name] + 1, limit] for name, limit in most.items()]
        try:
            return str(await self._eval(_FITS, orjson.dumps(wanted)))
        except asyncio.CancelledError:
            self._news.update(most)  # it may have been noted there
            raise
        except _AWAY as error:
            self._note_away(error)
            return ""

    async def present(self) -> dict[str, Counter[str]]:
        """Per process, what is taken."""
        if self._redis is None or self.state != "ok":
            return {self.instance: self._taken.copy()}
        try:
            rows = await self._eval(_PRESENT)
        except _AWAY as error:
            self._note_away(error)
            return {self.instance: self._taken.copy()}
        found = {
            instance: Counter(dict(zip(pairs[::2], map(int, pairs[1::2]), strict=True))) for instance, pairs in rows
        }
        return {**found, self.instance: self._taken.copy()}

    async def access_changed(self) -> None:
        """The others look at once whether those they have are still welcome."""
        await self._tell({"access": True})

    async def run(self) -> None:
        """For ever."""
        if self._redis is None:
            return
        try:
            while True:
                try:
                    await self._be_with(self._redis)
                except _AWAY as error:
                    self._note_away(error)
                await asyncio.sleep(_RETRY_S)
        finally:
            await self._leave(self._redis)

    async def _be_with(self, redis: Redis) -> None:
        async with redis.pubsub() as hearing:
            await hearing.subscribe(f"{self._prefix}news")
            listening = asyncio.create_task(self._listen(hearing))
            try:
                await self._say_all(redis)
                if self.state == "away":
                    logger.warning("redis_joined instance=%s", self.instance)
                self.state = "ok"
                self._limits.share(is_shared=True)
                while self.state == "ok" and not listening.done():
                    for _ in range(int(_BEAT_S / _TELL_S)):
                        await asyncio.sleep(_TELL_S)
                        await self._say_news(redis)
                    if not await self._eval(_BEAT) and self._taken:
                        await self._say_all(redis)  # it was emptied
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
            if not listening.cancelled() and (error := listening.exception()):
                raise error

    async def _listen(self, hearing: PubSub) -> None:
        while True:
            message = await hearing.get_message(ignore_subscribe_messages=True, timeout=_BEAT_S)
            if message is None:
                continue
            said = orjson.loads(message["data"])
            if said["from"] == self.instance:
                continue
            if "taken" in said:
                self._limits.others_took(said["taken"])
            if "access" in said:
                self.look_again.set()

    async def _say_all(self, redis: Redis) -> None:
        async with self._turn:
            self._is_joining = True  # what changes from here on is news
            self._news.clear()
            mine = f"{self._prefix}places:{self.instance}"
            async with redis.pipeline() as all_at_once:
                all_at_once.delete(mine)
                if self._taken:
                    all_at_once.hset(mine, mapping={name: str(taken) for name, taken in self._taken.items()})
                await all_at_once.execute()
        await self._eval(_BEAT)

    async def _say_news(self, redis: Redis) -> None:
        if taken := self._limits.taken():
            await self._tell({"taken": taken})
        if not self._news:
            return
        async with self._turn:
            names, self._news = self._news, set()
            mine = f"{self._prefix}places:{self.instance}"
            async with redis.pipeline() as all_at_once:
                for name in names:
                    if self._taken[name]:
                        all_at_once.hset(mine, name, str(self._taken[name]))
                    else:
                        all_at_once.hdel(mine, name)
                await all_at_once.execute()

    async def _tell(self, what: Mapping[str, object]) -> None:
        if self._redis is not None and self.state == "ok":
            try:
                await self._redis.publish(f"{self._prefix}news", orjson.dumps({"from": self.instance, **what}))
            except _AWAY as error:
                self._note_away(error)

    async def _eval(self, script: str, *more: bytes) -> Any:
        assert self._redis is not None  # noqa: S101  nobody comes here without
        keys = f"{self._prefix}instances", str(_ALIVE_S), self.instance, f"{self._prefix}places:"
        return await self._redis.eval(script, 1, *keys, *more)

    def _note_away(self, error: BaseException) -> None:
        if self.state == "ok":
            logger.error("redis_away error=%s limits=own", type(error).__name__)
        self.state, self._is_joining = "away", False
        self._limits.share(is_shared=False)

    async def _leave(self, redis: Redis) -> None:
        try:
            await redis.zrem(f"{self._prefix}instances", self.instance)
            await redis.delete(f"{self._prefix}places:{self.instance}")
        except _AWAY:
            logger.info("redis_not_told_of_the_end")
        await redis.aclose()


def _client(url: str) -> Redis:
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=_PATIENCE_S,
        socket_connect_timeout=_PATIENCE_S,
        retry=Retry(NoBackoff(), 0),  # we come back by ourselves, and nobody waits meanwhile
    )
