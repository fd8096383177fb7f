-- What is understood of the first call, in every column; and of one that is settling, in as few as there may be.
INSERT INTO conversations (id, name, application_id, capture_state, capture_reason, snapshots, first_at, last_at,
    direction, caller, callee, started_at, answered_at, ended_at, over_from, duration, price, status,
    latest_snapshot, listed_at)
VALUES
    ('CON-1', 'support-room', '0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19', 'captured', NULL, 2, 1773051331000000,
        1773051342000000, 'inbound', '447700900001', '447700900100', 1773051330118000, 1773051341902000,
        1773051647655000, 0, 307, '0.02302500', 'completed', 2, 1773051330118000),
    ('CON-2', NULL, NULL, 'missed', 'given up', 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1773051404000000,
        NULL, NULL, NULL, NULL, 0);

INSERT INTO members (conversation_id, position, id, user_id, name, state, has_channel, channel_type, channel_leg_id,
    caller, callee)
VALUES
    ('CON-1', 0, 'MEM-1', 'USR-1', 'alice', 'LEFT', 1, 'phone', 'leg-1', '447700900001', '447700900100'),
    ('CON-1', 1, 'MEM-2', NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL);

INSERT INTO member_legs (conversation_id, member_position, position, leg_id) VALUES ('CON-1', 0, 0, 'leg-1');

INSERT INTO member_states (conversation_id, member_position, position, state, at, source)
VALUES
    ('CON-1', 0, 0, 'JOINED', 1773051341895000, 'snapshot 1'),
    ('CON-1', 0, 1, 'LEFT', NULL, 'snapshot 2');

INSERT INTO legs (conversation_id, position, id, direction, caller, callee, status, duration, price)
VALUES
    ('CON-1', 0, 'leg-1', 'inbound', '447700900001', '447700900100', 'completed', 307, '0.02302500'),
    ('CON-1', 1, 'leg-2', NULL, NULL, NULL, NULL, NULL, NULL);

INSERT INTO leg_statuses (conversation_id, leg_position, position, status, at, detail)
VALUES
    ('CON-1', 0, 0, 'started', 1773051330118000, NULL),
    ('CON-1', 0, 1, 'completed', 1773051647655000, 'declined');
