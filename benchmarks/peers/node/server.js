/**
 * One process of the peer: HTTP and Socket.IO on PORT, broadcasts shared with other processes through Redis.
 * Wires and stops things; what the chat does stands in chat.js.
 */

import { once } from "node:events";
import { createServer } from "node:http";

import { createAdapter } from "@socket.io/redis-adapter";
import express from "express";
import { Redis } from "ioredis";
import mongoose from "mongoose";
import { Server } from "socket.io";

import { httpAuth, socketAuth, tokenVerifier } from "./auth.js";
import { Refused, createRoom, roomChannel, roomsOf, send, sync, userChannel } from "./chat.js";
import { connectMongo } from "./models.js";

const { PORT = "3100", HOST = "127.0.0.1", MONGO_URL, REDIS_URL, JWT_SECRET } = process.env;
for (const [name, value] of Object.entries({ MONGO_URL, REDIS_URL, JWT_SECRET })) {
  if (!value) throw new Error(`${name} is not set: see README.md for the settings`);
}

const verify = tokenVerifier(JWT_SECRET);
const inFlight = new Set();
let stopping = false;

const pub = new Redis(REDIS_URL, { lazyConnect: true });
const sub = pub.duplicate();
for (const client of [pub, sub]) client.on("error", (error) => console.error(`redis: ${error.message}`));
await Promise.all([connectMongo(MONGO_URL), pub.connect(), sub.connect()]);

const app = express();
const httpServer = createServer(app);
const io = new Server(httpServer, {
  adapter: createAdapter(pub, sub),
  transports: ["websocket"], // several processes without sticky sessions: polling cannot work
  perMessageDeflate: false,
  serveClient: false,
});
// Frees the memory of each upgrade request, as Socket.IO's page on memory usage advises.
io.engine.on("connection", (connection) => {
  connection.request = null;
});

app.disable("x-powered-by");
app.get("/health", (req, res) => {
  const ready = !stopping && mongoose.connection.readyState === 1 && pub.status === "ready" && sub.status === "ready";
  res.status(ready ? 200 : 503).json({ ready });
});
app.post("/rooms", httpAuth(verify), express.json({ limit: "1mb" }), async (req, res) => {
  res.status(201).json(await createRoom(io, req.userId, req.body));
});
app.use((error, req, res, next) => {
  if (res.headersSent) return next(error);
  if (!error.status) console.error(error);
  return res.status(error.status ?? 500).json({ error: error.status ? error.message : "internal error" });
});

io.use(socketAuth(verify));
io.on("connection", async (socket) => {
  const { userId } = socket.data;
  socket.on("send", answered((request) => send(io, userId, request)));
  socket.on("sync", answered((request) => sync(userId, request)));
  try {
    socket.join(userChannel(userId)); // before the query: a room created meanwhile reaches the socket by this channel
    const rooms = await roomsOf(userId);
    socket.join(rooms.map(roomChannel));
    socket.emit("ready", { rooms });
  } catch (error) {
    console.error(error);
    socket.disconnect(true);
  }
});

/** Makes an event listener of `handle`: its result, or its refusal, goes into the client's ack. */
function answered(handle) {
  return async (request, ack) => {
    if (typeof ack !== "function") return;
    const work = stopping ? Promise.reject(new Refused(503, "the server is stopping")) : handle(request);
    inFlight.add(work);
    try {
      ack(await work);
    } catch (error) {
      if (!(error instanceof Refused)) console.error(error);
      ack({ ok: false, error: error instanceof Refused ? error.message : "internal error" });
    } finally {
      inFlight.delete(work);
    }
  };
}

/** Answers what is in flight, then closes sockets, listeners and links; the process then ends by itself. */
async function stop() {
  if (stopping) return;
  stopping = true;
  await Promise.allSettled(inFlight);
  await Promise.all([...io.sockets.sockets.values()].map((socket) => flushAndClose(socket.conn)));
  await io.close();
  await Promise.all([mongoose.disconnect(), pub.quit(), sub.quit()]);
}

/** Closes below Socket.IO, so that clients reconnect by themselves; `io.close()` alone drops what is still buffered. */
function flushAndClose(connection) {
  const closed = once(connection, "close");
  connection.close();
  return closed;
}

process.on("SIGTERM", stop);
process.on("SIGINT", stop);

httpServer.listen(Number(PORT), HOST, () => console.error(`peer: ready on http://${HOST}:${PORT}`));
