-- A conversation that was asked for in vain, and is asked for again.
INSERT INTO fetches (conversation_id, application_id, due_at, failures, failing_since, trouble, is_seen)
VALUES ('CON-4', '0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19', 1773051400000000, 1, 1773051399000000, 'not yet', 0);
