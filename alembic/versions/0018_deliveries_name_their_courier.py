"""a delivery under way names its courier

Revision: 0018
Before: 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("held_by", sa.BigInteger()))


def downgrade() -> None:
    op.drop_column("deliveries", "held_by")
