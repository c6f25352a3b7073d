"""SQL: models, transactions, repositories, the change log."""
