"""Who may come in, how they did, and what was done with it."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Integer, LargeBinary, String
from sqlalchemy.orm import Mapped

from core.models.base import Base, BigId, Json, UtcDateTime, personal, plain


class User(Base):
    """A person who signs in. `totp` and `totp_pending` are sealed; `totp_step` is the last one a code was taken of."""

    __tablename__ = "users"
    id: Mapped[int] = plain(BigId, primary_key=True)
    email: Mapped[str] = personal(String(254), unique=True, category="identity", purpose="sign in by it")
    name: Mapped[str] = personal(String(200), category="profile", purpose="be known to colleagues")
    language: Mapped[str | None] = personal(String(16), category="profile", purpose="see pages in one's language")
    avatar: Mapped[bytes | None] = personal(
        LargeBinary, deferred=True, category="profile", purpose="be known to colleagues"
    )
    role: Mapped[str] = plain(String(10))
    state: Mapped[str] = plain(String(10))
    password_hash: Mapped[str] = personal(String(200), category="identity", purpose="sign in")
    password_changed_at: Mapped[datetime] = plain(UtcDateTime)
    totp: Mapped[bytes | None] = plain(LargeBinary)
    totp_pending: Mapped[bytes | None] = plain(LargeBinary)
    totp_step: Mapped[int] = plain(BigInteger, default=0)
    created_at: Mapped[datetime] = plain(UtcDateTime)
    updated_at: Mapped[datetime] = plain(UtcDateTime)
    last_sign_in_at: Mapped[datetime | None] = personal(
        UtcDateTime, category="activity", purpose="see accounts that nobody uses"
    )


class RecoveryCode(Base):
    """Stands in for the second factor once."""

    __tablename__ = "recovery_codes"
    id: Mapped[int] = plain(BigId, primary_key=True)
    user_id: Mapped[int] = plain(BigId, ForeignKey("users.id", ondelete="CASCADE"), index=True)
    code_hash: Mapped[str] = personal(String(64), category="identity", purpose="sign in without the second factor")
    used_at: Mapped[datetime | None] = plain(UtcDateTime)


class UserLink(Base):
    """A one-time link: `invite` makes an account with `role`, `reset` gives `user_id` a new password."""

    __tablename__ = "user_links"
    id: Mapped[int] = plain(BigId, primary_key=True)
    kind: Mapped[str] = plain(String(8))
    token_hash: Mapped[str] = personal(String(64), unique=True, category="identity", purpose="know the link again")
    email: Mapped[str | None] = personal(String(254), category="identity", purpose="know who is invited")
    role: Mapped[str | None] = plain(String(10))
    user_id: Mapped[int | None] = plain(BigId, ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = plain(UtcDateTime)
    expires_at: Mapped[datetime] = plain(UtcDateTime)
    used_at: Mapped[datetime | None] = plain(UtcDateTime)


class SignIn(Base):
    """One device on which somebody is signed in. `browser`: by a cookie, known by its hash; `tokens`: by an access
    token that names this row, and refresh tokens."""

    __tablename__ = "sign_ins"
    id: Mapped[int] = plain(BigId, primary_key=True)
    user_id: Mapped[int] = plain(BigId, ForeignKey("users.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = plain(String(8))
    secret_hash: Mapped[str | None] = personal(
        String(64), unique=True, category="identity", purpose="know the cookie again"
    )
    address: Mapped[str] = personal(String(45), category="activity", purpose="let people know their sign-ins again")
    agent: Mapped[str] = personal(String(200), category="activity", purpose="let people know their sign-ins again")
    created_at: Mapped[datetime] = plain(UtcDateTime)
    last_seen_at: Mapped[datetime] = personal(UtcDateTime, category="activity", purpose="see which are in use")
    expires_at: Mapped[datetime] = plain(UtcDateTime, index=True)
    ended_at: Mapped[datetime | None] = plain(UtcDateTime)
    ended_why: Mapped[str | None] = plain(String(30))


class RefreshToken(Base):
    """Good once. One that comes a second time was stolen, or its thief came first."""

    __tablename__ = "refresh_tokens"
    id: Mapped[int] = plain(BigId, primary_key=True)
    sign_in_id: Mapped[int] = plain(BigId, ForeignKey("sign_ins.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[str] = personal(String(64), unique=True, category="identity", purpose="know the token again")
    created_at: Mapped[datetime] = plain(UtcDateTime)
    used_at: Mapped[datetime | None] = plain(UtcDateTime)


class ProtectedPage(Base):
    """An area, or a page of the dashboard, that a person sees only after a one-time code, for `open_s`."""

    __tablename__ = "protected_pages"
    name: Mapped[str] = plain(String(40), primary_key=True)
    open_s: Mapped[int] = plain(Integer)
    protected_at: Mapped[datetime] = plain(UtcDateTime)


class PageCode(Base):
    """Opens its page once; only for `user_id` where there is one. `code_hash` is keyed."""

    __tablename__ = "page_codes"
    id: Mapped[int] = plain(BigId, primary_key=True)
    page: Mapped[str] = plain(String(40), ForeignKey("protected_pages.name", ondelete="CASCADE"), index=True)
    user_id: Mapped[int | None] = plain(BigId, ForeignKey("users.id", ondelete="CASCADE"), index=True)
    code_hash: Mapped[str] = personal(String(64), category="identity", purpose="know the code again", index=True)
    created_at: Mapped[datetime] = plain(UtcDateTime)
    expires_at: Mapped[datetime] = plain(UtcDateTime, index=True)
    used_at: Mapped[datetime | None] = plain(UtcDateTime)


class PageOpening(Base):
    """Where a page is open: one sign-in, no other device of the same person."""

    __tablename__ = "page_openings"
    sign_in_id: Mapped[int] = plain(BigId, ForeignKey("sign_ins.id", ondelete="CASCADE"), primary_key=True)
    page: Mapped[str] = plain(
        String(40), ForeignKey("protected_pages.name", ondelete="CASCADE"), primary_key=True, index=True
    )
    until: Mapped[datetime] = plain(UtcDateTime, index=True)


class Throttle(Base):
    """Tries to sign in, by account and by address; `key` is a keyed hash of either."""

    __tablename__ = "throttles"
    key: Mapped[str] = plain(String(64), primary_key=True)
    tries: Mapped[int] = plain(Integer)
    last_at: Mapped[datetime] = plain(UtcDateTime, index=True)
    closed_until: Mapped[datetime | None] = plain(UtcDateTime)


class AuditEntry(Base):
    """Insert-only (a trigger refuses anything else). `hash` covers the row and the hash before it. Names nobody but by
    id; the address is shortened to its network."""

    __tablename__ = "audit_entries"
    seq: Mapped[int] = plain(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = plain(UtcDateTime, index=True)
    actor: Mapped[str] = plain(String(40), index=True)
    action: Mapped[str] = plain(String(60))
    subject: Mapped[str] = plain(String(80), index=True)
    address: Mapped[str] = personal(String(45), category="activity", purpose="tell misuse of an account")
    request_id: Mapped[str] = plain(String(32))
    details: Mapped[dict[str, Any]] = plain(Json)
    previous: Mapped[str] = plain(String(64))
    hash: Mapped[str] = plain(String(64))


class AuditHead(Base):
    """One row: the last entry. `seal` is a keyed hash, so that who cuts the log cannot make the head fit."""

    __tablename__ = "audit_head"
    id: Mapped[int] = plain(Integer, primary_key=True, autoincrement=False)
    seq: Mapped[int] = plain(BigInteger)
    hash: Mapped[str] = plain(String(64))
    seal: Mapped[str] = plain(String(64))


class Nonce(Base):
    """A word that was good once and is spent: of a signed handshake, of a ticket. Kept as a hash, until nobody could
    use it again anyway."""

    __tablename__ = "nonces"
    word: Mapped[str] = plain(String(64), primary_key=True)
    until: Mapped[datetime] = plain(UtcDateTime, index=True)
