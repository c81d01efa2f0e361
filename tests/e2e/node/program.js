// A driver as driver.js is, of one program: its pieces run one after the other, as if somebody pasted them into a console.
// What it logs is told as @log and @error, and what its sockets are told by their events' names.
function driver(io, tell) {
  for (const [name, level] of [["@log", "log"], ["@error", "error"]]) {
    console[level] = (...args) => tell(1, name, [args]);
  }

  // The `io` that the program finds; a page's options stand behind the program's own.
  function host(id, defaults) {
    globalThis.io = (url, options) => {
      const socket = io(url, { ...defaults, ...options });
      socket.onAny((name, ...args) => tell(id, name, args));
      socket.on("connect", () => tell(id, "@connect", [socket.io.engine.transport.name]));
      socket.on("connect_error", ({ message }) => tell(id, "@connect_error", [message]));
      socket.io.on("open", () => socket.io.engine.once("upgrade", ({ name }) => tell(id, "@upgrade", [name])));
      return socket;
    };
  }

  // What a piece declares is there for the next one, which it is not where it is evaluated.
  function run(id, code) {
    if (typeof document === "undefined") return require("vm").runInThisContext(code);
    const script = document.createElement("script");
    script.textContent = code;
    document.head.append(script);
  }

  const actions = { host, run };
  return (action, id, ...args) => actions[action](id, ...args);
}

if (typeof module !== "undefined") module.exports = driver;
