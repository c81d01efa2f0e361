/**
 * The collections and their indexes. Knows nothing of sockets.
 *
 * A member is a document of its own, not an array in the room: rooms of any size stay small to update,
 * and both questions asked ("is X in this room?", "which rooms is X in?") are one index look-up.
 */

import mongoose from "mongoose";

const { Schema } = mongoose;
const { ObjectId } = Schema.Types;
const options = { versionKey: false };

const roomSchema = new Schema(
  {
    name: { type: String, required: true },
    created_by: { type: String, required: true },
    seq: { type: Number, default: 0 },
    last_message: {
      type: new Schema({ content: String, sender_id: String, created_at: Date }, options),
      default: null,
    },
  },
  options,
);

const memberSchema = new Schema(
  {
    room_id: { type: ObjectId, required: true },
    user_id: { type: String, required: true },
  },
  options,
);
memberSchema.index({ room_id: 1, user_id: 1 }, { unique: true });
memberSchema.index({ user_id: 1, room_id: 1 });

const messageSchema = new Schema(
  {
    room_id: { type: ObjectId, required: true },
    seq: { type: Number, required: true },
    sender_id: { type: String, required: true },
    client_id: { type: String },
    content: { type: String, required: true },
    created_at: { type: Date, required: true },
  },
  options,
);
messageSchema.index({ room_id: 1, seq: 1 }, { unique: true });

export const Room = mongoose.model("Room", roomSchema);
export const Member = mongoose.model("Member", memberSchema);
export const Message = mongoose.model("Message", messageSchema);

/**
 * Connects to MongoDB, database `peer`, and builds the indexes.
 *
 * Writes are acknowledged once journaled by a majority: the same promise as the one Parley's ack gives.
 */
export async function connectMongo(url) {
  await mongoose.connect(url, { dbName: "peer", writeConcern: { w: "majority", journal: true } });
  await Promise.all([Room.init(), Member.init(), Message.init()]);
}
