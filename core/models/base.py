"""What every table is made of: its columns say whether they are personal."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, MetaData, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Category = Literal["identity", "profile", "content", "activity", "consent"]


@dataclass(frozen=True)
class Personal:
    """`category` groups columns for export and retention; `purpose` is what the record of processing states."""

    category: Category
    purpose: str


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime on both databases; SQLite would hand back a naive one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone is ambiguous")
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


# SQLite gives row numbers only to a column declared exactly INTEGER.
BigId = BigInteger().with_variant(Integer, "sqlite")
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def plain(*args: Any, **options: Any) -> Mapped[Any]:
    """A column that says nothing about a person who is written to."""
    return mapped_column(*args, info={"personal": None}, **options)


def personal(*args: Any, category: Category, purpose: str, **options: Any) -> Mapped[Any]:
    """A column that does."""
    return mapped_column(*args, info={"personal": Personal(category, purpose)}, **options)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
