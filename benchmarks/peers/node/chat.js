/**
 * What the chat does: create a room, send, sync. Talks to the database and to Socket.IO's rooms; opens nothing itself.
 */

import mongoose from "mongoose";

import { Member, Message, Room } from "./models.js";

const MAX_MESSAGE_LENGTH = 10_000;
const SYNC_PAGE = 1_000;

/** A refusal whose text is meant for the caller. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const roomChannel = (roomId) => `room:${roomId}`;
export const userChannel = (userId) => `user:${userId}`;

/** Ids of the rooms a user is in. */
export async function roomsOf(userId) {
  const members = await Member.find({ user_id: userId }, { _id: 0, room_id: 1 }).lean();
  return members.map((member) => member.room_id.toString());
}

/** Creates a room of its creator and `members` (user ids) and joins the sockets they have open, on any process. */
export async function createRoom(io, userId, body) {
  const { name, members = [] } = body ?? {};
  if (typeof name !== "string" || name === "") throw new Refused(400, "name: a non-empty string is needed");
  if (!Array.isArray(members) || members.some((id) => typeof id !== "string" || id === "")) {
    throw new Refused(400, "members: a list of user ids is needed");
  }
  const userIds = [...new Set([userId, ...members])];
  const roomId = new mongoose.Types.ObjectId();
  await mongoose.connection.transaction(async (session) => {
    await Room.create([{ _id: roomId, name, created_by: userId }], { session });
    await Member.insertMany(
      userIds.map((id) => ({ room_id: roomId, user_id: id })),
      { session },
    );
  });
  io.in(userIds.map(userChannel)).socketsJoin(roomChannel(roomId));
  return { id: roomId.toString() };
}

/** Stores a message, broadcasts it to the room, its sender included, and gives what the ack says. */
export async function send(io, userId, request) {
  const { room_id: roomId, content, client_id: clientId } = request ?? {};
  if (typeof content !== "string" || content === "" || content.length > MAX_MESSAGE_LENGTH) {
    throw new Refused(400, `content: a string of 1 to ${MAX_MESSAGE_LENGTH} characters is needed`);
  }
  if (clientId !== undefined && typeof clientId !== "string") throw new Refused(400, "client_id: a string is needed");
  await checkMember(roomId, userId);

  const messageId = new mongoose.Types.ObjectId();
  const createdAt = new Date();
  const room = await Room.findOneAndUpdate(
    { _id: roomId },
    {
      $inc: { seq: 1 },
      $set: { last_message: { _id: messageId, content, sender_id: userId, created_at: createdAt } },
    },
    { returnDocument: "after", projection: { seq: 1 } },
  ).lean();
  if (room === null) throw new Refused(404, "room_id: no such room");

  const message = {
    room_id: roomId,
    seq: room.seq,
    sender_id: userId,
    client_id: clientId,
    content,
    created_at: createdAt,
  };
  await Message.create({ _id: messageId, ...message });

  const id = messageId.toString();
  const created_at = createdAt.toISOString();
  io.to(roomChannel(roomId)).emit("message", { ...message, id, created_at });
  return { ok: true, message_id: id, seq: room.seq, created_at };
}

/** Messages of a room after a `seq`, oldest first, at most a page: whoever gets a full page asks again. */
export async function sync(userId, request) {
  const { room_id: roomId, after_seq: afterSeq = 0 } = request ?? {};
  if (!Number.isSafeInteger(afterSeq)) throw new Refused(400, "after_seq: an integer is needed");
  await checkMember(roomId, userId);
  const messages = await Message.find({ room_id: roomId, seq: { $gt: afterSeq } })
    .sort({ seq: 1 })
    .limit(SYNC_PAGE)
    .lean();
  return { messages: messages.map(({ _id, ...message }) => ({ id: _id.toString(), ...message })) };
}

async function checkMember(roomId, userId) {
  if (typeof roomId !== "string" || !/^[0-9a-f]{24}$/.test(roomId)) {
    throw new Refused(400, "room_id: a room's id is needed");
  }
  if (!(await Member.exists({ room_id: roomId, user_id: userId }))) {
    throw new Refused(403, "room_id: you are not a member of this room");
  }
}
