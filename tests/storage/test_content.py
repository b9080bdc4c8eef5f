"""What stands in a column is parsed with care; on both databases."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from sweep.storage import sweeps
from sweep.storage.errors import StorageError
from sweep.storage.tables import sweeps as sweep_rows


@pytest.mark.parametrize("content", ["[" * 100_000, "{"])
def test_config_that_is_no_json_is_one_line(engine: sa.Engine, content: str) -> None:
    """Brackets without end in a row of another's hand end no command in a traceback."""
    sweeps.create_sweep(engine, "cnn", {}, {}, 3)
    with engine.begin() as connection:
        connection.execute(sweep_rows.update().values(config=content))
    with pytest.raises(StorageError, match="sweep cnn: config: not readable") as caught:
        sweeps.list_sweeps(engine)
    assert "\n" not in str(caught.value)
