"""single messages: what a campaign has for its own, and the outbox they wait in

Revision: 0003
Before: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
WAITING = sa.text("state = 'queued' AND recipient_id IS NULL")
EXPIRING = sa.text("state = 'queued' AND recipient_id IS NULL AND expires_at IS NOT NULL")


def _columns() -> list[sa.Column]:
    return [
        sa.Column("purpose", sa.String(40)),
        sa.Column("not_before", TIME),
        sa.Column("expires_at", TIME),
        sa.Column("reply_to", sa.String(200)),
        sa.Column("test_of", sa.BigInteger()),
    ]


def upgrade() -> None:
    for column in _columns():
        op.add_column("messages", column)
    outbox = ["sender_id", "not_before", "id"]
    op.create_index("ix_messages_outbox", "messages", outbox, postgresql_where=WAITING, sqlite_where=WAITING)
    op.create_index(
        "ix_messages_expiring", "messages", ["expires_at"], postgresql_where=EXPIRING, sqlite_where=EXPIRING
    )


def downgrade() -> None:
    op.drop_index("ix_messages_expiring", table_name="messages")
    op.drop_index("ix_messages_outbox", table_name="messages")
    for column in _columns():
        op.drop_column("messages", column.name)
