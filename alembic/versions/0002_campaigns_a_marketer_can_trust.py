"""campaigns a marketer can trust: segments, merges, evidence of consent, language variants, quiet hours

Revision: 0002
Before: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)


def _added() -> dict[str, list[sa.Column]]:
    """Plain ADD COLUMN, never a batch: SQLite would make the table anew, and with it lose triggers and cascade."""
    return {
        "contacts": [sa.Column("timezone", sa.String(64))],
        "consents": [sa.Column("given_at", TIME)],
        "imports": [
            sa.Column("format", sa.String(8), nullable=False, server_default="csv"),
            sa.Column("mapping", JSON, nullable=False, server_default="{}"),
            sa.Column("country", sa.String(2)),
            sa.Column("consent", JSON),
            sa.Column("total", sa.Integer()),
            sa.Column("stored", sa.String(80)),
            sa.Column("run_token", sa.String(32)),
            sa.Column("run_until", TIME),
        ],
        "senders": [
            sa.Column("jitter", sa.Float(), nullable=False, server_default="0"),
            sa.Column("warm_up", JSON),
            sa.Column("tier", sa.String(40)),
            sa.Column("quality", sa.String(20)),
            sa.Column("checked_at", TIME),
        ],
        "templates": [
            sa.Column("category", sa.String(20), nullable=False, server_default="marketing"),
            sa.Column("header", JSON),
            sa.Column("waba_id", sa.String(40)),
            sa.Column("status", sa.String(20)),
            sa.Column("components", JSON),
            sa.Column("synced_at", TIME),
        ],
        "campaigns": [
            sa.Column("purpose", sa.String(40), nullable=False, server_default="marketing"),
            sa.Column("quiet_hours", JSON),
            sa.Column("timezone", sa.String(64)),
            sa.Column("forecast", JSON),
        ],
        "recipients": [sa.Column("evidence", JSON)],
    }


def upgrade() -> None:
    for table, columns in _added().items():
        for column in columns:
            op.add_column(table, column)
    op.create_table(
        "merges",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("kept_id", sa.BigInteger(), nullable=False),
        sa.Column("gone_id", sa.BigInteger(), nullable=False),
        sa.Column("gone", JSON, nullable=False),
        sa.Column("merged_at", TIME, nullable=False),
        sa.Column("undone_at", TIME),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merges")),
    )
    op.create_index(op.f("ix_merges_kept_id"), "merges", ["kept_id"])
    op.create_table(
        "attributes",
        sa.Column("name", sa.String(50), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_attributes")),
    )
    op.create_table(
        "segments",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("filter", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segments")),
        sa.UniqueConstraint("name", name=op.f("uq_segments_name")),
    )
    op.create_table(
        "template_variants",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("template_id", BIG_ID, nullable=False),
        sa.Column("language", sa.String(20), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("defaults", JSON, nullable=False),
        sa.Column("header", JSON),
        sa.Column("status", sa.String(20)),
        sa.Column("components", JSON),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["template_id"], ["templates.id"], name=op.f("fk_template_variants_template_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_template_variants")),
        sa.UniqueConstraint("template_id", "language", name=op.f("uq_template_variants_template_id_language")),
    )


def downgrade() -> None:
    op.drop_table("template_variants")
    op.drop_table("segments")
    op.drop_table("attributes")
    op.drop_index(op.f("ix_merges_kept_id"), table_name="merges")
    op.drop_table("merges")
    for table, columns in _added().items():
        for column in columns:
            op.drop_column(table, column.name)
