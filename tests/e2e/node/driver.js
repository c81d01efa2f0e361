// Drives sockets of socket.io-client as a test says, in Node and in a page alike.
// Each has an id; what happens to it is told as tell(id, name, arguments), its own events with an @ before their names.
function driver(io, tell) {
  const sockets = new Map();

  function listen(id, socket) {
    sockets.set(id, socket);
    socket.onAny((name, ...args) => tell(id, name, args));
    socket.on("connect", () => tell(id, "@connect", [socket.io.engine.transport.name]));
    socket.on("connect_error", ({ message, data }) => tell(id, "@connect_error", [{ message, data }]));
    socket.on("disconnect", (reason) => tell(id, "@disconnect", [reason]));
  }

  function connect(id, url, options) {
    const socket = io(url, { forceNew: true, reconnectionDelay: 100, reconnectionDelayMax: 500, ...options });
    listen(id, socket);
    socket.io.on("open", () => socket.io.engine.once("upgrade", ({ name }) => tell(id, "@upgrade", [name])));
    socket.io.on("reconnect", (attempts) => tell(id, "@reconnect", [attempts]));
  }

  // Another namespace on the connection that a socket has.
  function join(id, other, namespace, options) {
    const socket = sockets.get(other).io.socket(namespace, options);
    listen(id, socket);
    socket.connect();
  }

  function emit(id, name, ...args) {
    sockets.get(id).emit(name, ...args);
  }

  function call(id, number, name, ...args) {
    sockets.get(id).timeout(15000).emit(name, ...args, (error, answer) => {
      tell(id, "@answer", [number, error && error.message, answer]);
    });
  }

  // Send texts to a room without waiting for anything but for too many being unanswered.
  function flood(id, room, texts, window) {
    const socket = sockets.get(id);
    let next = 0;
    const more = () => {
      if (next === texts.length) return;
      socket.emit("send_message", { chat_room_id: room, content: texts[next++] }, (answer) => {
        tell(id, "@sent", [answer]);
        more();
      });
    };
    for (let started = 0; started < window; started++) more();
  }

  function raw(id, packet) {
    sockets.get(id).io.engine.write(packet);
  }

  function disconnect(id) {
    sockets.get(id).disconnect();
  }

  const actions = { connect, join, emit, call, flood, raw, disconnect };
  return (action, id, ...args) => actions[action](id, ...args);
}

if (typeof module !== "undefined") module.exports = driver;
