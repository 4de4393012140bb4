"""Refusals as the Graph API words them, and as the control API words its own."""

from typing import Any

# code -> (HTTP status, title). From Meta's published table; the connector classes errors by code.
TITLES: dict[int, tuple[int, str]] = {
    0: (401, "AuthException"),
    1: (400, "API Unknown"),
    2: (503, "API Service"),
    3: (500, "API Method"),
    4: (400, "Application request limit reached"),
    10: (403, "Permission Denied"),
    33: (400, "Parameter value is not valid"),
    100: (400, "Invalid parameter"),
    190: (401, "Invalid OAuth access token"),
    200: (403, "API Permission"),
    368: (403, "Temporarily blocked for policies violations"),
    80007: (400, "Rate limit issues"),
    130429: (429, "Rate limit hit"),
    130472: (400, "User's number is part of an experiment"),
    130497: (403, "Business account is restricted from messaging users in this country"),
    131000: (500, "Something went wrong"),
    131005: (403, "Access denied"),
    131008: (400, "Required parameter is missing"),
    131009: (400, "Parameter value is not valid"),
    131016: (503, "Service unavailable"),
    131021: (400, "Recipient cannot be sender"),
    131026: (400, "Message undeliverable"),
    131030: (400, "Recipient phone number not in allowed list"),
    131031: (403, "Business Account locked"),
    131037: (400, "Display name approval needed"),
    131042: (400, "Business eligibility payment issue"),
    131045: (500, "Incorrect certificate"),
    131047: (400, "Re-engagement message"),
    131048: (400, "Spam rate limit hit"),
    131049: (400, "This message was not delivered to maintain healthy ecosystem engagement"),
    131050: (400, "User has stopped marketing messages from this business"),
    131051: (400, "Unsupported message type"),
    131052: (400, "Media download error"),
    131053: (400, "Media upload error"),
    131056: (400, "(Business Account, Consumer Account) pair rate limit hit"),
    131057: (503, "Account in maintenance mode"),
    132000: (400, "Number of parameters does not match the expected number of params"),
    132001: (404, "Template name does not exist in the translation"),
    132005: (400, "Translated text too long"),
    132007: (400, "Template format character policy violated"),
    132012: (400, "Parameter format does not match format in the created template"),
    132015: (400, "Template is paused"),
    132016: (400, "Template is disabled"),
    132068: (400, "Flow is blocked"),
    132069: (400, "Flow is throttled"),
    133010: (400, "Account not registered"),
    133016: (400, "Account register deregister rate limit exceeded"),
    135000: (400, "Generic user error"),
}
TRANSIENT = frozenset({1, 2, 4, 80007, 130429, 131000, 131016, 131056, 131057})


def title(code: int) -> str:
    """Meta's short name of an error code."""
    return TITLES.get(code, (400, "Unknown error"))[1]


class GraphError(Exception):
    """A refusal with a Graph error code; nothing took effect."""

    def __init__(self, code: int, details: str = "", *, subcode: int = 0, status: int = 0) -> None:
        super().__init__(code, details)
        self.code = code
        self.details = details
        self.subcode = subcode
        self.status = status or TITLES.get(code, (400, ""))[0]

    def body(self, trace: str) -> dict[str, Any]:
        """The error envelope; `trace` is what Meta's support would ask for."""
        name = title(self.code)
        error: dict[str, Any] = {
            "message": f"(#{self.code}) {self.details if self.code in (100, 190) and self.details else name}",
            "type": "OAuthException",
            "code": self.code,
        }
        if self.code not in (190,):
            error["error_data"] = {"messaging_product": "whatsapp", "details": self.details or name}
        if self.subcode:
            error["error_subcode"] = self.subcode
        if self.code in TRANSIENT:
            error["is_transient"] = True
        error["fbtrace_id"] = trace
        return {"error": error}


class ControlError(Exception):
    """A control request that cannot be done; `field` names what to change."""

    def __init__(self, message: str, *, field: str = "", code: str = "invalid", status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.code = code
        self.status = status

    def body(self) -> dict[str, Any]:
        """The error as the control API answers it."""
        return {"error": {"code": self.code, "message": self.message, "field": self.field or None}}
