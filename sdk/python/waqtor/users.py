"""People who sign in. All of it takes the permission users.manage."""

from datetime import datetime

from pydantic import Field

from waqtor.asking import Ask, C, Model, Pages, Resource, call, get, given, paged, pages, write


class User(Model):
    """`role`: admin, user, viewer or auditor. `state`: active or disabled."""

    id: int
    email: str
    name: str
    role: str
    state: str
    has_second_factor: bool
    created_at: datetime
    updated_at: datetime
    last_sign_in_at: datetime | None
    language: str | None = None


class Link(Model):
    """Good once, for that person only. Shown this once."""

    link: str = Field(repr=False)
    token: str = Field(repr=False)
    expires_at: datetime


class Ended(Model):
    """How many sign-ins were ended."""

    ended: int


class Users(Resource[C]):
    @paged
    def list(self, *, limit: int = 100) -> Pages[User]:
        return pages("/users", User, limit=limit)

    @call
    def get(self, user_id: int) -> Ask[User]:
        return get(f"/users/{user_id}", User)

    @call
    def invite(self, email: str, *, role: str = "user", idempotency_key: str | None = None) -> Ask[Link]:
        """A link with which this person makes an account."""
        return write("POST", "/users/invite", Link, json={"email": email, "role": role}, key=idempotency_key)

    @call
    def change(
        self,
        user_id: int,
        *,
        name: str | None = None,
        email: str | None = None,
        role: str | None = None,
        disabled: bool | None = None,
        idempotency_key: str | None = None,
    ) -> Ask[User]:
        """Counts from that person's next request."""
        sent = given(name=name, email=email, role=role, disabled=disabled)
        return write("PATCH", f"/users/{user_id}", User, json=sent, key=idempotency_key)

    @call
    def reset_link(self, user_id: int, *, idempotency_key: str | None = None) -> Ask[Link]:
        """A link with which this person sets a new password."""
        return write("POST", f"/users/{user_id}/reset-link", Link, key=idempotency_key)

    @call
    def drop_second_factor(self, user_id: int, *, idempotency_key: str | None = None) -> Ask[User]:
        """For somebody whose phone is lost."""
        return write("POST", f"/users/{user_id}/totp-off", User, key=idempotency_key)

    @call
    def sign_out(self, user_id: int, *, idempotency_key: str | None = None) -> Ask[Ended]:
        """Everywhere."""
        return write("DELETE", f"/users/{user_id}/sign-ins", Ended, key=idempotency_key)
