-- A call between two numbers, one of them also a member's, and a party without a number.
INSERT INTO parties (conversation_id, side, key, reversed)
VALUES
    ('CON-1', 'from', '447700900001', '100009007744'),
    ('CON-1', 'to', '447700900100', '001009007744'),
    ('CON-1', 'other', '447700900001', '100009007744'),
    ('CON-1', 'other', 'alice', 'ecila');
