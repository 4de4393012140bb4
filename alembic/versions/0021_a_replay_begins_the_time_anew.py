"""a replay begins the time of its deliveries anew

Revision: 0021
Before: 0020
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("waits_since", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("deliveries", "waits_since")
