-- A leg that was found in Vonage's list of calls.
INSERT INTO legs (conversation_id, position, id, direction, caller, callee, status, duration, price, source)
VALUES ('CON-2', 0, 'leg-3', 'outbound', 'Unknown', '447700900002', 'completed', 12, '0.00480000', 'calls list');
