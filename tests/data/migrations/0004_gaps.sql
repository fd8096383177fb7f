-- A stop, and an application whose token is refused to this day; a leg with everything, and one with nothing.
INSERT INTO gaps (id, cause, application_id, began_at, ended_at)
VALUES
    (1, 'down', NULL, 1773051320000000, 1773051329000000),
    (2, 'refused', '0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19', 1773051400000000, NULL);

UPDATE heartbeat SET beat_at = 1773051405000000;

INSERT INTO reconciliations (application_id, listed_until)
VALUES ('0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19', 1773051400000000);

INSERT INTO listed_calls (conversation_id, leg_id, application_id, status, is_over, direction, caller, callee, rate,
    price, duration, start_time, end_time, network, began_from, began_until)
VALUES
    ('CON-1', 'leg-1', '0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19', 'completed', 1, 'inbound', '447700900001',
        '447700900100', '0.00450000', '0.02302500', 307, 1773051341000000, 1773051648000000, '23410',
        1773051270000000, 1773051400000000),
    ('CON-1', 'leg-2', '0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19', NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, 1773051270000000, 1773051400000000);
