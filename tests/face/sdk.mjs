// Reads the tutorial's call, which is over, with Vonage's own SDK: sdk.mjs ADDRESS PRIVATE_KEY_FILE, where ADDRESS
// is conversationd's private listener. Fails on the first difference.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Auth } from '@vonage/auth';
import { Vonage } from '@vonage/server-sdk';

const CONVERSATION = 'CON-bc643220-2542-499a-892e-c982c4150c06';
const ALICE = 'MEM-f44c872e-cba9-444f-88ae-0bfa630865a6';
const BOB = 'MEM-25ccda92-839d-4ac6-a7b2-de310224878b';

const [address, keyFile] = process.argv.slice(2);
const credentials = new Auth({
  applicationId: 'c0a11ed0-0000-4000-8000-000000000001',
  privateKey: readFileSync(keyFile, 'utf8'),
});
const { conversations } = new Vonage(credentials, { apiHost: new URL('/vonage', address).href });

async function all(list) {
  const items = [];
  for await (const item of list) {
    items.push(item);
  }
  return items;
}

const conversation = await conversations.getConversation(CONVERSATION);
assert.equal(conversation.id, CONVERSATION);
assert.equal(conversation.name, 'NAM-1b2c4274-e3f2-494e-89c4-46856ee84a8b');
assert.equal(conversation.sequenceNumber, 8);
assert.equal(conversation.timestamp.created, '2018-10-25T09:26:18.999Z');
assert.equal(conversation.properties.ttl, 172800);

const page = await conversations.getMemberPage(CONVERSATION);
assert.equal(page.pageSize, 10);
assert.deepEqual(page.members.map(({ id, state }) => [id, state]), [[ALICE, 'JOINED'], [BOB, 'JOINED']]);
assert.equal(page.members[1].user.name, 'vapi-user-f59c1ff26c0543fdb6c02fd30617a1c0');

// From page to page.
const oneByOne = await all(conversations.listAllMembers(CONVERSATION, { pageSize: 1 }));
assert.deepEqual(oneByOne.map(({ id }) => id), [ALICE, BOB]);

const bob = await conversations.getMember(CONVERSATION, BOB);
assert.equal(bob.conversationId, CONVERSATION);
assert.equal(bob.state, 'JOINED');
assert.equal(bob.user.id, 'USR-b9948493-be4a-4b36-bb4d-c96bcc2af85b');
assert.deepEqual(bob.timestamp, { invited: '2018-10-25T09:26:19.385Z', joined: '2018-10-25T09:26:30.270Z' });
assert.equal(bob.channel.id, '30cecc87-7ac9-4d03-910a-e9d69558263c');
assert.deepEqual(bob.initiator, { invited: { isSystem: true } });

const events = await all(conversations.listAllEvents(CONVERSATION, { pageSize: 3 }));
assert.deepEqual(events.map(({ id, type }) => [id, type]), [
  [1, 'member:joined'],
  [2, 'member:invited'],
  [3, 'sip:ringing'],
  [4, 'member:joined'],
  [5, 'member:media'],
  [6, 'sip:answered'],
  [7, 'member:joined'],
  [8, 'member:media'],
]);
assert.equal(events[0].body.timestamp.joined, '2018-10-25T09:26:19.204Z');

for (const unknown of [
  conversations.getConversation('CON-unknown'),
  conversations.getMember(CONVERSATION, 'MEM-unknown'),
]) {
  await assert.rejects(unknown, ({ response }) => response.status === 404);
}

console.log(`${events.length} events of ${page.members.length} members were read with Vonage's SDK`);
