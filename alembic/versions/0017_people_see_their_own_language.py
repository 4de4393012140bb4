"""people see pages in their own language, and have a picture

Revision: 0017
Before: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("language", sa.String(16)))
    op.add_column("users", sa.Column("avatar", sa.LargeBinary()))


def downgrade() -> None:
    op.drop_column("users", "avatar")
    op.drop_column("users", "language")
