"""who was unknown and was resent may have it already; webhooks set aside are counted

Revision: 0020
Before: 0019
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("recipients", sa.Column("may_have_arrived", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(
        "ix_inbox_set_aside",
        "inbox",
        ["id"],
        postgresql_where=sa.text("error IS NOT NULL"),
        sqlite_where=sa.text("error IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_inbox_set_aside", "inbox")
    op.drop_column("recipients", "may_have_arrived")
