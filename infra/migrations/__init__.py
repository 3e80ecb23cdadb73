"""How the database came to be, one numbered file a step; run by `infra.database.Database.migrate`."""
