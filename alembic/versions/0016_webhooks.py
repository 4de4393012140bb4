"""webhooks: endpoints, what each is told, every attempt to; PostgreSQL calls when there is something to tell

Revision: 0016
Before: 0015
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(op.f(name), table, columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where))


def upgrade() -> None:
    op.add_column("event_log", sa.Column("webhooks", sa.String(16)))
    op.create_table(
        "webhooks",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("url", sa.String(2048), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("events", JSON, nullable=False),
        sa.Column("sender_ids", JSON),
        sa.Column("campaign_ids", JSON),
        sa.Column("fields", JSON, nullable=False),
        sa.Column("form", sa.String(2), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.String(40)),
        sa.Column("disabled_at", TIME),
        sa.Column("secrets", sa.LargeBinary(), nullable=False),
        sa.Column("signs_v1a", sa.Boolean(), nullable=False),
        sa.Column("signs_v2", sa.Boolean(), nullable=False),
        sa.Column("headers", sa.LargeBinary()),
        sa.Column("header_names", JSON, nullable=False),
        sa.Column("schedule", JSON),
        sa.Column("rate", sa.Float()),
        sa.Column("concurrency", sa.SmallInteger(), nullable=False),
        sa.Column("is_ordered", sa.Boolean(), nullable=False),
        sa.Column("next_slot", sa.Float(), nullable=False),
        sa.Column("paused_until", TIME),
        sa.Column("trips", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", TIME),
        sa.Column("last_failed_at", TIME),
        sa.Column("last_strike_at", TIME),
        sa.Column("strikes", sa.Integer(), nullable=False),
        sa.Column("warned", sa.SmallInteger(), nullable=False),
        sa.Column("last_success_at", TIME),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "deliveries",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("webhook_id", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.String(40), nullable=False),
        sa.Column("type", sa.String(60), nullable=False),
        sa.Column("data", JSON, nullable=False),
        sa.Column("sender_id", sa.BigInteger()),
        sa.Column("campaign_id", sa.BigInteger()),
        sa.Column("contact_id", sa.BigInteger()),
        sa.Column("order_key", sa.String(60)),
        sa.Column("body", sa.LargeBinary()),
        sa.Column("is_test", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("reason", sa.String(80)),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("tries", sa.SmallInteger(), nullable=False),
        sa.Column("next_at", TIME, nullable=False),
        sa.Column("lease_until", TIME),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("settled_at", TIME),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
    )
    op.create_index(
        op.f("uq_deliveries_webhook_id_event_id"), "deliveries", ["webhook_id", "event_id"], unique=True
    )
    op.create_index(op.f("ix_deliveries_webhook_id_created_at"), "deliveries", ["webhook_id", "created_at"])
    op.create_index(op.f("ix_deliveries_created_at"), "deliveries", ["created_at"])
    _partial("ix_deliveries_waiting", "deliveries", ["webhook_id", "next_at", "id"], "state = 'waiting'")
    _partial("ix_deliveries_sending", "deliveries", ["webhook_id", "lease_until"], "state = 'sending'")
    _partial(
        "ix_deliveries_in_order",
        "deliveries",
        ["webhook_id", "order_key", "id"],
        "order_key IS NOT NULL AND state IN ('waiting', 'sending')",
    )
    _partial("ix_deliveries_bodies", "deliveries", ["created_at"], "body IS NOT NULL")
    op.create_table(
        "delivery_attempts",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("delivery_id", BIG_ID, nullable=False),
        sa.Column("webhook_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("url", sa.String(2048), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("took_ms", sa.Integer()),
        sa.Column("status", sa.SmallInteger()),
        sa.Column("error", sa.String(40)),
        sa.Column("detail", sa.String(300)),
        sa.Column("request_headers", JSON),
        sa.Column("response_headers", JSON),
        sa.Column("response_body", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_attempts")),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name=op.f("fk_delivery_attempts_delivery_id"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_delivery_attempts_delivery_id"), "delivery_attempts", ["delivery_id", "number"])
    op.create_index(
        op.f("ix_delivery_attempts_webhook_id_started_at"), "delivery_attempts", ["webhook_id", "started_at"]
    )
    op.create_table(
        "webhook_replays",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("webhook_id", sa.BigInteger(), nullable=False),
        sa.Column("wanted", JSON, nullable=False),
        sa.Column("per_s", sa.Float(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("next_at", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("finished_at", TIME),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_replays")),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION waqtor_call_courier() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_notify('waqtor_deliveries', ''); RETURN NULL; END $$"
        )
        op.execute(
            "CREATE TRIGGER deliveries_call AFTER INSERT ON deliveries "
            "FOR EACH STATEMENT EXECUTE FUNCTION waqtor_call_courier()"
        )
        # Whoever changes the endpoints holds the lock alone. The lock first and the look after it, with a snapshot of
        # its own: only a function can do both in the statement that writes the event.
        op.execute(
            "CREATE FUNCTION waqtor_webhooks() RETURNS text LANGUAGE plpgsql VOLATILE AS $$ BEGIN "
            "PERFORM pg_advisory_xact_lock_shared(7726006); "
            "RETURN (SELECT webhooks FROM event_log WHERE id = 1); END $$"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION waqtor_webhooks()")
        op.execute("DROP TRIGGER deliveries_call ON deliveries")
        op.execute("DROP FUNCTION waqtor_call_courier()")
    op.drop_table("webhook_replays")
    op.drop_table("delivery_attempts")
    op.drop_table("deliveries")
    op.drop_table("webhooks")
    op.drop_column("event_log", "webhooks")
