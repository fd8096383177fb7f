-- A call that got its NCCO from the application behind, one that got the file's in its place, a transfer that was
-- passed on, and an NCCO in as few columns as there may be.
INSERT INTO replies (number, arrival, endpoint, conversation_id, transferred_to, leg_id, replied_at, source,
    upstream_status, upstream_ms, trouble, document_id)
VALUES
    (1, zeroblob(32), 'answer', 'CON-1', NULL, 'leg-1', 1773051330300000, 'forward', 200, 34, NULL, 2),
    (2, zeroblob(32), 'fallback', 'CON-1', NULL, 'leg-1', 1773051332300000, 'substitute', NULL, 2000,
        'it did not reply in time', 2),
    (3, zeroblob(32), 'event', 'CON-1', 'CON-2', 'leg-2', 1773051343900000, 'forward', 204, 12, NULL, NULL),
    (4, zeroblob(32), 'answer', NULL, NULL, NULL, 1773051350000000, 'file', NULL, NULL, NULL, NULL);
