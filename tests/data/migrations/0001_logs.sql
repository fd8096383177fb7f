-- A call that was seen twice, one that was transferred, and one that was gone before it could be seen.
INSERT INTO arrivals (number, digest, moment, endpoint, method, query, covered_query, content_type, body, application_id,
    origin, kind, conversation_id, transferred_to, occurred_at, received_at, deliveries, last_received_at)
VALUES
    (1, x'01', 1773051330068000, 'event', 'POST', NULL, NULL, 'application/json', CAST('{"status":"started"}' AS BLOB),
        '0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19', 'signed', 'started', 'CON-1', NULL,
        1773051330068000, 1773051330118000, 2, 1773051331118000),
    (2, x'02', 0, 'answer', 'GET', 'to=1&to=447700900100&uuid=a', 'to=447700900100&uuid=a', NULL, x'', NULL, 'signed', 'answer', 'CON-1', NULL,
        NULL, 1773051330200000, 1, 1773051330200000),
    (3, x'03', 1773051343800000, 'event', 'POST', NULL, NULL, 'application/json', CAST('{"type":"transfer"}' AS BLOB),
        '0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19', 'signed', 'transfer', 'CON-1', 'CON-2',
        1773051343800000, 1773051343850000, 1, 1773051343850000),
    (4, x'04', 0, 'event', 'POST', NULL, NULL, NULL, x'7b7d', NULL, 'unverified', 'unknown', NULL, NULL,
        NULL, 1773051350000000, 1, 1773051350000000);

INSERT INTO fetches (conversation_id, application_id, due_at, leased_until, asked, failures, failing_since, trouble,
    gone_at, gave_up_at, looks, interpreted_looks, interpreted_arrival)
VALUES
    ('CON-1', '0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19', 1773051360000000, 1773051390000000, 3, 0, NULL, NULL, NULL,
        NULL, 2, 1, 3),
    ('CON-2', NULL, NULL, NULL, 1, 4, 1773051344000000, 'unreachable', NULL, 1773051944000000, 4, 4, 3),
    ('CON-3', NULL, NULL, NULL, 1, 0, NULL, NULL, 1773051344000000, NULL, 0, 0, 0);

-- The transfer is not posted yet, and the last arrival names no conversation.
INSERT INTO mentions (conversation_id, number) VALUES ('CON-1', 1), ('CON-1', 2);
UPDATE progress SET posted = 2, derived = 3;

INSERT INTO snapshots (id, conversation_id, number, taken_at, confirmed_at, family, sequence_number)
VALUES
    (1, 'CON-1', 1, 1773051331000000, 1773051332000000, 'v0.3', 3),
    (2, 'CON-1', 2, 1773051342000000, 1773051342000000, 'beta', NULL);

-- `{}` and `[]` in zstd frames.
INSERT INTO documents (id, digest, size, body)
VALUES
    (1, x'44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a', 2, x'28b52ffd20021100007b7d'),
    (2, x'4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945', 2, x'28b52ffd20021100005b5d');

INSERT INTO snapshot_documents (snapshot_id, position, name, document_id)
VALUES
    (1, 0, 'conversation', 1),
    (1, 1, 'members page 1', 2),
    (2, 0, 'conversation', 1);
