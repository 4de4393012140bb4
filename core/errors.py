"""What can go wrong, in the words of the domain. The edge maps `code` to a status; nothing here knows HTTP."""


class WaqtorError(Exception):
    """A refusal the caller can act on.

    `code` is stable and part of the API; `hint` says what to do; `field` names the offending input.
    """

    code = "error"

    def __init__(self, message: str, *, field: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.hint = hint


class NotFound(WaqtorError):
    code = "not_found"


class Invalid(WaqtorError):
    code = "invalid"


class Conflict(WaqtorError):
    """The thing exists already, or is in a state that does not allow this."""

    code = "conflict"


class NotAllowed(WaqtorError):
    """Signed in, but this may not be done; or not signed in at all (`code` tells which)."""

    code = "not_allowed"


class NotSignedIn(NotAllowed):
    code = "not_signed_in"


class TooLarge(WaqtorError):
    code = "too_large"


class KeyReused(WaqtorError):
    """An idempotency key came again with another body."""

    code = "idempotency_key_reused"


class MasterKeyMissing(WaqtorError):
    code = "master_key_missing"


class MasterKeyWrong(WaqtorError):
    """The key file is readable but is not the one this database was written with."""

    code = "master_key_wrong"


class SchemaBehind(WaqtorError):
    code = "schema_behind"


class BadSignature(WaqtorError):
    code = "bad_signature"


class TooMany(WaqtorError):
    """Not now; `retry_after_s` says when."""

    code = "too_many"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message, hint=f"Try again in {retry_after_s} s.")
        self.retry_after_s = retry_after_s
