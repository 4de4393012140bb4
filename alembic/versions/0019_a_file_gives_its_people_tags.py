"""a file gives all its people tags

Revision: 0019
Before: 0018
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    kind = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    op.add_column("imports", sa.Column("tags", kind, nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("imports", "tags")
