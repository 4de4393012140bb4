"""What request and answer models have in common."""

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """A request body; a field we do not know is refused rather than ignored."""

    model_config = ConfigDict(extra="forbid")


class Shown(BaseModel):
    """Part of an answer, read from our rows."""

    model_config = ConfigDict(from_attributes=True)
