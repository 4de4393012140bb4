"""campaigns write to a small part of their audience first

Revision: 0013
Before: 0012
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("canary", JSON))
    op.add_column("campaigns", sa.Column("wave", sa.SmallInteger()))
    op.add_column("campaigns", sa.Column("canary_percent", sa.Float()))
    op.add_column("campaigns", sa.Column("held_until", sa.DateTime(timezone=True)))
    op.add_column("campaigns", sa.Column("canary_verdict", JSON))
    op.add_column("recipients", sa.Column("wave", sa.SmallInteger()))
    op.create_index(
        "ix_recipients_of_a_wave",
        "recipients",
        ["campaign_id", "occurrence", "state", "id"],
        postgresql_where=sa.text("wave IS NOT NULL"),
        sqlite_where=sa.text("wave IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_recipients_of_a_wave", table_name="recipients")
    op.drop_column("recipients", "wave")
    for name in ("canary_verdict", "held_until", "canary_percent", "wave", "canary"):
        op.drop_column("campaigns", name)
