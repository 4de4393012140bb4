"""Pages behind a one-time code. Managing them takes the permission pages.manage; opening one is in `auth`."""

from datetime import datetime

from pydantic import Field, TypeAdapter

from waqtor.asking import Ask, C, Model, Resource, call, given, write


class ProtectedPage(Model):
    """A code opens it for `open_minutes`."""

    name: str
    open_minutes: int
    protected_at: datetime


class PageCode(Model):
    """Good once, until `expires_at`. Shown this once."""

    name: str
    code: str = Field(repr=False)
    expires_at: datetime


class PageSeen(Model):
    """A page as this sign-in finds it."""

    name: str
    is_protected: bool
    is_open: bool
    until: datetime | None


_PAGES: TypeAdapter[list[ProtectedPage]] = TypeAdapter(list[ProtectedPage])


class ProtectedPages(Resource[C]):
    @call
    def list(self) -> Ask[list[ProtectedPage]]:
        return Ask("GET", "/protected-pages", _PAGES.validate_python)

    @call
    def protect(self, name: str, *, open_minutes: int = 30, idempotency_key: str | None = None) -> Ask[ProtectedPage]:
        """`name`: an area of the API such as `users`, whose routes are then closed too, or a page of the dashboard."""
        sent = {"open_minutes": open_minutes}
        return write("PUT", f"/protected-pages/{name}", ProtectedPage, json=sent, key=idempotency_key)

    @call
    def release(self, name: str, *, idempotency_key: str | None = None) -> Ask[PageSeen]:
        return write("DELETE", f"/protected-pages/{name}", PageSeen, key=idempotency_key)

    @call
    def issue_code(self, name: str, *, user_id: int | None = None, idempotency_key: str | None = None) -> Ask[PageCode]:
        """Opens the page once, within ten minutes."""
        sent = given(user_id=user_id)
        return write("POST", f"/protected-pages/{name}/codes", PageCode, json=sent, key=idempotency_key)
