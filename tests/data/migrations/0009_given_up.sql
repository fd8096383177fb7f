-- A conversation that was seen, and whose looks failed for too long afterwards.
INSERT INTO fetches (conversation_id, application_id, trouble, gave_up_at, is_seen)
VALUES ('CON-5', '0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19', 'unreachable', 1773052004000000, 1);
