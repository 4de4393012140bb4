"""What kinds of values contacts have under which names."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path
from pydantic import Field

from api.auth import needs
from api.bodies import Body, Shown
from api.deps import Str, Tx
from api.errors import documented
from api.idempotent import DOCUMENTED, Once
from core import attributes

router = APIRouter(prefix="/api/v3/attributes", tags=["attributes"], route_class=Once)

Kind = Literal["text", "number", "date", "boolean"]


class AttributeIn(Body):
    """The kind of its values."""

    kind: Kind = Field(description="How values are checked, written and compared.", examples=["number"])


class AttributeOut(Shown):
    """A name under which contacts have values."""

    name: str = Field(examples=["age"])
    kind: Kind = Field(examples=["number"])


class AttributesOut(Shown):
    """All names, in order."""

    data: list[AttributeOut]


@router.get("", dependencies=[Depends(needs("contacts.read"))], responses=documented())
async def list_attributes(tx: Tx) -> AttributesOut:
    """Every attribute that was declared, or written through this API."""
    rows = (await attributes.listed(tx)).items()
    return AttributesOut(data=[AttributeOut.model_validate({"name": name, "kind": kind}) for name, kind in rows])


@router.put(
    "/{name}", dependencies=[Depends(needs("contacts.write"))], responses=documented(409), openapi_extra=DOCUMENTED
)
async def declare_attribute(
    name: Annotated[Str, Path(max_length=50, examples=["age"])], body: AttributeIn, tx: Tx
) -> AttributeOut:
    """Say what kind of value an attribute has. Values there are stay; one that is not of the kind counts as none.
    Refused while a segment, or the audience of a campaign that is not over, compares it as another kind."""
    await attributes.declare(tx, name, body.kind)
    return AttributeOut(name=name, kind=body.kind)
