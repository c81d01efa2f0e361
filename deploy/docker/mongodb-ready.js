// The health check of the compose file's MongoDB (run by mongosh): exit code 0 when it is a primary that takes writes.
// On first use it forms the replica set of one, without which there are no transactions and no majority.
try {
  rs.status();
} catch (error) {
  if (error.codeName !== "NotYetInitialized") throw error;
  rs.initiate({ _id: "parley", members: [{ _id: 0, host: "mongodb:27017" }] });
}
quit(db.hello().isWritablePrimary ? 0 : 1);
