"""what a key signs with is kept encrypted

Revision: 0022
Before: 0021
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("signing", sa.LargeBinary()))


def downgrade() -> None:
    # Keys made meanwhile are not known any more: their hashes are of another kind.
    op.drop_column("api_keys", "signing")
