"""Templates, segments and campaigns as YAML says them: what may stand in a document, and how it is written."""

import re
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    StringConstraints,
    field_validator,
    model_serializer,
    model_validator,
)

from core.canaries import Canary
from core.content import Header
from core.errors import Invalid
from core.filters_text import parse, write

_Language = Annotated[str, StringConstraints(max_length=20, pattern=r"^[A-Za-z]{2,3}([_-][A-Za-z0-9]+)*$")]
_Percent = Annotated[
    float,
    Field(gt=0, le=90, allow_inf_nan=False),
    PlainSerializer(lambda percent: int(percent) if percent == int(percent) else percent),  # 10, not 10.0
]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class _Definition(_Strict):
    """`mapping` is the one writing of it, so that two that mean the same are equal as text too."""

    order: ClassVar[int]
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}"

    def mapping(self) -> dict[str, Any]:
        return {"kind": self.kind, **self.model_dump(mode="json", by_alias=True, exclude_defaults=True)}


class WordingDefinition(_Strict):
    """What is said in one language. Line ends after the last word are YAML's, not the message's."""

    body: str
    defaults: dict[str, str] = {}
    header: Header | None = None
    slots: dict[str, str] = {}

    @field_validator("body")
    @classmethod
    def _trimmed(cls, body: str) -> str:
        return body.rstrip("\n")

    @field_validator("defaults")
    @classmethod
    def _sorted(cls, defaults: dict[str, str]) -> dict[str, str]:
        return dict(sorted(defaults.items()))

    @field_validator("slots")
    @classmethod
    def _other_names(cls, slots: dict[str, str]) -> dict[str, str]:
        return {key: variable for key, variable in sorted(slots.items()) if key != variable}


class TemplateDefinition(_Definition, WordingDefinition):
    order = 0
    kind: Literal["template"]
    name: _Name
    language: _Language = "en"
    cloud_name: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    variants: dict[_Language, WordingDefinition] = {}

    @field_validator("variants")
    @classmethod
    def _by_language(cls, variants: dict[str, WordingDefinition]) -> dict[str, WordingDefinition]:
        return dict(sorted(variants.items()))


class SegmentDefinition(_Definition):
    order = 1
    kind: Literal["segment"]
    name: _Name
    filter: str

    @field_validator("filter")
    @classmethod
    def _canonical(cls, text: str) -> str:
        return canonical(text)


class AudienceDefinition(_Strict):
    """As the API's, but a segment by its name."""

    all: Literal[True] | None = None
    tag: Annotated[str, StringConstraints(min_length=1, max_length=80)] | None = None
    segment: _Name | None = None
    filter: str | None = None

    @field_validator("filter")
    @classmethod
    def _canonical(cls, text: str | None) -> str | None:
        return None if text is None else canonical(text)

    @model_validator(mode="after")
    def _one(self) -> "AudienceDefinition":
        if sum(one is not None for one in (self.all, self.tag, self.segment, self.filter)) != 1:
            raise ValueError("is one of: all: true, tag, segment, filter")
        return self


class QuietDefinition(_Strict):
    start: Annotated[str, StringConstraints(pattern=r"^\d\d:\d\d$")] = Field(alias="from")
    end: Annotated[str, StringConstraints(pattern=r"^\d\d:\d\d$")] = Field(alias="to")


class VariantDefinition(_Strict):
    """As the API's, but a template by its name; left out, it is the campaign's."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=40, strip_whitespace=True)]
    template: _Name | None = None
    defaults: dict[str, str] = {}
    weight: Annotated[int, Field(ge=1, le=1_000)] = 1

    @field_validator("defaults")
    @classmethod
    def _sorted(cls, defaults: dict[str, str]) -> dict[str, str]:
        return dict(sorted(defaults.items()))


class CanaryDefinition(Canary):
    """As the API's."""

    @model_serializer(mode="wrap")
    def _plain(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {
            name: int(value) if isinstance(value, float) and value.is_integer() else value  # 2, not 2.0
            for name, value in serialize(self).items()
        }


class CampaignDefinition(_Definition):
    order = 2
    kind: Literal["campaign"]
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    sender: _Name
    template: _Name
    audience: AudienceDefinition
    purpose: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")] = "marketing"
    quiet_hours: QuietDefinition | None = None
    timezone: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    variants: Annotated[list[VariantDefinition], Field(max_length=5)] = []
    holdout_percent: _Percent | None = None
    canary: CanaryDefinition | None = None

    @model_validator(mode="before")
    @classmethod
    def _launches_nothing(cls, given: Any) -> Any:
        if isinstance(given, dict) and "launch" in given:
            raise ValueError("a file launches nothing: apply it, then say `waqtor campaigns launch` with its id")
        return given


Definition = TemplateDefinition | SegmentDefinition | CampaignDefinition
KINDS: dict[str, type[Definition]] = {
    "template": TemplateDefinition,
    "segment": SegmentDefinition,
    "campaign": CampaignDefinition,
}


def canonical(filter_text: str) -> str:
    """Of two writings of one filter there is no difference."""
    try:
        return write(parse(filter_text))
    except Invalid as error:
        raise ValueError(f"{error.message} {error.hint or ''}".strip()) from None


# ---- YAML ---------------------------------------------------------------------------------------------------


class Loader(yaml.SafeLoader):
    """Texts, lists, mappings, true, false and null: 21:00 and no are texts here, and a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"{key.value!r} stands here twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_KNOWN = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "str", "seq", "map")} | {None}
Loader.yaml_constructors = {tag: made for tag, made in Loader.yaml_constructors.items() if tag in _KNOWN}
Loader.yaml_implicit_resolvers = {}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))
Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^(?:~|null|)$"), ["~", "n", ""])


class _Dumper(yaml.SafeDumper):
    pass


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def written(one: Definition) -> str:
    """As a document; read again it is the same definition."""
    return yaml.dump(one.mapping(), Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=10_000)
