// Receives webhooks of WaQtor and takes only those that are signed, unchanged and new. Needs Node.js 18 and nothing else:
//
//   WEBHOOK_SECRET=whsec_... PORT=8000 node verify-webhook.mjs
//
// The secret is one of whsec_... (shared) or whpk_... (the public half of a pair); several with a blank between them.
import { createHmac, createPublicKey, timingSafeEqual, verify as verifySignature } from "node:crypto";
import { createServer } from "node:http";

const TOLERANCE_S = 300;
const LARGEST_BODY = 512 * 1024;

// The 12 bytes that stand before an Ed25519 key in the form that Node.js reads.
const ED25519 = Buffer.from("302a300506032b6570032100", "hex");

/** Returns the event, or throws an Error that says why not. `body` is a Buffer, exactly as it came. */
export function verify(body, headers, secrets, now = Date.now() / 1000) {
  const id = headers["webhook-id"];
  const timestamp = headers["webhook-timestamp"];
  const signatures = headers["webhook-signature"];
  if (!id || !timestamp || !signatures) throw new Error("a header is missing");
  if (!/^[0-9]{1,12}$/.test(timestamp)) throw new Error("the timestamp is not a number");
  if (Math.abs(now - Number(timestamp)) > TOLERANCE_S) throw new Error("the timestamp is too old or too new");

  const signed = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
  const given = signatures.split(" ").map((one) => one.split(","));
  const fits = secrets.some((secret) => {
    const key = Buffer.from(secret.slice(secret.indexOf("_") + 1), "base64");
    if (secret.startsWith("whsec_")) {
      const expected = createHmac("sha256", key).update(signed).digest();
      return given.some(([version, text = ""]) => {
        const signature = Buffer.from(text, "base64");
        return version === "v1" && signature.length === expected.length && timingSafeEqual(signature, expected);
      });
    }
    if (!secret.startsWith("whpk_")) throw new Error("a secret begins with whsec_ or whpk_");
    const publicKey = createPublicKey({ key: Buffer.concat([ED25519, key]), format: "der", type: "spki" });
    return given.some(
      ([version, text = ""]) =>
        version === "v1a" && verifySignature(null, signed, publicKey, Buffer.from(text, "base64")),
    );
  });
  if (!fits) throw new Error("no signature fits");
  return { id, ...JSON.parse(body.toString("utf8")) };
}

/** Events come at least once. This remembers ids while it runs; keep yours for a week where it survives a restart. */
const seen = new Set();

if (process.env.WEBHOOK_SECRET) {
  const secrets = process.env.WEBHOOK_SECRET.split(" ");
  const server = createServer((request, response) => {
    const pieces = [];
    let size = 0;
    request.on("data", (piece) => {
      size += piece.length;
      if (size > LARGEST_BODY) return request.destroy();
      pieces.push(piece);
    });
    request.on("end", () => {
      try {
        const event = verify(Buffer.concat(pieces), request.headers, secrets);
        if (!seen.has(event.id)) {
          seen.add(event.id);
          console.log(event.id, event.type, JSON.stringify(event.data)); // your work goes here, or into a queue
        }
        response.writeHead(204).end();
      } catch (error) {
        console.error("refused:", error.message);
        response.writeHead(400).end();
      }
    });
  });
  server.listen(Number(process.env.PORT ?? 8000), "127.0.0.1", () => console.log("listening on", server.address().port));
}
