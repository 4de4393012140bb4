"""slots of templates: what Meta's template wants filled in outside its text

Revision: 0005
Before: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TABLES = ("templates", "template_variants")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("slots", JSON))


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "slots")
