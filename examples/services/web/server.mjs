// Answers every request with its number; each goes to the log.
import { createServer } from "node:http";

const port = Number(process.env.PORT ?? 8080);
let served = 0;

const server = createServer((request, response) => {
  served += 1;
  console.log(`${request.method} ${request.url}`);
  response.end(`request ${served} to process ${process.pid}\n`);
});

server.listen(port, "127.0.0.1", () => console.log(`listening on 127.0.0.1:${port}`));
process.on("SIGTERM", () => {
  console.log(`stopping after ${served} requests`);
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
