/** JSON Web Tokens to user ids, for sockets and for HTTP. HS256 only. */

import jwt from "jsonwebtoken";

/** Returns a function that takes a token and gives its subject; it throws when the token is not good. */
export function tokenVerifier(secret) {
  return (token) => {
    const { sub } = jwt.verify(token, secret, { algorithms: ["HS256"] });
    if (typeof sub !== "string" || sub === "") throw new Error("the token has no subject");
    return sub;
  };
}

/** Socket.IO middleware: `auth.token` becomes `socket.data.userId`. */
export function socketAuth(verify) {
  return (socket, next) => {
    try {
      socket.data.userId = verify(socket.handshake.auth.token);
      next();
    } catch (error) {
      next(new Error(`unauthenticated: ${error.message}`));
    }
  };
}

/** Express middleware: the Bearer token becomes `req.userId`, else 401. */
export function httpAuth(verify) {
  return (req, res, next) => {
    try {
      req.userId = verify(req.get("authorization")?.match(/^Bearer (.+)$/i)?.[1]);
    } catch (error) {
      res.status(401).json({ error: `unauthenticated: ${error.message}` });
      return;
    }
    next();
  };
}
